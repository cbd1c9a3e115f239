"""The balance of a run: counters of both nodes and ledgers of all systems, against what the story must do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from mfgroute.testing.story import SYSTEMS, Expected, Misbehave, Outcome, Story, describe
from mfgroute.testing.story.postings import amounts

__all__ = ["Balance", "balance"]

_ITEMS = ("received", "accepted", "rejected", "duplicates", "filtered", "dropped")
_EVENTS = ("delivered", "queued", "in_flight", "parked", "in_doubt", "skipped", "dropped")
#: The source and the sink of the link, and the sink that only keeps a copy.
_LINK_SOURCE, _LINK_SINK, _COPY = "edges", "core", "log"


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted, and where it differs from what must have happened.

    Attributes:
        totals: of the plant as a whole, as the JSON of the demo has them.
        link: of the link alone.
        effects: system -> kind -> how many.
        lost: effects that did not happen.
        double: effects that happened again.
        out_of_order: effects that happened after a later one of the same business object.
        differences: a sentence each; empty when everything is as expected.
    """

    totals: dict[str, int]
    link: dict[str, int]
    effects: dict[str, dict[str, int]]
    lost: int
    double: int
    out_of_order: int
    differences: list[str]

    def document(self) -> dict[str, Any]:
        """The last line of ``mfgroute demo --output json``."""
        return {
            **self.totals,
            "link": self.link,
            "effects": self.effects,
            "lost": self.lost,
            "double": self.double,
            "out_of_order": self.out_of_order,
            "differences": self.differences,
        }

    @property
    def whole(self) -> bool:
        """Whether nothing is unaccounted for and every effect happened once."""
        return not self.totals["unaccounted"] and not self.differences


def balance(
    story: Story, edge: dict[str, Any], core: dict[str, Any], ledgers: dict[str, dict[str, Any]]
) -> Balance:
    """Add up one snapshot of each node and each ledger.

    Messages are counted at the first node that they meet, deliveries at the business systems.
    """
    first = {**edge["sources"], **core["sources"]}
    link = _link(edge["sinks"][_LINK_SINK], first.pop(_LINK_SOURCE))
    sinks = {name: core["sinks"][name] for name in SYSTEMS}
    items = {name: sum(source[name] for source in first.values()) for name in _ITEMS}
    events = {name: sum(sink[name] for sink in sinks.values()) for name in _EVENTS}
    totals = {
        **items,
        "matched": sum(sink["matched"] for sink in sinks.values()),
        **{("dropped_at_sinks" if name == "dropped" else name): count for name, count in events.items()},
        "unaccounted": edge["unaccounted"] + core["unaccounted"] + link["unaccounted"],
    }
    differences = [
        *_wrong_counts(story, first, totals, link),
        *_wrong_sinks({**sinks, "link": edge["sinks"][_LINK_SINK], _COPY: core["sinks"][_COPY]}),
        *_wrong_effects(story, ledgers),
        *_wrong_amounts(story, ledgers["erp"]),
    ]
    effects = {name: dict(ledgers[name]["counts"]) for name in SYSTEMS}
    late = list(_late(story, ledgers))
    compared = list(_compared(story, ledgers))
    again = ((happened - expected, expected) for _, expected, happened in compared)
    return Balance(
        totals=totals,
        link=link,
        effects=effects,
        lost=sum((expected - happened).total() for _, expected, happened in compared),
        double=sum(count for more, expected in again for said, count in more.items() if said in expected),
        out_of_order=len(late),
        differences=[*differences, *late],
    )


def _link(sink: dict[str, Any], source: dict[str, Any]) -> dict[str, int]:
    """Both ends of the link. What was sent again after a lost answer is a duplicate there."""
    arrived = source["accepted"] + source["rejected"] + source["dropped"]
    ended = {name: sink[name] for name in ("matched", *_EVENTS)}
    received = {name: source[name] for name in ("received", "accepted", "rejected", "duplicates")}
    return {**ended, **received, "unaccounted": max(0, sink["delivered"] - arrived)}


