"""Which servers are believed: certificates made here, and real servers that show them."""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mfgroute.adapter import Context, dec_hook
from mfgroute.adapters.opcua import OpcUaConfig, OpcUaSource
from mfgroute.adapters.opcua.connection import PlantClient
from mfgroute.adapters.opcua.trust import TrustList, chain, load, load_crls, thumbprint
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.testing.plant import PlantSecurity, PlantServer

URI = "urn:mfgroute:plant:server"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(4)]


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    key=KEYS[0],
    *,
    subject="server",
    issuer=None,
    uri=URI,
    host="127.0.0.1",
    start=NOW - DAY,
    end=NOW + DAY,
    usage=True,
    role=ExtendedKeyUsageOID.SERVER_AUTH,
    digest=None,
    serial=None,
) -> x509.Certificate:
    """A certificate of a server, its own or signed by `issuer` (certificate, key)."""
    signer, signing_key = issuer or (None, key)
    try:
        host_name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        host_name = x509.DNSName(host)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(signer.subject if signer else name(subject))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), host_name]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign=usage, certify=False), critical=True)
    )
    if role is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([role]), critical=False)
    return builder.sign(signing_key, digest or hashes.SHA256())


def key_usage(*, sign: bool, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign, content_commitment=sign, key_encipherment=sign, data_encipherment=sign,
        key_agreement=False, key_cert_sign=certify, crl_sign=certify,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def authority(key=KEYS[3], *, subject="authority", ca=True, end=NOW + DAY, issuer=None, path_length=None):
    signer, signing_key = issuer or (None, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(signer.subject if signer else name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(key_usage(sign=False, certify=True), critical=True)
        .sign(signing_key, hashes.SHA256())
    )
    return made, key


def revocations(
    issuer, *revoked: int, end=NOW + DAY, key=None, start=NOW - DAY
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer[0].subject)
        .last_update(start)
        .next_update(end)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key or issuer[1], hashes.SHA256())


def der(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.DER) for one in certificates)


def approve(trust: TrustList, *shown: x509.Certificate, uri=URI, host="127.0.0.1") -> str:
    return trust.approve(der(*shown), application_uri=uri, host=host)


CA = authority()
SIGNED = certificate(issuer=CA)


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


IMPOSTOR = authority(KEYS[2])


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


# With real servers


