"""What the system did, to compare with what it was asked to do."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from mfgroute.testing.simulators.s4.store import Row, Store, Unit
from mfgroute.testing.simulators.s4.wire import NO_GUID, amount, quantity

__all__ = ["Books", "digest"]

_REFERENCES = ("external", "reference_document", "request_id")


def digest(body: bytes) -> str:
    """The hash that the ledger knows a request body by."""
    return hashlib.sha256(body).hexdigest()


class Books:
    """The ledger: committed effects in the order of their commits, and sums over them.

    Effects are rows of the store: they are there exactly when what they say is.

    Attributes:
        requests: how many requests came, of any kind.
        refusals: what was refused, with the code and the system's sentence.
        mischief: how often each fault was played.
        repeats: how often a request id got the answer that it had before.
        keys_reused: request ids that came again with another body.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.requests = 0
        self.refusals: list[dict[str, Any]] = []
        self.mischief: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self.keys_reused: list[str] = []

    @staticmethod
    def note(unit: Unit, effect: dict[str, Any]) -> None:
        """Add an effect to the unit that has it."""
        number = unit.next_number("effects", 1)
        unit.put("effects", str(number), {"number": number, **effect})

    def effects(self) -> list[Row]:
        """Every effect.

        Returns:
            Of each: ``number``, ``what``, ``document``, ``order``, ``operation``, ``amounts``, ``movements``,
            ``movements_failed``, ``external``, ``reference_document``, ``request_id``, ``body_sha256``,
            ``reverses`` and ``at``, where it has them.
        """
        return list(self._store.tables.rows("effects"))

    def references(self) -> dict[str, int]:
        """How often each reference of a sender was posted, whatever it is called; 1 is right."""
        counts: Counter[str] = Counter()
        for effect in self.effects():
            # The reversal of a document takes over the reference of what it reverses; nobody posted it again.
            taken = {"reference_document"} if effect["what"] == "material_document_reversal" else set()
            names = [name for name in _REFERENCES if name not in taken]
            counts.update({value for name in names if (value := effect.get(name)) and value != NO_GUID})
        return dict(sorted(counts.items()))

    @property
    def duplicates(self) -> int:
        """How many times something was posted again under a reference that was posted before."""
        return sum(count - 1 for count in self.references().values())

    def counts(self) -> dict[str, int]:
        """How many effects there are of each kind."""
        return dict(sorted(Counter(effect["what"] for effect in self.effects()).items()))

    def totals(self) -> dict[str, dict[str, Any]]:
        """Per order: what its operations have confirmed, and what moved, net of reversals.

        ``operations`` says yield, scrap, rework, how many confirmations stand and whether one is final;
        ``materials`` says for each material the quantity of each movement type, and by whom it was moved:
        ``backflush``, ``confirmation``, ``document``, ``cancellation``.
        """
        orders: dict[str, dict[str, Any]] = defaultdict(lambda: {"operations": {}, "materials": {}})
        for effect in self.effects():
            if effect["what"].startswith("confirmation"):
                _add_confirmation(orders[effect["order"]]["operations"], effect)
            for movement in effect.get("movements", ()):
                _add_movement(orders[movement["order"]]["materials"], movement)
        return dict(sorted(orders.items()))

    def snapshot(self, after: int = 0) -> dict[str, Any]:
        """Everything, as ``GET /ledger`` shows it; of the effects those with a number above `after`."""
        return {
            "system": "s4",
            "requests": self.requests,
            "counts": self.counts(),
            "duplicates": self.duplicates,
            "references": self.references(),
            "totals": self.totals(),
            "repeats": dict(sorted(self.repeats.items())),
            "keys_reused": self.keys_reused,
            "refused": len(self.refusals),
            "refusals": self.refusals,
            "misbehaved": dict(sorted(self.mischief.items())),
            "effects": [effect for effect in self.effects() if effect["number"] > after],
        }


def _add_confirmation(operations: dict[str, Any], effect: Row) -> None:
    nothing = {"yield": "0.000", "scrap": "0.000", "rework": "0.000", "confirmations": 0, "final": 0}
    sums = operations.setdefault(effect["operation"], nothing)
    sign = -1 if effect["what"] == "confirmation_reversal" else 1
    for name in ("yield", "scrap", "rework"):
        sums[name] = amount(quantity(sums[name]) + sign * quantity(effect["amounts"][name]))
    sums["confirmations"] += sign
    sums["final"] += sign * effect["final"]


def _add_movement(materials: dict[str, Any], movement: Row) -> None:
    known = materials.setdefault(movement["material"], {"types": {}, "by": {}})
    for name, key in (("types", movement["movement_type"]), ("by", movement["origin"])):
        before = Decimal(known[name].get(key, "0"))
        known[name][key] = amount(before + quantity(movement["quantity"]))
