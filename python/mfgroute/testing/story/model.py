"""What a story is made of: steps with their outcome, and what they lead to."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from mfgroute.testing.simulators.ledger import Mischief
from mfgroute.testing.simulators.s4.faults import Kind
from mfgroute.testing.story.expected import Expected

__all__ = [
    "SYSTEMS",
    "Drop",
    "Misbehave",
    "Outcome",
    "Post",
    "Reopen",
    "Signal",
    "Signals",
    "Step",
    "Story",
]

Node = Literal["edge", "core"]

#: Business systems, in the order they are shown.
SYSTEMS = ("erp", "wms", "qms", "mes", "cmms", "portal")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the items of a message.

    Attributes:
        rejects: the stable codes of the rejected messages.
    """

    accepted: int = 0
    duplicates: int = 0
    filtered: int = 0
    rejects: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """Rejected messages."""
        return len(self.rejects)

    @property
    def received(self) -> int:
        """All items."""
        return self.accepted + self.duplicates + self.filtered + self.rejected

    def plus(self, other: Outcome) -> Outcome:
        """Both together."""
        return Outcome(
            accepted=self.accepted + other.accepted,
            duplicates=self.duplicates + other.duplicates,
            filtered=self.filtered + other.filtered,
            rejects=self.rejects + other.rejects,
        )


class Post(msgspec.Struct, frozen=True, kw_only=True, tag="post"):
    """A message is posted to an inbox ``/v1/sources/<source>`` of a node."""

    source: str
    node: Node
    content_type: str
    body: bytes
    says: str
    outcome: Outcome


class Drop(msgspec.Struct, frozen=True, kw_only=True, tag="drop"):
    """A file appears in the inbox of line C; it is written under another name and renamed."""

    source: str
    name: str
    body: bytes
    says: str
    outcome: Outcome


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the OPC UA server changes.

    Attributes:
        node: name after ``ns=2;s=``.
        at_s: source time in seconds after the base, which is a moment before the edge connects. Times lie
            up to an hour ahead, which the detection believes; earlier than the connection they would count
            for nothing.
    """

    node: str
    value: bool | int | str
    at_s: float


class Signals(msgspec.Struct, frozen=True, kw_only=True, tag="signals"):
    """A machine runs. `before` must stand before the edge connects, `changes` follow one by one."""

    source: str
    before: tuple[Signal, ...]
    changes: tuple[Signal, ...]
    says: str
    outcome: Outcome


class Misbehave(msgspec.Struct, frozen=True, kw_only=True, tag="misbehave"):
    """A system misbehaves for some requests.

    Attributes:
        kind: of a simulator that takes events, or of the ERP: `mfgroute.testing.simulators.s4.Fault`.
        more: what else the ERP is told of the fault.
    """

    system: str
    kind: Mischief | Kind
    times: int
    says: str
    after_s: float = 0.0
    more: dict[str, Any] = msgspec.field(default_factory=dict)


class Reopen(msgspec.Struct, frozen=True, kw_only=True, tag="reopen"):
    """A person waits for a refusal, takes its cause away, and has what waits tried again.

    Attributes:
        system: that refused.
        key: business object whose events wait.
        code: of the refusal.
        setup: what changes in the system.
    """

    system: str
    key: str
    code: str
    setup: dict[str, Any]
    says: str


Step: TypeAlias = Post | Drop | Signals | Misbehave | Reopen


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The steps and what they must lead to.

    Attributes:
        setup: master data of systems, for ``POST /setup``.
        steps: in order; a step begins when the one before was answered.
        expected: every effect, exactly once.
        amounts: order -> name -> what the ERP has confirmed and moved in the end, see `postings.amounts`.
        refusals: system -> code -> how often it refuses something.
    """

    setup: dict[str, dict[str, Any]]
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    amounts: dict[str, dict[str, str]]
    refusals: dict[str, dict[str, int]]

    @property
    def effects(self) -> dict[str, dict[str, int]]:
        """How many effects of each kind each system must have."""
        counts: dict[str, dict[str, int]] = {}
        for effect in sorted(self.expected):
            kinds = counts.setdefault(effect.system, {})
            kinds[effect.what] = kinds.get(effect.what, 0) + 1
        return counts

    @property
    def sources(self) -> dict[str, Outcome]:
        """What each source must have counted."""
        sums: dict[str, Outcome] = {}
        for step in self.steps:
            if not isinstance(step, Misbehave | Reopen):
                sums[step.source] = sums.get(step.source, Outcome()).plus(step.outcome)
        return sums

    @property
    def totals(self) -> dict[str, int]:
        """What the plant as a whole must have counted, at the first node a message meets."""
        total = Outcome()
        for outcome in self.sources.values():
            total = total.plus(outcome)
        return {
            "received": total.received,
            "accepted": total.accepted,
            "rejected": total.rejected,
            "duplicates": total.duplicates,
            "filtered": total.filtered,
            "dropped": 0,
            "delivered": len(self.expected),
        }

    @property
    def link(self) -> int:
        """How many events cross the link from the edge to the core."""
        core = {step.source for step in self.steps if isinstance(step, Post) and step.node == "core"}
        return sum(outcome.accepted for source, outcome in self.sources.items() if source not in core)
