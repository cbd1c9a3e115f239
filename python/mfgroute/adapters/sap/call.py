"""What is kept of a posting before it is sent: everything that sending, asking and undoing need."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from mfgroute.adapter import Request
from mfgroute.errors import AdapterError

__all__ = ["Call", "compact", "counted", "pack", "unpack"]


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One posting.

    Attributes:
        kind: how it is sent, asked about and undone.
        service: of the target.
        path: under the service, with the query of a function.
        body: the exact JSON text; empty for a function.
        request_id: 32 hex digits.
        created: when it was rendered, as ``RepeatabilityCreation`` says it.
        reference: ours in the target: 16 characters or a GUID.
        site: plant.
        order: that it belongs to, or empty.
        operation: of a confirmation.
        amounts: of a confirmation, to tell that what is found is ours.
        moves: how many goods movements a confirmation lists.
        undoes: what a cancellation takes back, as `Done.reference` names it.
        thing: what is posted to, as `Request.object`.
        counts: what is added to it, as `Request.amounts`.
        posting_date: ISO date.
        key: of the batch whose status is set.
        restricted: the status that is set.
        hold: whose placing or release sets it.
        held: other holds, for which the status of the batch is left as it is.
    """

    kind: Literal["confirm", "cancel", "move", "unmove", "restrict"]
    service: str
    path: str
    body: str = ""
    request_id: str
    created: str
    reference: str = ""
    site: str = ""
    order: str = ""
    operation: str = ""
    amounts: tuple[str, str, str] | None = None
    moves: int = 0
    undoes: str = ""
    thing: str = ""
    counts: dict[str, str] = {}
    posting_date: str = ""
    key: dict[str, str] = {}
    restricted: bool | None = None
    hold: str = ""
    held: str = ""

    def request(self) -> Request:
        """As the runtime keeps it."""
        amounts = {name: Decimal(value) for name, value in self.counts.items()}
        # Whether a batch becomes free is up to the other holds on it.
        alone = self.kind == "restrict"
        return Request(key=self.request_id, body=pack(self), object=self.thing, amounts=amounts, alone=alone)

    @property
    def quantities(self) -> tuple[Decimal, Decimal, Decimal] | None:
        """Yield, scrap and rework as numbers."""
        return None if self.amounts is None else tuple(Decimal(one) for one in self.amounts)  # type: ignore[return-value]


_DECODER = msgspec.json.Decoder(Call)


def pack(call: Call) -> bytes:
    """The call as bytes: the same for the same call."""
    return msgspec.json.encode(call, order="deterministic")


def unpack(body: bytes) -> Call:
    """The call that `pack` packed.

    Raises:
        AdapterError: it is none, or of a version that this one does not read.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise AdapterError(f"a kept request cannot be read: {error}") from error


def counted(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Amounts as text, zeros left out."""
    return {name: format(value, "f") for name, value in amounts.items() if value}


def compact(document: dict[str, Any]) -> str:
    """The JSON of a request body."""
    return msgspec.json.encode(document).decode()
