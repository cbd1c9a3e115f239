"""Decimals are read, added, multiplied, rounded, compared and printed as `decimal` and `fractions` do it."""

import decimal
import json
import re
from fractions import Fraction

import pytest

from mfgroute import _core
from tests.mapping.conftest import MAIN

from .batches import SIZE, Plant, batches, canonical, exact, fits, terminates, written

MODES = {
    "half_even": decimal.ROUND_HALF_EVEN,
    "half_up": decimal.ROUND_HALF_UP,
    "down": decimal.ROUND_DOWN,
    "up": decimal.ROUND_UP,
}
CONTEXT = decimal.Context(prec=500, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("plant")


def rounded(value, places, mode):
    """A fraction, rounded once: a division in `decimal` would round before `quantize` does."""
    scaled = abs(value) * 10**places
    low, rest = divmod(scaled.numerator, scaled.denominator)
    twice = 2 * rest
    up = {
        "half_even": twice > scaled.denominator or (twice == scaled.denominator and low % 2 == 1),
        "half_up": twice >= scaled.denominator,
        "down": False,
        "up": rest > 0,
    }[mode]
    return Fraction((low + up) * (-1 if value < 0 else 1), 10**places)


def expected(value):
    """What becomes of a number that has this value: its text, or the code of its reject."""
    return {"n": canonical(value)} if fits(value) else "number_overflow"


# --- reading and printing ---


@pytest.fixture(scope="module")
def plain(place):
    plant = Plant(place(), "n: {path: q, number: {}}")
    assert plant.runs_flat
    return plant


def any_number(draw):
    """Also with exponents, with more digits than there may be, and with zeros that say nothing."""
    text = written(draw, draw.choice([38, 38, 45]))
    if draw.random() < 0.2 and "." in text:
        text += "0" * draw.randint(1, 30)
    if draw.random() < 0.3:
        exponent = draw.choice(
            [draw.randint(-45, 45), draw.randint(-2, 2), draw.choice([-999, 999, 10**12, -(10**12)])]
        )
        text += draw.choice("eE") + draw.choice(["", "+"] if exponent >= 0 else [""]) + str(exponent)
    return text


def value_of(text):
    """The value of a number as far as it can matter: an exponent beyond 999 is as good as 999."""
    mantissa, mark, exponent = text.lower().partition("e")
    value = exact(mantissa)
    return value * Fraction(10) ** max(-999, min(999, int(exponent))) if mark else value


@batches
def test_a_number_prints_canonically_or_is_refused(plain, draw):
    texts = [any_number(draw) for _ in range(SIZE)]
    made = plain.run([{"q": text} for text in texts])
    for text, found in zip(texts, made, strict=True):
        assert found == expected(value_of(text)), text
        assert isinstance(found, str) or (CANONICAL.fullmatch(found["n"]) and found["n"] != "-0"), text


@batches
def test_a_json_number_is_read_as_the_same_digits_in_quotes(plain, draw):
    texts = [any_number(draw) for _ in range(SIZE)]
    made = plain.singly([b'{"i":"%d","q":%b}' % (plain.number(), text.encode()) for text in texts])
    for text, found in zip(texts, made, strict=True):
        wanted = expected(value_of(text))
        # Zero has any exponent, but not everybody who reads the message would say so.
        wide = len(text.lower().partition("e")[2].lstrip("+-")) > 9
        assert found == ("number_too_long" if wide or isinstance(wanted, str) else wanted), text


NO_NUMBERS = ["", "-", "+1", ".5", "1.", "01", "-00", "1e", "1e+", "0x1F", "NaN", "-Infinity", "1_0", " 1", "1 ", "1,5", "１", "٣", "--1", "1-", "1e5.0", "½", "1\x00"]  # fmt: skip


@batches
def test_what_is_no_number_is_refused_and_never_read_in_part(plain, draw):
    def damaged():
        text = any_number(draw)
        at = draw.randint(0, len(text))
        return (
            text[:at]
            + draw.choice(["x", " ", "-", "+", ".", "e", ",", "'", "\u00a0", "\u0660", "_"])
            + text[at:]
        )

    texts = NO_NUMBERS + [damaged() for _ in range(SIZE)]
    number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
    made = plain.run([{"q": text} for text in texts])
    for text, found in zip(texts, made, strict=True):
        assert found == (expected(value_of(text)) if number.fullmatch(text) else "bad_number"), repr(text)


FORMS = {
    "de": ('{decimal: ",", group: ".", sign: either}', ",", "."),
    "en": ('{decimal: ".", group: ",", sign: trailing}', ".", ","),
    "fr": ('{decimal: ",", group: "\u202f"}', ",", "\u202f"),
    "ch": ('{decimal: ".", group: "’"}', ".", "’"),
    "sap": ('{decimal: ",", sign: trailing}', ",", ""),
}


@pytest.fixture(scope="module")
def forms(place):
    return {name: Plant(place(), f"n: {{path: q, number: {form}}}") for name, (form, _, _) in FORMS.items()}


@batches
def test_a_number_in_a_declared_form_has_its_value_in_that_form_and_no_other(forms, draw):
    for name, (form, mark, group) in FORMS.items():
        texts, values = [], []
        for _ in range(SIZE // 5):
            plain = written(draw)
            negative, bare = plain.startswith("-"), plain.removeprefix("-")
            whole, _, fraction = bare.partition(".")
            grouped = f"{int(whole):,}".replace(",", group) if group and draw.random() < 0.7 else whole
            bare = grouped + (mark + fraction if fraction else "")
            trailing = "trailing" in form or ("either" in form and draw.random() < 0.5)
            texts.append((bare + "-" if trailing else "-" + bare) if negative else bare)
            values.append(exact(plain))
        made = forms[name].run([{"q": text} for text in texts])
        for text, value, found in zip(texts, values, made, strict=True):
            assert found == expected(value), (name, text)


# --- rounding ---

PLACES = [0, 1, 3, 6, 18, 19, 37, 38]
ROUNDS = {f"n{places}{mode}": (places, mode) for places in PLACES for mode in MODES}


@pytest.fixture(scope="module")
def rounding(place):
    field = "{name}: {{path: q, number: {{}}, round: {{places: {places}, mode: {mode}}}}}"
    rows = [field.format(name=name, places=places, mode=mode) for name, (places, mode) in ROUNDS.items()]
    return Plant(place(), "\n".join(rows))


def near_a_tie(draw):
    """Half of the last place that is kept, and the neighbours of that."""
    places = draw.choice([places for places in PLACES if places < 37])
    kept = draw.randint(-(10 ** draw.randint(0, 36 - places)), 10 ** draw.randint(0, 36 - places))
    tie = Fraction(2 * kept + 1, 2 * 10**places)
    value = tie + draw.choice([0, 0, 1, -1]) * Fraction(1, 10 ** draw.randint(places + 1, 37))
    return canonical(value)


@batches
def test_rounding_is_that_of_decimal_and_of_fractions(rounding, draw):
    texts = [draw.choice([written, near_a_tie])(draw) for _ in range(SIZE // 3)]
    texts = [text for text in texts if fits(exact(text))]
    made = rounding.run([{"q": text} for text in texts])
    for text, found in zip(texts, made, strict=True):
        value = exact(text)
        for name, (places, mode) in ROUNDS.items():
            wanted = rounded(value, places, mode)
            quantum = decimal.Decimal(1).scaleb(-places, CONTEXT)
            assert exact(decimal.Decimal(text).quantize(quantum, MODES[mode], CONTEXT)) == wanted
            assert found[name] == canonical(wanted), (text, places, mode)


# --- multiplying ---


def factor_plant(place, factors, round_):
    """A factor for each key, from a table as materials have it."""
    table = "k,num,den\n" + "".join(f"{key},{num},{den}\n" for key, (num, den) in enumerate(factors))
    unit = (
        "{from: {path: u}, to: {const: C62}, factor: {table: factors, key: [{path: k}], num: num, den: den}}"
    )
    return Plant(
        place(), f"n: {{path: q, unit: {unit}, round: {round_}}}", files={"lookups/factors.csv": table}
    )


@batches
def test_the_factor_of_a_material_multiplies_exactly_and_rounds_once(place, draw):
    def number(digits):
        return written(draw, digits).removeprefix("-")

    factors = []
    while len(factors) < SIZE:
        digits = draw.choice([4, 4, 12, 38])
        num, den = number(digits), number(digits)
        if exact(num) > 0 and exact(den) > 0:
            factors.append((num, den))
    places, mode = draw.choice([0, 3, 6, 38]), draw.choice(list(MODES))
    plant = factor_plant(place, factors, f"{{places: {places}, mode: {mode}}}")
    texts = [written(draw, draw.choice([6, 18, 38])) for _ in factors]
    made = plant.run([{"q": text, "k": key, "u": "XCT"} for key, text in enumerate(texts)])
    for text, (num, den), found in zip(texts, factors, made, strict=True):
        wanted = rounded(exact(text) * exact(num) / exact(den), places, mode)
        assert found == expected(wanted), (text, num, den, places, mode)


SCALES = ["1/3", "7/9", "0.45359237", "1000", "1/8", "-2.5", "1e-9", "22/7", "123456789/987654321"]


@pytest.fixture(scope="module")
def scales(place):
    return [
        (exact_ratio(scale), Plant(place(), f'n: {{path: q, number: {{}}, scale: "{scale}"}}'))
        for scale in SCALES
    ]


def exact_ratio(text):
    num, _, den = text.partition("/")
    return exact(num) / exact(den or "1")


@batches
def test_without_rounding_a_product_is_exact_or_refused(scales, draw):
    for scale, plant in scales:
        texts = [written(draw, draw.choice([3, 12, 38])) for _ in range(SIZE // len(scales))]
        # Multiples of the denominator end.
        texts += [canonical(exact(text) * scale.denominator) for text in texts[::2]]
        texts = [text for text in texts if fits(exact(text))]
        made = plant.run([{"q": text} for text in texts])
        for text, found in zip(texts, made, strict=True):
            product = exact(text) * scale
            if terminates(product) and fits(product):
                assert found == {"n": canonical(product)}, (text, scale)
            elif abs(product) >= 10**38:
                assert found in {"number_overflow", "not_exact"}, (text, scale)
            else:
                assert found == "not_exact", (text, scale)


@batches
def test_a_sign_changes_nothing_but_the_sign_and_zero_has_none(place, draw):
    plant = Plant(place(), "n: {path: q, number: {}, sign: negate}\nm: {path: q, number: {}, sign: abs}")
    texts = ["0", "-0", "-0.000", "0e5", *(written(draw) for _ in range(SIZE))]
    for text, found in zip(texts, plant.run([{"q": text} for text in texts]), strict=True):
        assert found == {"n": canonical(-exact(text)), "m": canonical(abs(exact(text)))}, text


# --- comparing and adding ---

COMPARED = {
    "lt": "data.a < data.b",
    "le": "data.a <= data.b",
    "eq": "data.a == data.b",
    "ne": "data.a != data.b",
    "ge": "data.a >= data.b",
    "gt": "data.a > data.b",
    "half": "data.a > 0.5",
    "tiny": "data.a < -0.00000000000000000000000000000000000001",
    "huge": "data.b >= 99999999999999999999999999999999999999.0",
}
CONTRACT = """\
type: thing
version: 1.0.0
key: {thing: [data.id]}
idempotency: [data.id]
rules:
  - {code: total, check: "!has(data.parts) || !has(data.t) || sum(data.parts, n) == data.t", message: the parts make the total}
schema:
  type: object
  required: [id]
  properties:
    id: {type: string}
    a: {type: string, format: decimal}
    b: {type: string, format: decimal}
    t: {type: string, format: decimal}
    parts: {type: array, items: {type: object, required: [n], properties: {n: {type: string, format: decimal}}}}
"""


@pytest.fixture(scope="module")
def compared(place):
    sinks = "".join(f"  {name}: {{adapter: console, owner: tests}}\n" for name in COMPARED)
    guard = "has(data.a) && has(data.b) && "
    routes = "".join(
        f'  - {{name: {name}, match: {{type: thing/1}}, where: "{guard}{where}", to: {name}}}\n'
        for name, where in COMPARED.items()
    )
    main = MAIN.replace("routes:\n", sinks + "routes:\n") + routes
    fields = "a: {path: a, number: {}}\nb: {path: b, number: {}}\nt: {path: t, number: {}}\nparts: {list: p, fields: {n: {path: n}}}"
    return Plant(place(), fields, files={"mfgroute.yaml": main, "contracts/thing.v1.yaml": CONTRACT})


def sinks_of(plant, items):
    message = json.dumps({"v": [{"i": str(number), **item} for number, item in enumerate(items)]}).encode()
    made = {}
    for line in map(json.loads, _core.run_mapping(plant.plan, "e", message, {}).splitlines()):
        made[line["data"]["id"]] = set(line["sinks"]) - {"log"}
    return [made[str(number)] for number in range(len(items))]


@batches
def test_conditions_compare_decimals_by_value(compared, draw):
    pairs = []
    for _ in range(SIZE // 2):
        a = written(draw)
        step = Fraction(draw.choice([0, 1, -1]), 10 ** draw.randint(0, 38))
        near = exact(a) + step
        b = canonical(near) if draw.random() < 0.7 and fits(near) else written(draw)
        if "." in a and draw.random() < 0.3:
            a += "000"
        pairs.append((a, b))
    pairs += [
        ("0", "-0.0"),
        ("9" * 38, "9" * 38),
        ("-" + "9" * 38, "0." + "0" * 37 + "1"),
        ("0." + "0" * 37 + "1", "9" * 38),
    ]
    for (a, b), sinks in zip(pairs, sinks_of(compared, [{"a": a, "b": b} for a, b in pairs]), strict=True):
        x, y = exact(a), exact(b)
        holds = {
            "lt": x < y, "le": x <= y, "eq": x == y, "ne": x != y, "ge": x >= y, "gt": x > y,
            "half": x > Fraction(1, 2), "tiny": x < -Fraction(1, 10**38), "huge": y >= 10**38 - 1,
        }  # fmt: skip
        assert sinks == {name for name, true in holds.items() if true}, (a, b)


@batches
def test_a_sum_is_exact_or_the_event_is_refused(compared, draw):
    items, wanted = [], []
    for _ in range(SIZE // 4):
        parts = [written(draw, draw.choice([3, 18, 38])) for _ in range(draw.randint(1, 6))]
        total = sum(map(exact, parts))
        right = fits(total) and draw.random() < 0.7
        told = canonical(total) if right else written(draw)
        items.append({"t": told, "p": [{"n": canonical(exact(part))} for part in parts]})
        # Sums on the way may need more digits than the last one; then nobody says that it is right.
        running = [sum(map(exact, parts[: end + 1])) for end in range(len(parts))]
        wanted.append((exact(told) == total, all(map(fits, running))))
    for item, (true, narrow), found in zip(items, wanted, compared.run(items), strict=True):
        if true and narrow:
            assert isinstance(found, dict), item
        elif not true:
            assert found == "contract_rule", item
