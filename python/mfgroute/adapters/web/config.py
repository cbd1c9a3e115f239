"""Settings of the connection to a target over HTTP."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config
from mfgroute.errors import SettingError
from mfgroute.units import Size

__all__ = ["ConnectionConfig", "check_url"]

#: Resolvers read a host whose last part is a number as an address: `0x7f.1` is this machine.
_NUMERIC = re.compile(r"(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)\.?$")


class ConnectionConfig(Config, kw_only=True):
    """How a target over HTTP is connected to, and how much of its answers is read."""

    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds until a connection must stand, TLS included")
    ] = 3.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="Seconds until the whole answer must be there")
    ] = 30.0
    response_max: Annotated[
        Size,
        Meta(description="Bytes of an answer that are read, unpacked"),
    ] = Size(1 << 20)
    allow_private: Annotated[
        bool,
        Meta(
            description="Allow a target in a private or loopback network. Link-local and metadata addresses "
            "are never allowed"
        ),
    ] = False
    networks: Annotated[
        list[str],
        Meta(
            description="The only networks in which a target may be, private ones too, such as "
            "`10.20.0.0/16`; instead of `allow_private`"
        ),
    ] = msgspec.field(default_factory=list)
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust instead of the system's")
    ] = None
    cert_file: Annotated[
        str | None, Meta(description="PEM file of our certificate for a target that asks for one")
    ] = None
    key_file: Annotated[str | None, Meta(description="PEM file of the private key of `cert_file`")] = None

    def __post_init__(self) -> None:
        """Refuse half a key pair, and networks that are none."""
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together")
        for index, network in enumerate(self.networks):
            try:
                ip_network(network)
            except ValueError as error:
                said = f"{error}, expected a network such as `10.20.0.0/16`"
                raise SettingError(said, f"/networks/{index}") from error
        if self.networks and self.allow_private:
            raise SettingError("`networks` and `allow_private: true` exclude each other", "/allow_private")


def check_url(name: str, url: str, instead: str) -> None:
    """Refuse a URL that could leak a secret or break a request.

    Args:
        name: of the setting.
        url: its value.
        instead: where a user and password belong.

    Raises:
        ValueError: it has no host or a number for one, or holds a user, password, fragment, space or
            control character.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"`{name}` has no host")
    if _NUMERIC.search(parts.hostname) and not _is_address(parts.hostname):
        raise ValueError(f"`{name}` has an address in an odd form; write it as four decimal numbers")
    if parts.username or parts.password:
        raise ValueError(f"`{name}` holds a user or password; use {instead}")
    if parts.fragment or any(sign <= " " for sign in url):
        raise ValueError(f"`{name}` holds a fragment, space or control character")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
