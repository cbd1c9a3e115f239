"""A connection to a server that proved who it is. Imports asyncua: only for `source`, on first use."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from mfgroute.adapter import Context
from mfgroute.adapters.opcua.change import micros
from mfgroute.adapters.opcua.config import OpcUaConfig, Security, Trust
from mfgroute.adapters.opcua.known import How, Known
from mfgroute.adapters.opcua.trust import TrustList, chain, load, load_crls, thumbprint
from mfgroute.errors import AdapterError, Disconnected

logger = logging.getLogger("mfgroute.adapters.opcua")

CHUNK_BYTES_MAX = 65_535
CHUNKS_MAX = 256
MESSAGE_BYTES_MAX = 16 * 2**20
SESSION_MS = 60_000
#: How often a certificate is checked while it is in use.
LOOK_S = 5.0
#: Server_ServerStatus_StartTime of the standard.
_START_TIME = ua.NodeId.from_string("i=2257")

_POLICIES: dict[str, Any] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_NONE = security_policies.SecurityPolicyNone.URI
_STRONG = {policy.URI for policy in _POLICIES.values()}
#: What asyncua raises when a server cannot be reached or does not want to.
FAILURES = (OSError, TimeoutError, UaError)


class _Limits(TransportLimits):
    """Limits that a server may lower and not raise."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        self.max_chunk_count = min(msg.MaxChunkCount or CHUNKS_MAX, CHUNKS_MAX)
        self.max_message_size = min(msg.MaxMessageSize or MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX)
        self.max_recv_buffer = min(msg.SendBufferSize, CHUNK_BYTES_MAX)
        self.max_send_buffer = min(msg.ReceiveBufferSize, CHUNK_BYTES_MAX)


class _Protocol(UASocketProtocol):
    """A socket that does not gather a chunk without end: its size is the server's word."""

    def data_received(self, data: bytes) -> None:
        if self.receive_buffer and len(self.receive_buffer) > 2 * CHUNK_BYTES_MAX:
            self.disconnect_socket()
            return
        super().data_received(data)


def _make_protocol(transport: UaClient, timeout_s: float) -> UASocketProtocol:
    protocol = _Protocol(
        timeout_s,
        security_policy=transport.security_policy,
        limits=_Limits(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX),
    )
    protocol.pre_request_hook = transport.pre_request_hook
    protocol.on_connection_lost = transport._on_transport_lost  # noqa: SLF001 - as UaClient does
    protocol.is_session_closing = transport._is_session_closing  # noqa: SLF001 - as UaClient does
    transport.protocol = protocol
    return protocol


class PlantClient(Client):
    """asyncua's client, closed where it is open: see `trust`."""

    def __init__(self, config: OpcUaConfig, on_lost: Callable[[str], None]) -> None:
        super().__init__(config.endpoint, timeout=config.timeout_s, watchdog_intervall=config.alive_s)
        self.server_application_uri = ""
        self.approved: str | None = None
        self.known: Known | None = None
        self._look: Callable[[], object] | None = None
        self._look_s = 0.0
        self._secured = config.security is not None
        self.on_lost = on_lost
        self.session_timeout = SESSION_MS
        self.max_messagesize = MESSAGE_BYTES_MAX
        self.max_chunkcount = CHUNKS_MAX
        self.connection_lost_callback = self._lost
        # asyncua makes its socket here and has no parameter for its limits.
        make = partial(_make_protocol, self.uaclient, config.timeout_s)
        self.uaclient._make_protocol = make  # type: ignore[method-assign] # noqa: SLF001 - see above

    async def _lost(self, error: Exception) -> None:
        self.on_lost(f"connection lost: {error or type(error).__name__}")

    async def create_session(self) -> ua.CreateSessionResult:
        """Create a session; the server must have shown the approved certificate."""
        if self._secured and self.certificate_validator is None:
            raise AdapterError("no validator for the server's certificate")
        approved, self.approved = self.approved, None
        try:
            result = await super().create_session()
        except InvalidSignature as error:
            raise AdapterError("the server cannot prove that its certificate is its own") from error
        if self._secured and (self.approved is None or self.approved != approved):
            raise AdapterError("the server sent no certificate, or another one, when the session began")
        if not self._secured:
            endpoint = self.find_endpoint(
                result.ServerEndpoints, self.security_policy.Mode, self.security_policy.URI
            )
            self.server_application_uri = endpoint.Server.ApplicationUri or ""
        return result

    def doubt(self) -> str:
        """Why the server is not believed any more; empty as long as it is. Cheap between two looks.

        A certificate expires, its authority revokes it, or a person withdraws the approval, while we are
        connected: none of that ends a connection by itself.
        """
        if self.known is None or self.approved is None:
            return ""
        try:
            if self.known.withdrawn(self.approved):
                return f"the certificate sha256 {self.approved} is not approved any more"
            if self._look is not None and time.monotonic() >= self._look_s:
                self._look_s = time.monotonic() + LOOK_S
                self._look()
        except AdapterError as error:
            return str(error)
        return ""

    def look_again_with(self, look: Callable[[], object]) -> None:
        """From now on `look` raises `AdapterError` when a check of the server's certificate fails."""
        self._look, self._look_s = look, time.monotonic() + LOOK_S

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """How a user is identified; a password never goes over the wire for all to read."""
        policy = super().server_policy(token_type)
        encrypted = self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        named = self._secured and token_type == ua.UserTokenType.UserName
        # In an encrypted channel a password needs no encryption of its own, but a broken one gives it away.
        strong = policy.SecurityPolicyUri in _STRONG or (encrypted and policy.SecurityPolicyUri == _NONE)
        if named and not strong:
            raise AdapterError("the server wants the password unencrypted or weakly encrypted")
        return policy


