"""Certificates are checked, whoever asks."""

import datetime as dt
import re
import ssl
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import mfgroute
from mfgroute.adapters.http import HttpSinkConfig
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done

from .conftest import make_event
from .http_target import NONE
from .http_target import write as to_target

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def issue(folder, name, *, issuer=None, host="localhost", ends=NOW + DAY):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 3 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )
    if issuer is None:
        names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        usage = dict.fromkeys([*names.split(), "encipher_only", "decipher_only"], False)
        builder = builder.add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return subject, key


@pytest.fixture
async def serve(tmp_path):
    runners = []

    async def start(name, *, client_ca=None):
        seen = []

        async def handle(request):
            seen.append(await request.read())
            return web.Response(status=201)

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        if client_ca:
            tls.load_verify_locations(tmp_path / f"{client_ca}.pem")
            tls.verify_mode = ssl.CERT_REQUIRED
        app = web.Application()
        app.router.add_post("/x", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return f"https://localhost:{runner.addresses[0][1]}/x", seen

    yield start
    for runner in runners:
        await runner.cleanup()


async def write(context, url, **more):
    return await to_target(context, url, make_event(), effect=NONE, **more)


async def test_a_certificate_of_the_listed_authority_is_accepted(context, tmp_path, serve):
    issue(tmp_path, "server", issuer=issue(tmp_path, "ca"))
    url, _ = await serve("server")
    assert await write(context, url, ca_file="ca.pem") == [Done()]


@pytest.mark.parametrize("case", ["unknown", "self-signed", "wrong host", "no san", "expired"])
async def test_any_other_certificate_is_refused_before_a_byte_of_the_event_is_sent(
    context, tmp_path, serve, case
):
    ca = issue(tmp_path, "ca")
    other = issue(tmp_path, "other")
    match case:
        case "unknown":
            issue(tmp_path, "server", issuer=other)
        case "self-signed":
            issue(tmp_path, "server")
        case "wrong host":
            issue(tmp_path, "server", issuer=ca, host="elsewhere.example")
        case "no san":
            issue(tmp_path, "localhost", issuer=ca, host=None)
        case "expired":
            issue(tmp_path, "server", issuer=ca, ends=NOW - DAY)
    url, seen = await serve("localhost" if case == "no san" else "server")
    with pytest.raises(Disconnected, match="cannot reach") as failure:
        await write(context, url, ca_file="ca.pem")
    assert failure.value.sent is False
    assert seen == []


async def test_our_own_certificate_is_shown_to_a_target_that_asks(context, tmp_path, serve):
    ca = issue(tmp_path, "ca")
    issue(tmp_path, "server", issuer=ca)
    issue(tmp_path, "client", issuer=ca)
    url, seen = await serve("server", client_ca="ca")
    more = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    assert await write(context, url, **more) == [Done()]
    assert len(seen) == 1


async def test_a_certificate_file_that_is_missing_is_said_at_the_start(context, tmp_path):
    with pytest.raises(AdapterError, match="certificates"):
        await write(context, "https://localhost:1/x", ca_file="nothing.pem")


@pytest.mark.parametrize(
    "key", ["verify", "insecure", "tls_verify", "verify_tls", "skip_verify", "check_hostname"]
)
def test_no_setting_switches_the_check_off(key):
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({"url": "https://x/", key: False}, HttpSinkConfig)


@pytest.mark.parametrize("case", ["self-signed", "wrong host"])
async def test_nothing_around_the_node_switches_the_check_off(context, tmp_path, serve, monkeypatch, case):
    issue(tmp_path, "server", host="elsewhere.example" if case == "wrong host" else "localhost")
    url, seen = await serve("server")
    for name in ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "GIT_SSL_VERIFY"):
        monkeypatch.setenv(name, "0")
    for name in ("SSL_NO_VERIFY", "CURL_INSECURE", "AIOHTTP_NO_VERIFY"):
        monkeypatch.setenv(name, "1")
    # The switch that Python itself has for whole programs.
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    with pytest.raises(Disconnected, match="cannot reach"):
        await write(context, url, **({"ca_file": "server.pem"} if case == "wrong host" else {}))
    assert seen == []


def test_no_code_of_the_package_switches_the_check_off():
    switch = re.compile(
        r"CERT_NONE|CERT_OPTIONAL|_create_unverified|check_hostname\s*=\s*False|ssl\s*=\s*False|verify\s*=\s*False"
    )
    files = list(Path(mfgroute.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    assert [str(path) for path in files if switch.search(path.read_text())] == []
