"""Which addresses a sink may connect to, checked on every resolution, so a name cannot be rebound later."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

__all__ = ["Forbidden", "GuardedResolver", "forbidden"]

# Metadata services that are not link-local: Alibaba, AWS over IPv6, Oracle and others in 192.0.0.0/24.
_METADATA = [
    ipaddress.ip_network(net)
    for net in ("100.100.100.200/32", "fd00:ec2::/32", "192.0.0.0/24", "168.63.129.16/32")
]
_SHARED = ipaddress.ip_network("100.64.0.0/10")
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Forbidden(OSError):  # noqa: N818 - says what the address is
    """The target has an address that is not allowed."""


def forbidden(address: str, *, allow_private: bool = False, networks: Sequence[str] = ()) -> str | None:
    """Why `address` must not be connected to, or `None` if it may be.

    Args:
        address: as text; an IPv4 address in an IPv6 one is seen through.
        allow_private: whether private and loopback networks are allowed.
        networks: if any, the only ones that are allowed; private ones too.
    """
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return forbidden(str(inner), allow_private=allow_private, networks=networks)
    if ip.is_link_local or any(ip in net for net in _METADATA if net.version == ip.version):
        return "link-local and metadata addresses are never allowed"
    private = ip.is_loopback or ip.is_private or (ip.version == 4 and ip in _SHARED)
    nobody = ip.is_multicast or ip.is_unspecified or ip == _BROADCAST
    if nobody or not (private or networks or (ip.is_global and not ip.is_reserved)):
        return "not the address of a host"
    if networks:
        listed = any(ip in ipaddress.ip_network(one) for one in networks)
        return None if listed else f"it is in none of `networks` ({', '.join(networks)})"
    if private and not allow_private:
        return "private and loopback addresses need `allow_private: true`"
    return None


class GuardedResolver(AbstractResolver):
    """Resolve a name and refuse it if any of its addresses is not allowed."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        networks: Sequence[str] = (),
        inner: AbstractResolver | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._networks = networks
        self._inner = inner if inner is not None else ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of `host`, all of them allowed.

        Raises:
            Forbidden: one of them is not.
            OSError: the name cannot be resolved.
        """
        results = await self._inner.resolve(host, port, family)
        for result in results:
            reason = self.forbidden(result["host"])
            if reason is not None:
                raise Forbidden(f"{host} resolves to {result['host']}: {reason}")
        return results

    def forbidden(self, address: str) -> str | None:
        """Why `address` must not be connected to, or `None` if it may be."""
        return forbidden(address, allow_private=self._allow_private, networks=self._networks)

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._inner.close()