def _wrong_counts(
    story: Story, first: dict[str, Any], totals: dict[str, int], link: dict[str, int]
) -> Iterator[str]:
    for name, source in first.items():
        expected = story.sources.get(name, Outcome())
        for item in _ITEMS:
            wanted = 0 if item == "dropped" else getattr(expected, item)
            if source[item] != wanted:
                yield f"source {name}: {item} is {source[item]}, expected {wanted}"
        codes = dict(Counter(expected.rejects))
        if source["rejected_by_code"] != codes:
            yield f"source {name}: rejects are {source['rejected_by_code']}, expected {codes}"
    for item, wanted in story.totals.items():
        if totals[item] != wanted:
            yield f"the plant as a whole: {item} is {totals[item]}, expected {wanted}"
    for item in ("delivered", "accepted"):
        if link[item] != story.link:
            yield f"the link: {item} is {link[item]}, expected {story.link}"
    if totals["unaccounted"]:
        yield f"{totals['unaccounted']} items or events are unaccounted for"


def _wrong_sinks(sinks: dict[str, Any]) -> Iterator[str]:
    for name, sink in sinks.items():
        for item in _EVENTS[1:]:
            if sink[item]:
                yield f"sink {name}: {item} is {sink[item]}, expected 0"


def _wrong_effects(story: Story, ledgers: dict[str, dict[str, Any]]) -> Iterator[str]:
    for system, expected, happened in _compared(story, ledgers):
        ledger = ledgers[system]
        for said, count in (expected - happened).items():
            yield f"{said} is missing{_times(count)}"
        for said, count in (happened - expected).items():
            often = "happened again" if said in expected else "was not expected"
            yield f"{said} {often}{_times(count)}"
        yield from _wrong_refusals(system, story.refusals.get(system, {}), ledger["refusals"])
        wishes = [step for step in story.steps if isinstance(step, Misbehave) and step.system == system]
        wanted = {wish.kind: wish.times for wish in wishes}
        if ledger["misbehaved"] != wanted:
            yield f"{system} misbehaved {ledger['misbehaved']}, expected {wanted}"


def _wrong_refusals(system: str, expected: dict[str, int], refusals: list[dict[str, Any]]) -> Iterator[str]:
    left = Counter(expected)
    for refusal in refusals:
        if left[refusal["code"]] > 0:
            left[refusal["code"]] -= 1
        else:
            yield f"{system} refused {refusal['key']}: {refusal['message']}"
    for code, count in (+left).items():
        yield f"{system} refused nothing as {code}{_times(count)}"


def _wrong_amounts(story: Story, ledger: dict[str, Any]) -> Iterator[str]:
    """Where the ERP has confirmed or moved another quantity than was reported, and what else it counted."""
    found = amounts(ledger)
    for order in sorted({*story.amounts, *found}):
        wanted = {name: Decimal(value) for name, value in story.amounts.get(order, {}).items()}
        happened = found.get(order, {})
        for name in sorted({*wanted, *happened}):
            if wanted.get(name) != happened.get(name):
                is_, expected = (f"{side.get(name, Decimal(0)).normalize():f}" for side in (happened, wanted))
                yield f"erp {order}: {name} is {is_}, expected {expected}"
    if ledger["posted_twice"]:
        yield f"erp posted under a reference that it had posted before{_times(ledger['posted_twice'])}"
    for key in ledger["keys_reused"]:
        yield f"erp was sent the request {key} again with other bytes"


def _compared(
    story: Story, ledgers: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Of each system its expected effects and those that happened."""
    for system in SYSTEMS:
        expected = Counter(effect.said for effect in story.expected if effect.system == system)
        happened = Counter(_said(system, effect) for effect in ledgers[system]["effects"])
        yield system, expected, happened


def _late(story: Story, ledgers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Effects that came after a later one of their business object. The story has them in its order."""
    places = {effect.said: place for place, effect in enumerate(story.expected)}
    for system in SYSTEMS:
        last: dict[str, int] = {}
        for effect in ledgers[system]["effects"]:
            said = _said(system, effect)
            place = places.get(said)
            if place is None:
                continue
            if place < last.get(effect["key"], -1):
                yield f"{said} happened after a later one"
            last[effect["key"]] = max(place, last.get(effect["key"], -1))


def _said(system: str, effect: dict[str, Any]) -> str:
    return Expected(system, effect["what"], effect["key"], describe(effect)).said


def _times(count: int) -> str:
    return "" if count == 1 else f", {count} times"
