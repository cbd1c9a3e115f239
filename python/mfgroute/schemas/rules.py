"""What a keyword about a value itself asks for beyond what is known of the value.

A rule gets the context and the keyword, and returns its doubts; none means that the keyword follows from the
context. It must never be wrong about that. The values to try may be: each is checked by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from mfgroute.schemas.meaning import All, exact, widened
from mfgroute.schemas.patterns import automaton, counterexample
from mfgroute.schemas.plain import UndecidedError, canonical
from mfgroute.schemas.sample import samples, understood

__all__ = ["RULES", "Doubt"]

_LENGTH_MAX = 4096
_MANY_MAX = 20_000
#: Lengths of the texts of formats, where the format bounds them.
_LENGTHS: dict[str, tuple[int, int | None]] = {
    "date": (10, 10),
    "date-time": (20, None),
    "decimal": (1, None),
    "ipv4": (7, 15),
    "time": (9, None),
    "uuid": (36, 36),
}


class Doubt(msgspec.Struct, frozen=True):
    """Why a keyword may refuse what the context accepts.

    Attributes:
        reason: what the keyword asks for.
        part: the keyword as a schema.
        tries: values that may show it.
        below: pointer of the member that is meant, from the value.
    """

    reason: str
    part: Any
    tries: Iterable[Any] = ()
    below: str = ""


def _type(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    missing = first.types - widened(part["type"])
    if missing:
        wanted = " or ".join(part["type"])
        tries = [
            value for kind in sorted(missing) for value in samples(first.with_({"type": [kind]}), limit=4)
        ]
        yield Doubt(f"type {wanted} is asked for, {' or '.join(sorted(missing))} was allowed", part, tries)


def _value(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    yield Doubt(
        f"one of {canonical(part.get('enum', [part.get('const')]))} is asked for",
        part,
        samples(first, limit=40),
    )


def _text(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    """Lengths and patterns belong together: a pattern has lengths."""
    if "string" not in first.types:
        return
    low, high = first.least("minLength"), first.most("maxLength")
    for name in first.all_of("format"):
        least, most = _LENGTHS.get(name, (0, None))
        low = max(low, least)
        high = most if high is None else high if most is None else min(high, most)
    least, most = int(part.get("minLength", 0)), part.get("maxLength")
    most = None if most is None else int(most)
    pattern = part.get("pattern")
    if pattern in list(first.all_of("pattern")):
        pattern = None
    fits = low >= least and (most is None or (high is not None and high <= most))
    if fits and pattern is None:
        return
    reason = ", ".join(f"{word} {value}" for word, value in part.items()) + " is asked for"
    long = [one for one in (low, high, least, most) if one is not None and one > _LENGTH_MAX]
    try:
        wanted = automaton(pattern) if pattern is not None else None
        known = understood(first)
        text = None
        if not long:
            text = counterexample(known, (low, high), wanted, (least, most))
            if text is None:
                return
    except UndecidedError as error:
        yield Doubt(f"{reason}: {error}", part, _long(most))
        return
    yield Doubt(reason, part, [*([] if text is None else [text]), *_long(most)])


def _long(most: int | None) -> Iterator[str]:
    if most is not None and most < 1_000_000:
        yield "x" * (most + 1)
        yield "1" * (most + 1)


def _format(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "string" not in first.types:
        return
    name = part["format"]
    # A bound of a decimal asks for a decimal as well.
    if name == "decimal" and any(True for _ in first.all_of("x-decimal")):
        return
    if name not in list(first.all_of("format")):
        yield Doubt(f"format {name} is asked for", part)


def _codes(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "string" in first.types and part["x-codes"] not in list(first.all_of("x-codes")):
        yield Doubt(f"a code of {part['x-codes']} is asked for", part)


def _decimal(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if not first.types & {"string", "number", "integer"}:
        return
    rule = part["x-decimal"]
    known = list(first.all_of("x-decimal"))
    text_only = not first.types & {"number", "integer"}
    is_decimal = bool(known) or (text_only and "decimal" in list(first.all_of("format")))

    def follows(word: str) -> bool:
        bounds = [exact(one[word]) for one in known if word in one]
        # All digits together are at least those after the point.
        bounds += [exact(one["digits"]) for one in known if word == "places" and "digits" in one]
        wanted = exact(rule[word])
        return any(bound >= wanted if word == "min" else bound <= wanted for bound in bounds)

    missing = [word for word in rule if not follows(word)]
    if missing or not is_decimal:
        asked = ", ".join(f"{word} {rule[word]}" for word in missing or rule) or "a decimal"
        yield Doubt(f"{asked} is asked for", part, _beyond(first, rule))


def _beyond(first: All, rule: dict[str, Any]) -> Iterator[Any]:
    """Decimals just outside of a rule, as texts and as numbers."""
    values = []
    for word, sign in (("min", -1), ("max", 1)):
        if word in rule:
            bound = exact(rule[word])
            values += [bound + sign * step for step in (Decimal(1), Decimal("0.1"), Decimal("0.001"))]
    places = int(rule.get("places", 0))
    values.append(Decimal(1).scaleb(-(places + 1)))
    values.append(1 + Decimal(1).scaleb(-(places + 1)))
    if "digits" in rule:
        digits = int(rule["digits"])
        values += [Decimal("9" * (digits + 1)), Decimal("1" + "0" * digits)]
        values.append(Decimal(f"{'9' * max(1, digits - places)}.{'1' * (places + 1)}"))
    for value in values:
        yield f"{value:f}"
        if first.types & {"number", "integer"}:
            yield int(value) if value == value.to_integral_value() else float(value)


def _bound(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if not first.types & {"number", "integer"}:
        return
    for words, sign in ((("minimum", "exclusiveMinimum"), 1), (("maximum", "exclusiveMaximum"), -1)):
        known = [
            (sign * exact(value), word.startswith("exclusive"))
            for word in words
            for value in first.all_of(word)
        ]
        for word in words:
            if word not in part:
                continue
            wanted = (sign * exact(part[word]), word.startswith("exclusive"))
            # At the same number, the exclusive bound is the stricter one.
            if not any(one >= wanted for one in known):
                edge = exact(part[word])
                tries = [edge, *(edge - sign * step for step in (Decimal(1), Decimal("0.5"), Decimal(1000)))]
                yield Doubt(f"{word} {part[word]} is asked for", {word: part[word]}, map(_number, tries))


def _multiple(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    wanted = Fraction(exact(part["multipleOf"]))
    known = [Fraction(exact(one)) for one in first.all_of("multipleOf")]
    if "number" not in first.types:
        known.append(Fraction(1))
    if first.types & {"number", "integer"} and not any((one / wanted).denominator == 1 for one in known):
        tries = [
            _number(exact(one) * times) for one in first.all_of("multipleOf") for times in (1, 2, 3, 5, 7)
        ]
        yield Doubt(f"multipleOf {part['multipleOf']} is asked for", part, [*tries, 1, 2, 3, 0.5, 7])


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _count(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "array" not in first.types:
        return
    least, most = first.least("minItems"), first.most("maxItems")
    if int(part.get("minItems", 0)) > least:
        tries = [one[:least] for one in samples(first.with_({"type": ["array"]}))]
        yield Doubt(f"minItems {part['minItems']} is asked for", {"minItems": part["minItems"]}, tries)
    wanted = part.get("maxItems")
    if wanted is not None and (most is None or most > int(wanted)):
        tries = list(_longer(first, int(wanted) + 1))
        yield Doubt(f"maxItems {wanted} is asked for", {"maxItems": wanted}, tries)


def _longer(first: All, length: int) -> Iterator[Any]:
    """Arrays of a length."""
    if length > _MANY_MAX:
        return
    yield from samples(first.with_({"type": ["array"], "minItems": length}), limit=2)
    for base in samples(first.with_({"type": ["array"]}), limit=4):
        if base:
            yield [base[min(index, len(base) - 1)] for index in range(length)]


def _unique(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    most = first.most("maxItems")
    if "array" in first.types and part["uniqueItems"] and (most is None or most > 1):
        bases = samples(first.with_({"type": ["array"], "minItems": 1}))
        yield Doubt(
            "different items are asked for",
            part,
            [[*one, one[0]] for one in bases] + [[one[0], one[0]] for one in bases],
        )


def _required(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "object" not in first.types:
        return
    for name in part["required"]:
        if name not in first.required:
            bases = samples(first.with_({"type": ["object"]}), limit=12)
            tries = [{key: value for key, value in one.items() if key != name} for one in bases]
            below = "/" + name.replace("~", "~0").replace("/", "~1")
            yield Doubt(f"the member {name} is asked for", {"required": [name]}, tries, below)


def _dependent(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "object" not in first.types:
        return
    for name, needs in part["dependentRequired"].items():
        context = first.with_({"type": ["object"]}, {"required": [name]})
        if context.impossible:
            continue
        for need in needs:
            if need not in context.required:
                tries = [
                    {key: value for key, value in one.items() if key != need}
                    for one in samples(context, limit=12)
                ]
                below = "/" + need.replace("~", "~0").replace("/", "~1")
                reason = f"the member {need} is asked for where {name} is there"
                yield Doubt(reason, {"dependentRequired": {name: [need]}}, tries, below)


def _members(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "object" not in first.types:
        return
    least = max(first.least("minProperties"), len(first.required))
    if int(part.get("minProperties", 0)) > least:
        yield Doubt(
            f"minProperties {part['minProperties']} is asked for", {"minProperties": part["minProperties"]}
        )
    wanted = part.get("maxProperties")
    if wanted is None:
        return
    most = first.most("maxProperties")
    closed = [
        len(one.get("properties", {}))
        for one in first.schemas
        if one.get("additionalProperties") is False and "patternProperties" not in one
    ]
    bounds = [*closed, *([] if most is None else [most])]
    if not bounds or min(bounds) > int(wanted):
        bases = samples(first.with_({"type": ["object"]}), limit=2)
        tries = [
            {**one, **{f"other{number}": None for number in range(int(wanted) + 1)}}
            for one in bases
            if int(wanted) < _MANY_MAX
        ]
        yield Doubt(f"maxProperties {wanted} is asked for", {"maxProperties": wanted}, tries)


def _contains(first: All, part: dict[str, Any]) -> Iterator[Doubt]:
    if "array" in first.types:
        least = first.least("minItems")
        tries = [[one] * max(1, least) for one in samples(first.item(0))] if least <= _MANY_MAX else []
        yield Doubt("an item of a kind is asked for", part, [[], *tries])


#: Keywords that are looked at together, and the rule for them.
RULES: list[tuple[tuple[str, ...], Callable[[All, dict[str, Any]], Iterator[Doubt]]]] = [
    (("type",), _type),
    (("const",), _value),
    (("enum",), _value),
    (("minLength", "maxLength", "pattern"), _text),
    (("format",), _format),
    (("x-codes",), _codes),
    (("x-decimal",), _decimal),
    (("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"), _bound),
    (("multipleOf",), _multiple),
    (("minItems", "maxItems"), _count),
    (("uniqueItems",), _unique),
    (("required",), _required),
    (("dependentRequired",), _dependent),
    (("minProperties", "maxProperties"), _members),
    (("contains", "minContains", "maxContains"), _contains),
]
