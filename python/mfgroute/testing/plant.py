"""A plant with an OPC UA server: machines that count, stop and change orders when told to.

For tests in the same process::

    async with PlantServer(["P7"]) as plant:
        await plant["P7"].produce(5)

and as a program for demos, which runs each machine by itself: ``python -m mfgroute.testing.plant --help``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import msgspec
from asyncua import ua
from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

NAMESPACE = "urn:mfgroute:plant"
#: Index of `NAMESPACE` on every plant.
INDEX = 2

_NODES: dict[str, tuple[ua.VariantType, Any]] = {
    "Good": (ua.VariantType.UInt16, 0),
    "Scrap": (ua.VariantType.UInt16, 0),
    "Run": (ua.VariantType.Boolean, True),
    "Order": (ua.VariantType.String, ""),
    "Tool": (ua.VariantType.String, ""),
    "StopCode": (ua.VariantType.UInt16, 0),
}


class PlantSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """What a server shows and offers.

    Attributes:
        certificate: file, PEM or DER.
        private_key: file, PEM.
        policies: names of `ua.SecurityPolicyType`.
        users: passwords by user name; empty lets anybody in.
    """

    certificate: Path
    private_key: Path
    policies: Sequence[str] = ("Basic256Sha256_SignAndEncrypt", "Basic256Sha256_Sign")
    users: Mapping[str, str] = {}


class Machine:
    """One machine: its nodes by name, and what it can be told to do."""

    def __init__(self, name: str, nodes: Mapping[str, Node]) -> None:
        self.name = name
        self.nodes = nodes
        self._values = {node: value for node, (_, value) in _NODES.items()}

    def node_id(self, node: str) -> str:
        """Node id as it is configured, such as ``ns=2;s=P7.Good``."""
        return f"ns={INDEX};s={self.name}.{node}"

    def value(self, node: str) -> Any:
        """What a node was last set to."""
        return self._values[node]

    async def set(
        self, node: str, value: Any, *, at: datetime | None = None, status: int = StatusCodes.Good
    ) -> None:
        """Give a node a value, with a source time and a status of one's choice."""
        self._values[node] = value
        now = datetime.now(UTC)
        data = ua.DataValue(
            Value=ua.Variant(value, _NODES[node][0]),
            StatusCode=ua.StatusCode(ua.UInt32(status)),
            SourceTimestamp=cast("ua.DateTime", at or now),
            ServerTimestamp=cast("ua.DateTime", now),
        )
        await self.nodes[node].write_attribute(AttributeIds.Value, data)

    async def produce(self, pieces: int = 1, *, scrap: int = 0, at: datetime | None = None) -> None:
        """Make good pieces one by one, then scrap; the counters start again after 65,535."""
        for node, count in (("Good", pieces), ("Scrap", scrap)):
            for _ in range(count):
                await self.set(node, (self._values[node] + 1) % 65_536, at=at)

    async def stop(self, code: int = 0, *, at: datetime | None = None) -> None:
        """Stop, for a reason that a person enters."""
        await self.set("StopCode", code, at=at)
        await self.set("Run", value=False, at=at)

    async def start(self, *, at: datetime | None = None) -> None:
        """Run again."""
        await self.set("Run", value=True, at=at)
        await self.set("StopCode", 0, at=at)

    async def change_order(self, order: str, *, tool: str | None = None, at: datetime | None = None) -> None:
        """Begin another order, with another tool or the same."""
        if tool is not None:
            await self.set("Tool", tool, at=at)
        await self.set("Order", order, at=at)

    async def reset(self, value: int = 0, *, at: datetime | None = None) -> None:
        """Set the counter of good pieces back."""
        await self.set("Good", value, at=at)

    async def degrade(self, node: str, status: int = StatusCodes.BadSensorFailure) -> None:
        """Report a node with its last value and another status."""
        await self.set(node, self._values[node], status=status)


