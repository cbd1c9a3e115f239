"""What must hold between what a client was acknowledged and what a target did. Neither is the node's."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise

from tests.torture.effects_project import report


def wrong(acknowledged, lines):
    """What does not hold between reports that were acknowledged and a target's journal."""
    effects = [line for line in lines if line["is"] == "effect"]
    found = []
    done, numbers = Counter(), defaultdict(set)
    for line in effects:
        numbers[line["report"]].add(line["number"])
        done[line["report"]] += line["door"] != "upsert"
    # What replaces itself has one number however often it came.
    done |= Counter({name: len(these) for name, these in numbers.items()})
    expected = {f"r{number}": report(number) for number in acknowledged}
    if lost := sorted(set(expected) - set(done)):
        found.append(f"lost: {lost[:20]} ({len(lost)})")
    if double := sorted(name for name, count in done.items() if count > 1):
        found.append(f"double: {double[:20]} ({len(double)})")
    if invented := sorted(set(done) - set(expected)):
        found.append(f"never acknowledged: {invented[:20]}")
    return found + _order(effects) + _bytes(lines) + _sums(effects, expected)


def _order(effects):
    """Reports of an order are done in the order in which they were sent."""
    first = defaultdict(dict)
    for line in effects:
        first[line["order"]].setdefault(int(line["report"][1:]), None)
    return [
        f"order {order}: r{late} after r{early}"
        for order, numbers in first.items()
        for early, late in pairwise(numbers)
        if early > late
    ]


def _bytes(lines):
    """A request comes again as it was."""
    bodies = defaultdict(set)
    for line in lines:
        if line["is"] == "arrival":
            bodies[line["door"], line["key"]].add(line["sha"])
    return [f"other bytes: {door} {key}" for (door, key), of in bodies.items() if len(of) > 1]


def _sums(effects, expected):
    """What the target holds, to the piece."""
    held, meant = defaultdict(Decimal), defaultdict(Decimal)
    shown = {line["number"]: line for line in effects}
    for line in shown.values():
        held[line["order"]] += Decimal(line["quantity"])
    for one in expected.values():
        meant[one["order"]] += Decimal(one["qty"])
    return [
        f"order {order}: {held[order]} instead of {meant[order]}"
        for order in sorted(held | meant)
        if held[order] != meant[order]
    ]
