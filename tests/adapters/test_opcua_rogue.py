"""Rogue servers, really running: what a source does with each. The page about the source shows the table."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from asyncua import ua
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mfgroute.adapters.opcua.connection import PlantClient
from mfgroute.adapters.opcua.trust import thumbprint
from mfgroute.errors import AdapterError, Disconnected, Quarantined
from mfgroute.testing.plant import PlantServer

from .opcua_servers import (
    CA,
    DAY,
    IMPOSTOR,
    KEYS,
    NOW,
    SIGNED,
    Files,
    Relay,
    authority,
    certificate,
    first_value,
    revocations,
    signed_with_sha1,
)  # fmt: skip

PAGE = (Path(__file__).parents[2] / "docs" / "adapters" / "opcua.md").read_text()
# One server for all of them, which shows another certificate each time: to make one takes seconds.
pytestmark = pytest.mark.asyncio(loop_scope="module")
NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"
HOUR = timedelta(hours=1)
SMALL = rsa.generate_private_key(65537, 1024)
FIRST, ASK = {"certificates": ["trusted"], "first_use": "accept"}, {"certificates": ["trusted"]}
CRL = FIRST | {"crl": ["crl"]}
OWN = certificate()
OLD = authority(end=NOW - HOUR)
EXPIRED = certificate(start=NOW - 2 * DAY, end=NOW - DAY)
WEAK, SHA1 = certificate(SMALL), signed_with_sha1()


class Case(msgspec.Struct, frozen=True):
    """A server, and what a source makes of it.

    Attributes:
        name: as in the page.
        ends: ``connects``, ``refused`` or ``quarantine``.
        says: part of the message.
        shown: the certificate of the server; its key is `key`.
        trust, mode: settings of the source; by its authority, whatever it shows first, without.
        lists: revocation lists that the source has.
        change: of the running server.
        relay: what somebody in between makes of each endpoint.
    """

    name: str
    ends: str
    says: str = ""
    shown: Any = SIGNED
    key: Any = KEYS[0]
    trust: dict[str, Any] | None = None
    mode: str = "SignAndEncrypt"
    lists: tuple[Any, ...] = ()
    change: Callable[[PlantServer], None] | None = None
    relay: Callable[[ua.EndpointDescription], None] | None = None
    known: bool = False


def without_certificates(plant: PlantServer) -> None:
    for endpoint in plant.server.iserver.endpoints:
        endpoint.ServerCertificate = None


def with_another_name(plant: PlantServer) -> None:
    for endpoint in plant.server.iserver.endpoints:
        endpoint.Server.ApplicationUri = "urn:other"


def plain_passwords(endpoint: ua.EndpointDescription) -> None:
    for token in endpoint.UserIdentityTokens:
        token.SecurityPolicyUri = NONE


def wanting_plain_passwords(plant: PlantServer) -> None:
    for endpoint in plant.server.iserver.endpoints:
        plain_passwords(endpoint)


def downgraded(endpoint: ua.EndpointDescription) -> None:
    endpoint.SecurityPolicyUri, endpoint.SecurityMode = NONE, ua.MessageSecurityMode.None_


def pinned(shown: Any) -> dict[str, Any]:
    return {"thumbprints": [thumbprint(shown)]}


CASES = [
    Case("the server that is meant, by its authority", "connects", trust=CRL, lists=(revocations(CA),)),
    Case("the server that is meant, pinned", "connects", shown=OWN, trust=pinned(OWN)),
    Case("the first contact, by an authority", "quarantine", "nobody approved it yet", trust=ASK),
    Case("the first contact, without an authority", "quarantine", "nobody approved it yet", OWN, trust={}),
    Case("a new certificate of the same authority", "quarantine", "it was sha256",
         certificate(KEYS[1], issuer=CA), KEYS[1], known=True),
    Case("the same names with another key, not pinned", "refused", "is not pinned",
         certificate(KEYS[1]), KEYS[1], trust=pinned(OWN)),
    Case("the same names by another authority of the same name", "refused", "is not trusted",
         certificate(KEYS[1], issuer=IMPOSTOR), KEYS[1]),
    Case("an unknown certificate that signed itself", "refused", "is not trusted", OWN),
    Case("the real certificate without its key", "no connection", "", key=KEYS[1]),
    Case("expired", "refused", "is valid from", certificate(issuer=CA, start=NOW - 2 * DAY, end=NOW - DAY)),
    Case("expired, and pinned", "refused", "is valid from", EXPIRED, trust=pinned(EXPIRED)),
    Case("not yet valid", "refused", "is valid from",
         certificate(issuer=CA, start=NOW + DAY, end=NOW + 2 * DAY)),
    Case("an authority that expired", "refused", "is valid from",
         certificate(issuer=OLD), trust=FIRST | {"certificates": ["old.pem"]}),
    Case("the right authority and another host", "refused", "and the endpoint is",
         certificate(issuer=CA, host="10.0.0.7")),
    Case("a certificate for another application", "refused", "application URI does not fit",
         certificate(issuer=CA, uri="urn:other")),
    Case("a server that says it is another application", "refused", "application URI does not fit",
         change=with_another_name),
    Case("another application than the configured one", "refused", "application URI does not fit",
         trust=FIRST | {"application_uri": "urn:press-7"}),
    Case("revoked", "refused", "is revoked", trust=CRL, lists=(revocations(CA, SIGNED.serial_number),)),
    Case("no revocation list", "refused", "no signed and fresh revocation list", trust=CRL),
    Case("a stale revocation list", "refused", "no signed and fresh revocation list", trust=CRL,
         lists=(revocations(CA, end=NOW - HOUR),)),
    Case("a revocation list that another key signed", "refused", "no signed and fresh revocation list",
         trust=CRL, lists=(revocations(CA, key=KEYS[2]),)),
    Case("a key of 1,024 bits", "refused", "is no RSA key of 2048 bits", certificate(SMALL, issuer=CA), SMALL),
    Case("a key of 1,024 bits, pinned", "refused", "is no RSA key of 2048 bits", WEAK, SMALL,
         trust=pinned(WEAK)),
    Case("signed with SHA-1 by the authority", "refused", "is not trusted", signed_with_sha1(CA)),
    Case("signed with SHA-1, and pinned", "refused", "is weaker than SHA-256", SHA1, trust=pinned(SHA1)),
    Case("a key that is not for signing", "refused", "is not for signing",
         certificate(issuer=CA, usage=False)),
    Case("a certificate of a client", "refused", "is not for servers",
         certificate(issuer=CA, role=ExtendedKeyUsageOID.CLIENT_AUTH)),
    Case("no certificate", "refused", "sent no certificate", change=without_certificates),
    Case("only the policy None", "refused", "offers no Basic256Sha256/SignAndEncrypt", key=None),
    Case("somebody in between who says there is only None", "refused",
         "offers no Basic256Sha256/SignAndEncrypt", relay=downgraded),
    Case("somebody in between who says passwords go in plain", "connects", mode="Sign",
         relay=plain_passwords),
    Case("a server that wants the password in plain", "refused", "wants the password unencrypted",
         mode="Sign", change=wanting_plain_passwords),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant():
    async with PlantServer() as made:
        yield made


@pytest.fixture
def files(tmp_path) -> Files:
    made = Files(tmp_path)
    (tmp_path / "old.pem").write_bytes(OLD[0].public_bytes(Encoding.PEM))
    (tmp_path / "crl").mkdir()
    return made


async def attempt(plant: PlantServer, files: Files, case: Case) -> tuple[str, str]:
    """How a source ends against the server of a case, and its message."""
    for number, crl in enumerate(case.lists):
        (files.root / "crl" / f"{number}.crl").write_bytes(crl.public_bytes(Encoding.DER))
    security = None
    if case.key is not None:
        made = files.put("server", case.shown, case.key)
        security = msgspec.structs.replace(made, users={"mfg": "our-password"})
    await plant.show(security)
    if case.change is not None:
        case.change(plant)
    if case.relay is None:
        return await connected(files, case, plant.endpoint)
    async with Relay(plant.port, case.relay) as relay:
        ended = await connected(files, case, relay.endpoint)
        assert relay.rewritten > 0
        assert b"our-password" not in relay.sent
        return ended


async def connected(files: Files, case: Case, endpoint: str) -> tuple[str, str]:
    trust = FIRST if case.trust is None else case.trust
    source = files.source(
        endpoint,
        security={"trust": trust, "mode": case.mode},
        user="mfg",
        password="our-password",
        timeout_s=1,
    )
    try:
        assert await first_value(source) == 0
    except Quarantined as error:
        return "quarantine", str(error)
    except Disconnected as error:
        return "no connection", str(error)
    except AdapterError as error:
        return "refused", str(error)
    return "connects", ""


@pytest.mark.parametrize("case", [case for case in CASES if not case.known], ids=lambda case: case.name)
async def test_a_server_is_believed_or_not(plant, files, case):
    ends, message = await attempt(plant, files, case)
    assert ends == case.ends, message
    assert case.says in message


async def test_a_new_certificate_is_not_believed_because_its_authority_is(plant, files):
    (case,) = [case for case in CASES if case.known]
    await plant.show(files.put("real", SIGNED, KEYS[0]))
    assert await first_value(files.source(plant.endpoint)) == 0
    ends, message = await attempt(plant, files, case)
    assert ends == case.ends
    assert case.says in message


async def test_the_page_shows_what_becomes_of_each():
    shown = re.search(r"\| a server, or somebody in between \|.*?\n\n", PAGE, re.DOTALL)
    rows = [f"| {case.name} | {case.ends} | {f'…{case.says}…' if case.says else ''} |" for case in CASES]
    wanted = ["| a server, or somebody in between | it | the message says |", "|---|---|---|", *rows]
    assert shown is not None
    assert shown[0].strip().splitlines() == [line.replace("|  |", "| |") for line in wanted]


async def test_a_session_that_shows_no_certificate_is_refused(plant, files, monkeypatch):
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
    await plant.show(files.put("server", SIGNED, KEYS[0]))
    with pytest.raises((AdapterError, Disconnected), match="certificate"):
        await first_value(files.source(plant.endpoint))


async def test_without_a_validator_no_session_begins(plant, files, monkeypatch):
    seen = PlantClient.create_session

    async def careless(self):
        self.certificate_validator = None
        return await seen(self)

    monkeypatch.setattr(PlantClient, "create_session", careless)
    await plant.show(files.put("server", SIGNED, KEYS[0]))
    with pytest.raises(AdapterError, match="no validator"):
        await first_value(files.source(plant.endpoint))


@pytest.mark.parametrize(
    ("policy", "offered"),
    [
        ("Basic256Sha256", "Basic256Sha256_SignAndEncrypt"),
        ("Aes128_Sha256_RsaOaep", "Aes128Sha256RsaOaep_SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "Aes256Sha256RsaPss_SignAndEncrypt"),
    ],
)
async def test_a_secure_connection_reads_values(plant, files, policy, offered):
    security = msgspec.structs.replace(files.put("server", SIGNED, KEYS[0]), policies=[offered])
    await plant.show(security)
    assert await first_value(files.source(plant.endpoint, security={"policy": policy})) == 0


async def test_a_wrong_password_is_denied(plant, files):
    shown = msgspec.structs.replace(files.put("server", OWN, KEYS[0]), users={"mfg": "secret"})
    await plant.show(shown)
    source = files.source(plant.endpoint, security={"trust": pinned(OWN)}, user="mfg", password="wrong")
    with pytest.raises(Disconnected, match=r"BadUserAccessDenied|denied|BadIdentityToken"):
        await first_value(source)


async def test_a_key_that_anybody_can_read_is_refused(files):
    (files.root / "ours.pem").chmod(0o644)
    with pytest.raises(AdapterError, match="expected mode 0600"):
        await first_value(files.source("opc.tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("mode", "policy", "fine"),
    [
        ("Sign", NONE, False),
        ("Sign", "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15", False),
        ("SignAndEncrypt", "http://opcfoundation.org/UA/SecurityPolicy#Basic256", False),
        ("SignAndEncrypt", NONE, True),
        ("Sign", "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256", True),
    ],
)
async def test_a_password_is_sent_as_nobody_else_can_read_it(files, mode, policy, fine):
    client = PlantClient(files.source("opc.tcp://127.0.0.1:1")._config, lambda reason: None)
    client.security_policy.Mode = ua.MessageSecurityMode[mode]
    client._policy_ids = [ua.UserTokenPolicy(TokenType=ua.UserTokenType.UserName, SecurityPolicyUri=policy)]
    if fine:
        assert client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri == policy
        return
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
        ({"security": {"trust": {"thumbprints": ["ab" * 32], "certificates": ["x"]}}}, "both"),
        ({"security": {"trust": {"thumbprints": ["ab"]}}}, "matching regex"),
        ({"security": {"trust": {"thumbprints": ["ab" * 32], "crl": ["x"]}}}, "crl"),
        ({"security": {"trust": {"crl": ["x"]}}}, "crl"),
        ({"security": {"trust": {"thumbprints": ["ab" * 32], "first_use": "accept"}}}, "first_use"),
        ({"insecure": True}, "one of them"),
    ],
)
async def test_weak_security_is_refused_by_the_configuration(files, settings, reason):
    with pytest.raises(msgspec.ValidationError, match=reason):
        files.source("opc.tcp://h:4840", **settings)
