"""Values that schemas accept: each was accepted by the engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from mfgroute import _core
from mfgroute.schemas.meaning import All, accepts, alternatives, exact
from mfgroute.schemas.patterns import Automaton, automaton, counterexample
from mfgroute.schemas.plain import UndecidedError, canonical

__all__ = ["fresh_name", "samples", "understood"]

_EACH_MAX = 6
_CASES_MAX = 12
_TRIES_MAX = 200
_LENGTH_MAX = 100_000
_STEPS_MAX = 1000
_ANYTHING: tuple[Any, ...] = ("x", 0, None, True, 0.5, [], {}, "", -1, ["x"], {"x": 0})
_BY_FORMAT = {
    "date": ("2026-11-24", "2027-01-02"),
    "date-time": ("2026-11-24T05:04:00Z", "2026-11-24T05:04:00.5+01:00"),
    "time": ("05:04:00Z", "05:04:00.5+01:00"),
    "duration": ("PT1H", "P1D"),
    "email": ("a@example.com",),
    "idn-email": ("a@example.com",),
    "hostname": ("example.com",),
    "idn-hostname": ("example.com",),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
    "uri": ("urn:a:b", "https://example.com/a"),
    "iri": ("urn:a:b",),
    "uri-reference": ("a/b",),
    "iri-reference": ("a/b",),
    "uri-template": ("/a/{b}",),
    "uuid": ("3b241101-e2bb-4255-8caf-4136c566a962",),
    "json-pointer": ("/a/0",),
    "relative-json-pointer": ("1/a",),
    "regex": ("^a$",),
}


def samples(found: All, hints: Iterable[Any] = (), *, limit: int = _EACH_MAX) -> list[Any]:
    """Up to `limit` different values that `found` accepts; none may be found although there are some.

    Args:
        found: what must hold.
        hints: values to try first.
        limit: most values.
    """
    made = {canonical(one): one for one in hints if accepts(found.schema, one)}
    for one in _samples(found, limit):
        made.setdefault(canonical(one), one)
    return list(made.values())[:limit]


@functools.lru_cache(maxsize=4096)
def _samples(found: All, limit: int) -> tuple[Any, ...]:
    made: dict[str, Any] = {}
    for value in () if found.impossible else islice(_candidates(found), _TRIES_MAX):
        text = canonical(value)
        if text not in made and accepts(found.schema, value):
            made[text] = value
            if len(made) >= limit:
                break
    return tuple(made.values())


def _candidates(found: All) -> Iterator[Any]:
    if not found.schemas:
        yield from _ANYTHING
        return
    todo = [found]
    for number in range(_CASES_MAX):
        if number >= len(todo):
            return
        one = todo[number]
        below = [] if one.impossible or one.values is not None else alternatives(one)
        todo += below
        if not below:
            yield from _plain_candidates(one)


def _plain_candidates(found: All) -> Iterator[Any]:
    if found.impossible:
        return
    if found.values is not None:
        yield from found.values
        return
    for kind, make in _BY_TYPE.items():
        if kind in found.types:
            yield from make(found)


def _texts(found: All) -> Iterator[str]:
    """By format, codes, decimal and pattern, and of the lengths at the bounds."""
    for name in found.all_of("format"):
        yield from _BY_FORMAT.get(name, ())
    for name in found.all_of("x-codes"):
        yield from islice((code for set_, code, _ in _core.units()["codes"] if set_ == name), 40)
    if "decimal" in found.all_of("format") or any(True for _ in found.all_of("x-decimal")):
        yield from _decimals(found)
    least, most = found.least("minLength"), found.most("maxLength")
    lengths = [(least, most)] if most in (None, least) else [(least, most), (most, most)]
    patterns = understood(found)
    for low, high in lengths:
        yield from _of_length(patterns, low or 0, high)
    if not patterns:
        yield from ("", "a", "b", "0")


def _of_length(patterns: list[Automaton], low: int, high: int | None) -> Iterator[str]:
    if not patterns:
        if low <= _LENGTH_MAX:
            yield "x" * (low or min(1, 1 if high is None else high))
    elif low <= _STEPS_MAX:
        try:
            text = counterexample(patterns, (low, high), None, (-1, -1))
        except UndecidedError:
            return
        if text is not None:
            yield text


def understood(found: All) -> list[Automaton]:
    """The patterns that are understood; without the others `found` only allows more."""
    made = []
    for pattern in found.all_of("pattern"):
        try:
            made.append(automaton(pattern))
        except UndecidedError:
            continue
    return made


def _decimals(found: All) -> Iterator[str]:
    yield from ("0", "1", "-1", "0.5", "12.345", "99999999999999999999999999999999999999")
    for rule in found.all_of("x-decimal"):
        for bound in ("min", "max"):
            if bound in rule:
                value = exact(rule[bound])
                yield from (f"{value + step:f}" for step in (Decimal(0), Decimal(1), Decimal(-1)))
        digits, places = rule.get("digits"), rule.get("places")
        if places:
            yield from ("0." + "1" * int(places), "-0." + "1" * int(places))
        if digits:
            yield "9" * max(1, int(digits) - int(places or 0))
            yield "9" * int(digits)
            yield "0." + "1" * min(int(digits), 37)


def _numbers(found: All) -> Iterator[Any]:
    steps = [exact(one) for one in found.all_of("multipleOf")]
    values = [Decimal(0), Decimal(1), Decimal(-1), Decimal("0.5")]
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        for bound in found.all_of(word):
            values += [exact(bound) + step for step in (Decimal(0), Decimal(1), Decimal(-1), Decimal("0.5"))]
    for rule in found.all_of("x-decimal"):
        values += [exact(rule[word]) for word in ("min", "max") if word in rule]
    values += [step * times for step in steps for times in (1, -1, 2, 3)]
    for value in values:
        whole = value == value.to_integral_value()
        yield int(value) if whole else float(value)


def _arrays(found: All) -> Iterator[Any]:
    least = found.least("minItems")
    if least > _LENGTH_MAX:
        return
    wanted = list(found.all_of("contains"))
    for length in dict.fromkeys([least, max(least, 1), max(least, 2), max(least, len(wanted))]):
        made: list[Any] = []
        used: dict[str, int] = {}
        for index in range(length):
            kind = found.item(index).with_(*wanted[index : index + 1])
            options = samples(kind)
            if not options:
                break
            # Different items as long as there are any, for `uniqueItems`.
            used[kind.text] = used.get(kind.text, -1) + 1
            made.append(options[used[kind.text] % len(options)])
        else:
            yield made


def _objects(found: All) -> Iterator[Any]:
    try:
        options = {name: samples(found.member(name)) for name in found.names}
    except UndecidedError:
        return
    required = [name for name in found.names if name in found.required]
    if any(not options[name] for name in required):
        return
    least = {name: options[name][0] for name in required}
    full = {name: values[0] for name, values in options.items() if values}
    yield least
    yield full
    for name, values in options.items():
        for value in values:
            yield {**least, name: value}
            yield {**full, name: value}
    missing = max(1, found.least("minProperties") - len(full))
    name = fresh_name(found)
    for value in samples(found.others(frozenset()), limit=2) if missing <= _LENGTH_MAX else ():
        yield {**least, name: value}
        yield {**full, **{f"{name}{number}": value for number in range(missing)}}


_BY_TYPE: dict[str, Callable[[All], Iterator[Any]]] = {
    "object": _objects,
    "string": _texts,
    "integer": _numbers,
    "array": _arrays,
    "boolean": lambda _: iter((True, False)),
    "null": lambda _: iter((None,)),
}


def fresh_name(*found: All) -> str:
    """A member that none of the schemas names."""
    taken = {name for one in found for name in one.names}
    name = "other"
    while name in taken:
        name += "_"
    return name