class Files:
    """A folder with our certificate and those of servers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put(
            "ours", certificate(KEYS[2], uri="urn:mfgroute", role=ExtendedKeyUsageOID.CLIENT_AUTH), KEYS[2]
        )
        (root / "trusted").mkdir()
        (root / "trusted" / "ca.pem").write_bytes(CA[0].public_bytes(Encoding.PEM))

    def put(self, file: str, shown: x509.Certificate, key) -> PlantSecurity:
        (self.root / f"{file}.der").write_bytes(der(shown))
        path = self.root / f"{file}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        return PlantSecurity(certificate=self.root / f"{file}.der", private_key=path)

    def source(self, endpoint: str, **settings) -> OpcUaSource:
        security = {
            "policy": "Basic256Sha256",
            "certificate": "ours.der",
            "private_key": "ours.pem",
            "trust": {"certificates": ["trusted"]},
        } | settings.pop("security", {})
        given = {"endpoint": endpoint, "nodes": ["ns=2;s=P7.Good"], "interval_ms": 20, "timeout_s": 3}
        config = msgspec.convert(given | {"security": security} | settings, OpcUaConfig, dec_hook=dec_hook)
        return OpcUaSource(
            config, Context(name="press-7", project_dir=self.root, data_dir=self.root / "data")
        )


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


async def first_value(source: OpcUaSource):
    try:
        await source.open(None)
        intake = await source.read()
        return msgspec.json.decode(intake.messages[0])["value"]
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("policy", "offered"),
    [
        ("Basic256Sha256", "Basic256Sha256_SignAndEncrypt"),
        ("Aes128_Sha256_RsaOaep", "Aes128Sha256RsaOaep_SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "Aes256Sha256RsaPss_SignAndEncrypt"),
    ],
)
async def test_a_secure_connection_reads_values(files, policy, offered):
    security = msgspec.structs.replace(files.put("server", SIGNED, KEYS[0]), policies=[offered])
    async with PlantServer(security=security) as plant:
        assert await first_value(files.source(plant.endpoint, security={"policy": policy})) == 0
    assert json.loads((files.root / "data/opcua/press-7.json").read_text())["sha256"] == thumbprint(SIGNED)


async def test_a_pinned_server_is_believed_and_its_password_accepted(files):
    own = certificate(host="elsewhere")
    shown = msgspec.structs.replace(files.put("server", own, KEYS[0]), users={"mfg": "secret"})
    trust = {"trust": {"thumbprints": [thumbprint(own)]}}
    async with PlantServer(security=shown) as plant:
        for mode in ("Sign", "SignAndEncrypt"):
            known = files.source(
                plant.endpoint, security=trust | {"mode": mode}, user="mfg", password="secret"
            )
            assert await first_value(known) == 0
        with pytest.raises(Disconnected, match=r"BadUserAccessDenied|denied|BadIdentityToken"):
            await first_value(files.source(plant.endpoint, security=trust, user="mfg", password="wrong"))


@pytest.mark.parametrize(
    ("shown", "key", "reason"),
    [
        (certificate(KEYS[1]), KEYS[1], "not trusted"),
        (certificate(KEYS[1], issuer=IMPOSTOR), KEYS[1], "not trusted"),
        (certificate(issuer=CA, start=NOW - 2 * DAY, end=NOW - DAY), KEYS[0], "valid from"),
        (certificate(issuer=CA, host="10.0.0.7"), KEYS[0], "endpoint is"),
        (certificate(issuer=CA, uri="urn:other"), KEYS[0], "application URI"),
    ],
    ids=["untrusted", "same names by another authority", "expired", "another host", "another application"],
)
async def test_a_server_with_a_wrong_certificate_is_refused(files, shown, key, reason):
    async with PlantServer(security=files.put("server", shown, key)) as plant:
        with pytest.raises(AdapterError, match=reason):
            await first_value(files.source(plant.endpoint))


async def test_a_rogue_server_with_the_same_uri_and_another_key_is_refused(files):
    real = certificate()
    trust = {"trust": {"thumbprints": [thumbprint(real)]}}
    async with PlantServer(security=files.put("rogue", certificate(KEYS[1]), KEYS[1])) as plant:
        with pytest.raises(AdapterError, match="not pinned"):
            await first_value(files.source(plant.endpoint, security=trust))


async def test_a_rogue_server_that_shows_the_real_certificate_without_its_key_gets_nowhere(files):
    async with PlantServer(security=files.put("rogue", SIGNED, KEYS[1])) as plant:
        with pytest.raises(Disconnected):
            await first_value(files.source(plant.endpoint, timeout_s=1))


async def test_a_server_that_offers_no_security_is_refused_and_nothing_is_downgraded(files):
    async with PlantServer() as plant:
        with pytest.raises(AdapterError, match="offers no Basic256Sha256/SignAndEncrypt, only None/None_"):
            await first_value(files.source(plant.endpoint))


async def test_an_endpoint_without_a_certificate_is_refused(files, monkeypatch):
    async with PlantServer(security=files.put("server", SIGNED, KEYS[0])) as plant:
        for endpoint in plant.server.iserver.endpoints:
            endpoint.ServerCertificate = None
        with pytest.raises(AdapterError, match="sent no certificate"):
            await first_value(files.source(plant.endpoint))


async def test_a_session_that_shows_no_certificate_is_refused(files, monkeypatch):
    seen = PlantClient.create_session

    async def without(self):
        original = self.uaclient.create_session

        async def strip(params):
            answer = await original(params)
            answer.ServerCertificate = None
            return answer

        self.uaclient.create_session = strip
        return await seen(self)

    monkeypatch.setattr(PlantClient, "create_session", without)
    async with PlantServer(security=files.put("server", SIGNED, KEYS[0])) as plant:
        with pytest.raises((AdapterError, Disconnected), match="certificate"):
            await first_value(files.source(plant.endpoint))


async def test_without_a_validator_no_session_begins(files, monkeypatch):
    seen = PlantClient.create_session

    async def careless(self):
        self.certificate_validator = None
        return await seen(self)

    monkeypatch.setattr(PlantClient, "create_session", careless)
    async with PlantServer(security=files.put("server", SIGNED, KEYS[0])) as plant:
        with pytest.raises(AdapterError, match="no validator"):
            await first_value(files.source(plant.endpoint))


async def test_another_certificate_of_the_same_authority_waits_for_a_person(files):
    async with PlantServer(security=files.put("server", SIGNED, KEYS[0])) as plant:
        assert await first_value(files.source(plant.endpoint)) == 0
    renewed = certificate(KEYS[1], issuer=CA)
    async with PlantServer(security=files.put("renewed", renewed, KEYS[1]), port=plant.port) as plant:
        with pytest.raises(AdapterError, match="changed from sha256"):
            await first_value(files.source(plant.endpoint))
        (files.root / "data/opcua/press-7.json").unlink()
        assert await first_value(files.source(plant.endpoint)) == 0


async def test_a_revoked_server_is_refused(files):
    (files.root / "ca.crl").write_bytes(revocations(CA, SIGNED.serial_number).public_bytes(Encoding.DER))
    trust = {"trust": {"certificates": ["trusted/ca.pem"], "crl": ["ca.crl"]}}
    async with PlantServer(security=files.put("server", SIGNED, KEYS[0])) as plant:
        with pytest.raises(AdapterError, match="is revoked"):
            await first_value(files.source(plant.endpoint, security=trust))


async def test_a_key_that_anybody_can_read_is_refused(files):
    (files.root / "ours.pem").chmod(0o644)
    with pytest.raises(AdapterError, match="expected mode 0600"):
        await first_value(files.source("opc.tcp://127.0.0.1:1"))


def test_a_password_is_not_sent_for_all_to_read(files):
    source = files.source("opc.tcp://127.0.0.1:1", security={"mode": "Sign"})
    client = PlantClient(source._config, lambda reason: None)
    client.security_policy.Mode = ua.MessageSecurityMode.Sign
    none = "http://opcfoundation.org/UA/SecurityPolicy#None"
    client._policy_ids = [ua.UserTokenPolicy(TokenType=ua.UserTokenType.UserName, SecurityPolicyUri=none)]
    with pytest.raises(AdapterError, match="password"):
        client.server_policy(ua.UserTokenType.UserName)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"security": {"policy": "None"}}, "insecure: true"),
        ({"security": {"policy": "Basic256"}}, "is broken"),
        ({"security": {"policy": "Basic128Rsa15"}}, "is broken"),
        ({"security": {"policy": "Basic512"}}, "Basic512"),
        ({"security": {"mode": "None"}}, "None"),
        ({"security": {"trust": {}}}, "both or neither"),
        ({"security": {"trust": {"thumbprints": ["ab"]}}}, "matching regex"),
        ({"security": {"trust": {"thumbprints": ["ab" * 32], "crl": ["x"]}}}, "crl"),
        ({"insecure": True}, "one of them"),
    ],
)
def test_weak_security_is_refused_by_the_configuration(files, settings, reason):
    with pytest.raises(msgspec.ValidationError, match=reason):
        files.source("opc.tcp://h:4840", **settings)
