"""Settings of the OPC UA source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mfgroute.adapter import Config, Secret
from mfgroute.adapters.opcua.detect import Detection
from mfgroute.adapters.opcua.rules import DetectRule, NodeText

#: Policies that are refused by name, so that the message can say why.
BROKEN = ("Basic128Rsa15", "Basic256")


class Trust(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which server certificates are believed: pinned ones, those of an authority, those a person approved."""

    thumbprints: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$")], ...],
        Meta(description="SHA-256 of each certificate that is believed, in hex, with or without colons"),
    ] = ()
    certificates: Annotated[
        tuple[Path, ...],
        Meta(
            description="Files, or folders of files, with trusted certificates and authorities (PEM or DER)"
        ),
    ] = ()
    crl: Annotated[
        tuple[Path, ...],
        Meta(description="Files or folders with revocation lists; given, every authority needs a fresh one"),
    ] = ()
    application_uri: Annotated[
        str | None,
        Meta(description="Application URI the server must have; otherwise the one it claims is compared"),
    ] = None
    first_use: Annotated[
        Literal["ask", "accept"] | None,
        Meta(
            description="What becomes of the first certificate of a server that passes all checks: `ask` "
            "(what counts without) until a person approves it, `accept` it; a later one always waits"
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.thumbprints and self.certificates:
            raise ValueError("trust has both thumbprints and certificates, expected one of them at most")
        if self.crl and not self.certificates:
            raise ValueError("trust has crl, expected crl only together with certificates")
        if self.thumbprints and self.first_use:
            raise ValueError("trust has first_use and thumbprints, expected one of them")


class Security(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How the channel is secured, and by whose certificates."""

    policy: Annotated[
        Literal[
            "Basic256Sha256",
            "Aes128_Sha256_RsaOaep",
            "Aes256_Sha256_RsaPss",
            "Basic128Rsa15",
            "Basic256",
            "None",
        ],
        Meta(description="Security policy; Basic128Rsa15 and Basic256 are refused, None is `insecure: true`"),
    ]
    mode: Annotated[
        Literal["SignAndEncrypt", "Sign"], Meta(description="Whether messages are encrypted or only signed")
    ] = "SignAndEncrypt"
    certificate: Annotated[
        Path, Meta(description="Our own certificate (PEM or DER); the server must trust it")
    ]
    private_key: Annotated[
        Path, Meta(description="Key of our certificate (PEM or DER), readable by nobody else")
    ]
    private_key_password: Annotated[Secret | None, Meta(description="Password of the key")] = None
    trust: Annotated[Trust, Meta(description="Which server certificates are believed")]

    def __post_init__(self) -> None:
        if self.policy in BROKEN:
            raise ValueError(f"policy {self.policy} is broken, expected Basic256Sha256 or better")
        if self.policy == "None":
            raise ValueError("policy None secures nothing: leave security out and say insecure: true")


class OpcUaConfig(Config):
    """Where to connect, what to watch and what to make of it."""

    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^opc\.tcp://[^\s/@]+(/\S*)?$",
            description="Server to connect to, as opc.tcp://host:4840",
        ),
    ]
    nodes: Annotated[
        tuple[NodeText, ...], Meta(description="Nodes whose every change becomes a message")
    ] = ()
    detect: Annotated[
        tuple[DetectRule, ...], Meta(description="Counters and states that become messages")
    ] = ()
    security: Annotated[Security | None, Meta(description="How the channel is secured")] = None
    insecure: Annotated[
        bool, Meta(description="Talk without any security: anybody on the network can read and forge values")
    ] = False
    user: Annotated[str | None, Meta(description="User name; anonymous without")] = None
    password: Annotated[Secret | None, Meta(description="Password of the user")] = None
    interval_ms: Annotated[int, Meta(ge=10, le=60_000, description="How often the server publishes")] = 250
    sampling_ms: Annotated[
        Annotated[int, Meta(ge=0, le=60_000)] | None,
        Meta(description="How often the server samples a node; as it publishes without"),
    ] = None
    queue_max: Annotated[
        int,
        Meta(
            ge=1, le=1_000_000, description="Changes held while the core is busy; more loses the connection"
        ),
    ] = 10_000
    server_queue: Annotated[
        int,
        Meta(ge=2, le=100_000, description="Changes of one node the server holds between two publishings"),
    ] = 100
    backfill: Annotated[
        bool, Meta(description="Whether the server's history is asked for what is missing, where it has one")
    ] = True
    gaps: Annotated[
        Literal["event", "message", "count"],
        Meta(
            description="What becomes of values that are missing for good: an `event` data.gap.detected/1, a "
            "`message` with `detect: gap` for the mappings of the source, or nothing more than a `count`"
        ),
    ] = "event"
    batch_max: Annotated[int, Meta(ge=1, le=10_000, description="Most changes taken at once")] = 500
    timeout_s: Annotated[float, Meta(gt=0, le=60, description="How long the server may take to answer")] = 4.0
    alive_s: Annotated[
        float, Meta(ge=0.2, le=60, description="How often the server is asked whether it lives")
    ] = 1.0

    def __post_init__(self) -> None:
        if not self.nodes and not self.detect:
            raise ValueError("nothing to watch, expected nodes or detect")
        if self.insecure and self.security is not None:
            raise ValueError("insecure is true and there is security, expected one of them")
        if not self.insecure and self.security is None:
            raise ValueError(
                "no security, expected security with certificate, private_key and trust (or insecure: true)"
            )
        if self.password is not None and self.user is None:
            raise ValueError("a password without a user, expected both")
        names = [rule.name for rule in self.detect]
        if len(set(names)) != len(names):
            raise ValueError("two detectors have the same name")
        if self.gaps != "count" and "gap" in names:
            raise ValueError("a detector is called gap, as the messages of gaps are")
        if len(self.watched()) > self.queue_max:
            raise ValueError(
                f"{len(self.watched())} nodes do not fit in queue_max, expected at least that many"
            )
        Detection(self.detect)

    def watched(self) -> list[str]:
        """Every node, once, in a stable order."""
        wanted = [*self.nodes]
        for rule in self.detect:
            wanted += rule.nodes()
        return list(dict.fromkeys(wanted))
