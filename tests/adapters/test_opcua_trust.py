"""Which certificates are believed, by what is in them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mfgroute.adapters.opcua.trust import TrustList, chain, load, load_crls, thumbprint
from mfgroute.errors import AdapterError

from .opcua_servers import (
    CA,
    DAY,
    IMPOSTOR,
    KEYS,
    NOW,
    SIGNED,
    URI,
    authority,
    certificate,
    der,
    revocations,
)  # fmt: skip


def approve(trust: TrustList, *shown: x509.Certificate, uri=URI, host="127.0.0.1") -> str:
    return trust.approve(der(*shown), application_uri=uri, host=host)


def test_a_pinned_certificate_is_believed():
    shown = certificate(host="elsewhere")
    colons = ":".join(thumbprint(shown)[i : i + 2] for i in range(0, 64, 2)).upper()
    for pin in (thumbprint(shown), colons):
        assert approve(TrustList(thumbprints=[pin]), shown) == thumbprint(shown)


def test_a_certificate_with_the_same_name_and_another_key_is_not_pinned():
    with pytest.raises(AdapterError, match="not pinned"):
        approve(TrustList(thumbprints=[thumbprint(certificate())]), certificate(KEYS[1]))


def test_a_pinned_certificate_that_expired_is_refused():
    shown = certificate(start=NOW - 2 * DAY, end=NOW - DAY)
    with pytest.raises(AdapterError, match="valid from"):
        approve(TrustList(thumbprints=[thumbprint(shown)]), shown)


@pytest.mark.parametrize("blob", [None, b""])
def test_a_server_without_a_certificate_is_refused(blob):
    with pytest.raises(AdapterError, match="sent no certificate"):
        TrustList(certificates=[CA[0]]).approve(blob, application_uri=URI, host="127.0.0.1")


@pytest.mark.parametrize(
    "blob", [b"\x30", b"\x30\x82\x00", b"\x30\x03abc", b"nonsense", b"\x30\x84\xff\xff\xff\xff"]
)
def test_a_certificate_that_cannot_be_read_is_refused(blob):
    with pytest.raises(AdapterError, match="cannot be read"):
        chain(blob)


def test_a_certificate_signed_by_a_trusted_authority_is_believed():
    assert approve(TrustList(certificates=[CA[0]]), SIGNED) == thumbprint(SIGNED)


def test_a_trusted_certificate_that_signed_itself_is_believed():
    own = certificate()
    assert approve(TrustList(certificates=[own]), own) == thumbprint(own)


def test_a_path_over_an_authority_that_the_server_sends_is_believed():
    middle = authority(KEYS[2], subject="middle", issuer=CA)
    shown = certificate(issuer=middle)
    assert approve(TrustList(certificates=[CA[0]]), shown, middle[0]) == thumbprint(shown)
    with pytest.raises(AdapterError, match="not trusted"):
        approve(TrustList(certificates=[CA[0]]), shown)


def test_a_path_longer_than_its_authority_allows_is_refused():
    short = authority(path_length=0)
    middle = authority(KEYS[2], subject="middle", issuer=short)
    with pytest.raises(AdapterError, match="may not have authorities below"):
        approve(TrustList(certificates=[short[0]]), certificate(issuer=middle), middle[0])


@pytest.mark.parametrize(
    ("trusted", "shown", "reason"),
    [
        (CA[0], certificate(), "not trusted"),
        (CA[0], certificate(issuer=IMPOSTOR), "not trusted"),
        (authority(ca=False)[0], certificate(issuer=authority(ca=False)), "is no authority"),
        (SIGNED, certificate(KEYS[1], issuer=(SIGNED, KEYS[0])), "is no authority"),
        (CA[0], certificate(issuer=CA, start=NOW - 2 * DAY, end=NOW - DAY), "valid from"),
        (CA[0], certificate(issuer=CA, start=NOW + DAY, end=NOW + 2 * DAY), "valid from"),
        (authority(end=NOW - timedelta(hours=1))[0], SIGNED, "valid from"),
        (CA[0], certificate(issuer=CA, uri="urn:other"), "application URI"),
        (CA[0], certificate(issuer=CA, host="10.0.0.7"), "endpoint is '127.0.0.1'"),
        (CA[0], certificate(issuer=CA, host="127.0.0.1.example.com"), "endpoint is '127.0.0.1'"),
        (CA[0], certificate(issuer=CA, usage=False), "not for signing"),
        (CA[0], certificate(issuer=CA, role=ExtendedKeyUsageOID.CLIENT_AUTH), "not for servers"),
        (CA[0], certificate(issuer=CA, role=None), "does not say what"),
        (CA[0], certificate(rsa.generate_private_key(65537, 1024), issuer=CA), "2048"),
    ],
)
def test_a_certificate_with_one_fault_is_refused(trusted, shown, reason):
    with pytest.raises(AdapterError, match=reason):
        approve(TrustList(certificates=[trusted]), shown)


def test_hosts_are_compared_as_names_or_as_addresses():
    trust = TrustList(certificates=[CA[0]])
    assert approve(trust, certificate(issuer=CA, host="press-7.plant"), host="PRESS-7.plant")
    assert approve(trust, certificate(issuer=CA, host="::1"), host="0:0:0:0:0:0:0:1")
    with pytest.raises(AdapterError, match=r"endpoint is 'a\.plant'"):
        approve(trust, certificate(issuer=CA, host="*.plant"), host="a.plant")


def test_a_configured_application_uri_is_the_only_one():
    trust = TrustList(certificates=[CA[0]], application_uri="urn:press7")
    with pytest.raises(AdapterError, match="application URI"):
        approve(trust, SIGNED)
    assert approve(trust, certificate(issuer=CA, uri="urn:press7"), uri="urn:press7")


def test_a_certificate_that_is_not_on_a_fresh_list_is_believed():
    assert approve(TrustList(certificates=[CA[0]], crls=[revocations(CA, 4711)]), SIGNED)


@pytest.mark.parametrize(
    ("crls", "reason"),
    [
        ([revocations(CA, SIGNED.serial_number)], "is revoked"),
        ([], "no signed and fresh"),
        ([revocations(CA, end=NOW - timedelta(hours=1))], "no signed and fresh"),
        ([revocations(CA, start=NOW + timedelta(hours=1), end=NOW + DAY)], "no signed and fresh"),
        ([revocations(CA, key=KEYS[2])], "no signed and fresh"),
        ([revocations(authority(subject="other"))], "no signed and fresh"),
        ([revocations(CA), revocations(CA, SIGNED.serial_number)], "is revoked"),
    ],
)
def test_revocation_is_checked_with_signature_and_freshness(crls, reason):
    with pytest.raises(AdapterError, match=reason):
        approve(TrustList(certificates=[CA[0]], crls=crls), SIGNED)


def test_the_serial_of_another_authority_revokes_nothing():
    other = authority(KEYS[2], subject="other")
    crls = [revocations(CA), revocations(other, SIGNED.serial_number)]
    assert approve(TrustList(certificates=[CA[0], other[0]], crls=crls), SIGNED)


def test_a_revoked_authority_in_between_is_refused():
    middle = authority(KEYS[2], subject="middle", issuer=CA)
    crls = [revocations(middle), revocations(CA, middle[0].serial_number)]
    with pytest.raises(AdapterError, match="is revoked"):
        approve(TrustList(certificates=[middle[0], CA[0]], crls=crls), certificate(issuer=middle))


def test_files_and_folders_are_read_in_pem_and_der(tmp_path):
    (tmp_path / "a.pem").write_bytes(CA[0].public_bytes(Encoding.PEM) + SIGNED.public_bytes(Encoding.PEM))
    (tmp_path / "b.der").write_bytes(der(IMPOSTOR[0]))
    (tmp_path / "readme.txt").write_text("not read")
    (tmp_path / "crl").mkdir()
    (tmp_path / "crl" / "a.crl").write_bytes(revocations(CA).public_bytes(Encoding.PEM))
    assert load([tmp_path]) == [CA[0], SIGNED, IMPOSTOR[0]]
    assert len(load_crls([tmp_path / "crl"])) == 1
    with pytest.raises(AdapterError, match="no trusted certificate"):
        load([])
    with pytest.raises(AdapterError, match="cannot read"):
        load([tmp_path / "missing.pem"])
    with pytest.raises(AdapterError, match="is no certificate"):
        load([tmp_path / "readme.txt"])
