"""Certificates made here, the files of a source, and relays that change what a server says."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mfgroute.adapter import Context, dec_hook
from mfgroute.adapters.opcua import OpcUaConfig, OpcUaSource
from mfgroute.testing.plant import PlantSecurity

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
    return builder.sign(signing_key, hashes.SHA256())


def signed_with_sha1(issuer=None) -> x509.Certificate:
    """A certificate as authorities made them long ago; the library that makes the others refuses to."""
    strong = certificate(issuer=issuer)
    sha256, sha1 = (bytes.fromhex("2a864886f70d0101" + end) for end in ("0b", "05"))
    old = strong.tbs_certificate_bytes.replace(sha256, sha1)
    whole = strong.public_bytes(Encoding.DER).replace(sha256, sha1)
    signature = (issuer[1] if issuer else KEYS[0]).sign(old, padding.PKCS1v15(), hashes.SHA1())
    return x509.load_der_x509_certificate(whole[: -len(signature)] + signature)


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


#: An authority, another one with the same name, and the certificate of the server that is meant.
CA = authority()
IMPOSTOR = authority(KEYS[2])
SIGNED = certificate(issuer=CA)


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
            "trust": {"certificates": ["trusted"], "first_use": "accept"},
        } | settings.pop("security", {})
        given = {"endpoint": endpoint, "nodes": ["ns=2;s=P7.Good"], "interval_ms": 20, "timeout_s": 3}
        config = msgspec.convert(given | {"security": security} | settings, OpcUaConfig, dec_hook=dec_hook)
        return OpcUaSource(
            config, Context(name="press-7", project_dir=self.root, data_dir=self.root / "data")
        )


async def first_value(source: OpcUaSource):
    try:
        await source.open(None)
        intake = await source.read()
        return msgspec.json.decode(intake.messages[0])["value"]
    finally:
        await source.close()


class Relay:
    """Between a source and a server: `change` rewrites what the server answers to "which endpoints?".

    That question is asked before anything is secured, so whoever sits in between can change its answer.
    """

    def __init__(self, port: int, change: Callable[[ua.EndpointDescription], None]) -> None:
        self._port = port
        self._change = change
        self._tasks: set[asyncio.Task] = set()
        self._writers: list[asyncio.StreamWriter] = []
        #: Answers that were rewritten, and everything that the source sent.
        self.rewritten = 0
        self.sent = bytearray()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"opc.tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader, writer):
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there]
        self._tasks.add(asyncio.create_task(self._pass(reader, there, self._keep)))
        self._tasks.add(asyncio.create_task(self._pass(there_reader, writer, self._rewrite)))

    async def _pass(self, reader, writer, through):
        try:
            while True:
                head = await reader.readexactly(8)
                rest = await reader.readexactly(int.from_bytes(head[4:], "little") - 8)
                writer.write(through(head + rest))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _keep(self, chunk: bytes) -> bytes:
        self.sent += chunk
        return chunk

    def _rewrite(self, chunk: bytes) -> bytes:
        # Head, channel, token, sequence number, request: then the body, readable only without security.
        head, body = chunk[:24], chunk[24:]
        kind = ua.FourByteNodeId(ua.ObjectIds.GetEndpointsResponse_Encoding_DefaultBinary)
        if chunk[:3] != b"MSG" or body[:4] != b"\x01\x00" + int(kind.Identifier).to_bytes(2, "little"):
            return chunk
        answer = struct_from_binary(ua.GetEndpointsResponse, Buffer(body))
        for endpoint in answer.Endpoints:
            self._change(endpoint)
        body = struct_to_binary(answer)
        self.rewritten += 1
        return head[:4] + (24 + len(body)).to_bytes(4, "little") + head[8:] + body
