"""Whether two contenders did the same work: counts, and outputs compared by event and by checksum.

Contenders with binary floats cannot give the digits of exact decimals, so a number within `TOLERANCE` of the
reference's counts as the reference's. Then the checksums of both must be equal: the sum of the hashes of all
outputs, so that the order of the outputs does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

TOLERANCE = Decimal("1e-6")
#: Half a unit in the last place of the exact result is rounded before it is compared.
_SLACK = TOLERANCE + Decimal("1e-9")
_COUNTS = ("messages", "accepted", "rejected", "duplicates")
#: Members that hold a quantity: a decimal string in the contract, a number at most contenders.
QUANTITIES = frozenset({"good", "scrap", "value", "duration_min"})


@dataclass
class Output:
    """What one contender made of the messages."""

    counts: dict[str, int]
    #: Event id to its canonical form.
    events: dict[str, Any] = field(default_factory=dict)
    #: How many events each partition got; empty where a contender has no partitions.
    partitions: Counter[str] = field(default_factory=Counter)
    #: Events that came twice.
    repeated: list[str] = field(default_factory=list)


def read(counts: dict[str, Any], lines: Iterable[bytes]) -> Output:
    """An output file: partition (or ``-``), tab and event on each line."""
    output = Output({name: int(counts[name]) for name in _COUNTS})
    for line in lines:
        partition, _, text = line.partition(b"\t")
        event = canonical(json.loads(text, parse_float=Decimal, parse_int=Decimal))
        if event["event"] in output.events:
            output.repeated.append(event["event"])
        output.events[event["event"]] = event
        if partition != b"-":
            output.partitions[partition.decode()] += 1
    return output


def canonical(value: Any, name: str = "") -> Any:
    """The same value with every quantity as a decimal."""
    if isinstance(value, dict):
        return {key: canonical(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [canonical(one) for one in value]
    if name in QUANTITIES and isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    return value


def differences(reference: Output, other: Output, limit: int = 3) -> list[str]:
    """In what `other` differs from `reference`; empty when it did the same work."""
    found = [
        f"{name}: {other.counts[name]}, expected {reference.counts[name]}"
        for name in _COUNTS
        if other.counts[name] != reference.counts[name]
    ]
    found += [f"event {event} came twice" for event in other.repeated[:limit]]
    if other.counts["accepted"] != len(other.events):
        found.append(f"{other.counts['accepted']} accepted, {len(other.events)} in the output")
    if reference.partitions and other.partitions and reference.partitions != other.partitions:
        found.append(f"partitions: {sorted(other.partitions.items())[:limit]}")
    for event in sorted(reference.events.keys() - other.events.keys())[:limit]:
        found.append(f"event {event} is missing")
    for event in sorted(other.events.keys() - reference.events.keys())[:limit]:
        found.append(f"event {event} is not expected")
    near: dict[str, Any] = {}
    for event, wanted in reference.events.items():
        if event in other.events:
            got = near[event] = _drawn(other.events[event], wanted)
            if got != wanted and len(found) < limit:
                found.append(f"event {event}: {_first(got, wanted)}")
    if not found and checksum(near) != checksum(reference.events):
        found.append(f"checksum {checksum(near)}, expected {checksum(reference.events)}")
    return found


def checksum(events: dict[str, Any]) -> str:
    """The sum of the 64-bit hashes of all events, in hexadecimal; their order does not matter."""
    total = 0
    for event in events.values():
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), default=_digits)
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return f"{total % (1 << 64):016x}"


def _digits(value: Any) -> str:
    """A decimal without trailing zeros, as text."""
    assert isinstance(value, Decimal), value
    return f"{value.normalize():f}"


def _drawn(value: Any, wanted: Any) -> Any:
    """`value` with every number that is near enough replaced by the wanted one."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return {name: _drawn(one, wanted.get(name)) for name, one in value.items()}
    if isinstance(value, list) and isinstance(wanted, list) and len(value) == len(wanted):
        return [_drawn(one, other) for one, other in zip(value, wanted, strict=True)]
    if isinstance(value, Decimal) and isinstance(wanted, Decimal) and abs(value - wanted) <= _SLACK:
        return wanted
    return value


def _first(got: Any, wanted: Any, path: str = "") -> str:
    """The first place where two values differ."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for name in sorted(wanted.keys() | got.keys()):
            if got.get(name) != wanted.get(name):
                return _first(got.get(name), wanted.get(name), f"{path}/{name}")
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            if one != other:
                return _first(one, other, f"{path}/{index}")
    return f"{path or '/'} is {got!s}, expected {wanted!s}"