async def connect(config: OpcUaConfig, context: Context, on_lost: Callable[[str], None]) -> PlantClient:
    """Connect, with a server that is believed.

    Raises:
        Disconnected: the server cannot be reached or does not let us in.
        AdapterError: the server is not believed, or our own certificate is no good.
    """
    quiet()
    client = PlantClient(config, on_lost)
    try:
        if config.security is None:
            logger.warning(
                "INSECURE: %s talks to %s without security; anybody on the network can forge values",
                context.name,
                config.endpoint,
            )
        else:
            await _secure(client, config, config.security, context)
        if config.user is not None:
            client.set_user(config.user)
        if config.password is not None:
            client.set_password(config.password.reveal())
        await client.connect()
    except FAILURES as error:
        await disconnect(client, config.timeout_s)
        raise Disconnected(f"cannot connect to {config.endpoint}: {error or type(error).__name__}") from error
    except BaseException:
        await disconnect(client, config.timeout_s)
        raise
    return client


async def started_us(client: PlantClient) -> int | None:
    """When the server began, in microseconds since 1970; `None` if it does not say."""
    try:
        found = await client.get_node(_START_TIME).read_value()
    except FAILURES:
        return None
    return micros(found) if isinstance(found, datetime) else None


async def disconnect(client: Client, timeout_s: float) -> None:
    """Disconnect, and do not wait long for a server that does not answer."""
    try:
        async with asyncio.timeout(timeout_s):
            await client.disconnect()
    except Exception:
        logger.debug("disconnecting failed", exc_info=True)
    finally:
        client.disconnect_socket()


def quiet() -> None:
    """Silence asyncua, unless somebody set its level: it logs tracebacks of what we raise and handle."""
    for name in ("asyncua", "asyncuagds"):
        library = logging.getLogger(name)
        if library.level == logging.NOTSET:
            library.setLevel(logging.CRITICAL + 1)


async def _secure(client: PlantClient, config: OpcUaConfig, security: Security, context: Context) -> None:
    trust, ours = _load(security, context)
    client.application_uri = _application_uri(ours)
    host = client.server_url.hostname or ""
    policy = _POLICIES[security.policy]
    mode = ua.MessageSecurityMode[security.mode]
    endpoints = await client.connect_and_get_server_endpoints()
    try:
        endpoint = client.find_endpoint(endpoints, mode, policy.URI)
    except UaError as error:
        offered = sorted(
            {f"{one.SecurityPolicyUri.rpartition('#')[2]}/{one.SecurityMode.name}" for one in endpoints}
        )
        raise AdapterError(
            f"{config.endpoint} offers no {security.policy}/{security.mode}, "
            f"only {', '.join(offered) or 'nothing'}"
        ) from error
    claimed = endpoint.Server.ApplicationUri
    known = Known(context.data_dir, context.name)
    try:
        approved = trust.approve(endpoint.ServerCertificate, application_uri=claimed, host=host)
    except AdapterError as error:
        if endpoint.ServerCertificate:
            known.refuse(chain(endpoint.ServerCertificate)[0], config.endpoint, str(error))
        raise
    shown = chain(endpoint.ServerCertificate)[0]
    client.look_again_with(
        lambda: _load(security, context)[0].approve(
            endpoint.ServerCertificate, application_uri=claimed, host=host
        )
    )
    how = _judge(known, shown, config.endpoint, trust, security.trust)

    async def validate(certificate: x509.Certificate, application: ua.ApplicationDescription) -> None:
        if thumbprint(certificate) != approved or application.ApplicationUri != claimed:
            raise AdapterError("the server showed another certificate or name when the session began")
        client.approved = approved
        known.keep(certificate, config.endpoint, how)
        client.known = known

    client.certificate_validator = validate
    client.approved = approved
    client.server_application_uri = claimed or ""
    root = context.project_dir
    await client.set_security(
        policy,
        CertProperties(root / security.certificate),
        CertProperties(root / security.private_key),
        None if security.private_key_password is None else security.private_key_password.reveal(),
        server_certificate=CertProperties(shown.public_bytes(Encoding.DER), extension="der"),
        mode=mode,
    )


def _judge(known: Known, shown: x509.Certificate, endpoint: str, trust: TrustList, said: Trust) -> How:
    """How a certificate that passed every check is believed."""
    hows: set[How] = {"pinned"} if said.thumbprints else {"person"}
    if said.first_use == "accept":
        hows.add("first_use")
    if trust.lists(shown):
        hows.add("listed")
    return known.judge(shown, endpoint, hows=frozenset(hows))


def _load(security: Security, context: Context) -> tuple[TrustList, x509.Certificate]:
    root = context.project_dir
    key = root / security.private_key
    try:
        if key.stat().st_mode & 0o007:
            raise AdapterError(f"anybody can read the key {key}, expected mode 0600")
    except OSError as error:
        raise AdapterError(f"cannot read the key {key}: {error.strerror}") from error
    trust = security.trust
    listed = TrustList(
        thumbprints=trust.thumbprints,
        certificates=load([root / path for path in trust.certificates]) if trust.certificates else (),
        crls=load_crls([root / path for path in trust.crl]) if trust.crl else None,
        application_uri=trust.application_uri,
        person=not trust.thumbprints and not trust.certificates,
    )
    return listed, load([root / security.certificate])[0]


def _application_uri(ours: x509.Certificate) -> str:
    try:
        names = ours.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError) as error:
        raise AdapterError("our certificate names no application URI, which servers ask for") from error