class PlantServer:
    """A server with machines, on loopback and a free port unless told otherwise."""

    def __init__(
        self,
        machines: Sequence[str] = ("P7",),
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        application_uri: str = "urn:mfgroute:plant:server",
        security: PlantSecurity | None = None,
    ) -> None:
        self._names = tuple(machines)
        self._port = port or free_port()
        self._security = security
        self.endpoint = f"opc.tcp://{host}:{self._port}"
        self.application_uri = application_uri
        self.machines: dict[str, Machine] = {}
        self.server: Server | None = None

    def __getitem__(self, machine: str) -> Machine:
        return self.machines[machine]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The TCP port; the same after a restart."""
        return self._port

    async def start(self) -> None:
        """Listen. Machines keep what they counted over a restart."""
        security = self._security
        server = Server(
            user_manager=_Users(security.users) if security is not None and security.users else None
        )
        await server.init()
        server.disable_clock()
        server.set_endpoint(self.endpoint)
        await server.set_application_uri(self.application_uri)
        await self._secure(server)
        index = await server.register_namespace(NAMESPACE)
        assert index == INDEX, f"the plant's namespace has index {index}, expected {INDEX}"
        for name in self._names:
            await self._add(server, name)
        await server.start()
        self.server = server

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        server, self.server = self.server, None
        if server is not None:
            await server.stop()

    async def show(self, security: PlantSecurity | None) -> None:
        """Drop every connection, and listen again as a server with other certificates, policies and users.

        The machines and the port stay; much faster than a new server.
        """
        server = self.server
        assert server is not None, "the plant is not started"
        if server.bserver is not None:
            await server.bserver.stop()
        server.iserver.endpoints.clear()
        server._policies.clear()  # noqa: SLF001 - a server keeps those of before, and cannot be told not to
        self._security = security
        server.iserver.certificate = server.iserver.private_key = None
        server.iserver.user_manager = _Users(security.users if security is not None else {})
        await self._secure(server)
        await server.start()

    async def _secure(self, server: Server) -> None:
        security = self._security
        if security is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            return
        await server.load_certificate(security.certificate)
        await server.load_private_key(security.private_key)
        server.set_security_policy([ua.SecurityPolicyType[policy] for policy in security.policies])
        server.set_identity_tokens(
            [ua.UserNameIdentityToken] if security.users else [ua.AnonymousIdentityToken]
        )

    async def variable(self, name: str, value: Any, kind: ua.VariantType | None = None) -> Node:
        """Add a variable ``ns=2;s=<name>`` of any type."""
        assert self.server is not None, "the plant is not started"
        node_id = _node_id(name)
        return await self.server.nodes.objects.add_variable(node_id, name, value, varianttype=kind)

    async def _add(self, server: Server, name: str) -> None:
        parent = await server.nodes.objects.add_object(_node_id(name), name)
        nodes = {}
        known = self.machines.get(name)
        for node, (kind, default) in _NODES.items():
            value = known.value(node) if known is not None else default
            nodes[node] = await parent.add_variable(_node_id(f"{name}.{node}"), node, value, varianttype=kind)
        if known is None:
            self.machines[name] = Machine(name, nodes)
        else:
            known.nodes = nodes


class _Users(UserManager):
    """Lets in those who know their password; anybody, if there are no users."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users

    def get_user(
        self,
        iserver: object,
        username: str | None = None,
        password: str | None = None,
        certificate: object = None,
    ) -> User | None:
        """The user, or nobody."""
        del iserver, certificate
        if not self._users and username is None:
            return User(role=UserRole.User)
        if username is None or self._users.get(username) != password:
            return None
        return User(role=UserRole.User, name=username)


def _node_id(name: str) -> ua.NodeId:
    return ua.NodeId.from_string(f"ns={INDEX};s={name}")


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run(plant: PlantServer, *, pieces: int, cycle_s: float, order_pieces: int) -> None:
    """Run all machines: each makes a piece a cycle, and begins a new order after `order_pieces`."""
    orders = 1_004_744
    for made in range(pieces):
        for machine in plant.machines.values():
            if made % order_pieces == 0:
                await machine.reset()
                await machine.change_order(str(orders), tool=f"T-{orders % 50}")
                orders += 1
            await machine.produce(scrap=int(made % 10 == 9))
        await asyncio.sleep(cycle_s)


async def _main(given: argparse.Namespace) -> None:
    address = urlsplit(given.endpoint)
    security = None
    if given.certificate is not None and given.key is not None:
        security = PlantSecurity(certificate=given.certificate, private_key=given.key)
    plant = PlantServer(
        given.machines,
        host=address.hostname or "127.0.0.1",
        port=address.port or 4840,
        security=security,
    )
    async with plant:
        print(plant.endpoint, flush=True)  # noqa: T201 - whoever started this reads it
        await run(plant, pieces=given.pieces, cycle_s=given.cycle_s, order_pieces=given.order_pieces)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a plant until it has made its pieces or is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m mfgroute.testing.plant", description="An OPC UA plant")
    parser.add_argument("--endpoint", default="opc.tcp://127.0.0.1:4840", help="where to listen")
    parser.add_argument("--machines", nargs="+", default=["P7"], help="names of the machines")
    parser.add_argument("--pieces", type=int, default=1_000_000, help="pieces of each machine")
    parser.add_argument("--certificate", type=Path, help="certificate; without one nothing is secured")
    parser.add_argument("--key", type=Path, help="its key (PEM, PKCS #8)")
    parser.add_argument("--cycle-s", type=float, default=1.0, help="seconds for a piece")
    parser.add_argument("--order-pieces", type=int, default=100, help="pieces of an order")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
