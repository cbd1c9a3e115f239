"""Numbers are exact: locales, signs, scale, rounding, 38 digits; held to `fractions` and `decimal`."""

import random
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP
from fractions import Fraction

import pytest

from .conftest import lines, mapping

DE = '{decimal: ",", group: "."}'
EN = '{decimal: ".", group: ","}'
BAD = "!bad_number"


LOCALE = [
    (DE, "1.234,50", "1234.5"),
    (DE, "1.234", "1234"),
    (DE, "1234", "1234"),
    (DE, "1234,5", "1234.5"),
    (DE, "-1.234,50", "-1234.5"),
    (DE, "1.234.567,000", "1234567"),
    (DE, "0,001", "0.001"),
    (DE, "1,234.50", BAD),
    (DE, "12.34", BAD),
    (DE, "1.2345", BAD),
    (DE, "1234.567", BAD),
    (DE, ".123", BAD),
    (DE, "1..234", BAD),
    (DE, "1.234.", BAD),
    (DE, "1,2,3", BAD),
    (DE, "1,234.567", BAD),
    (DE, "0.123", BAD),
    (DE, "-0.500", BAD),
    (DE, "1,", BAD),
    (DE, ",5", BAD),
    (DE, "", BAD),
    (DE, "abc", BAD),
    (DE, "1 234", BAD),
    (DE, "NaN", BAD),
    (DE, "Infinity", BAD),
    (DE, "1_000", BAD),
    (DE, "--1", BAD),
    (DE, "1-", BAD),
    (DE, "0x10", BAD),
    (DE, "\u0661\u0662", BAD),
    (DE, "\uff11", BAD),
    (EN, "1,234.50", "1234.5"),
    (EN, "1.234,50", BAD),
    ('{decimal: ","}', "1,5", "1.5"),
    ('{decimal: ","}', "1.234,5", BAD),
    ('{decimal: ","}', "1.5", BAD),
    ('{decimal: ".", group: " "}', "1 234.5", "1234.5"),
    ('{decimal: ".", group: "\'"}', "1'234.5", "1234.5"),
    ('{decimal: ",", group: "\u202f"}', "1\u202f234,5", "1234.5"),
    ('{decimal: ",", group: ".", sign: trailing}', "1.234,50-", "-1234.5"),
    ('{decimal: ",", group: ".", sign: trailing}', "1.234,50", "1234.5"),
    ('{decimal: ".", sign: trailing}', "12.500-", "-12.5"),
    ('{decimal: ".", sign: trailing}', "0.000-", "0"),
    ('{decimal: ".", sign: trailing}', "-12.5-", BAD),
    ("{}", "1.5", "1.5"),
    ("{}", "1,5", BAD),
    ("{}", "-0.0", "0"),
    ("{}", "1e2", "100"),
    ("{}", "0x1F", BAD),
    ("{}", "1.", BAD),
    ("{}", "", BAD),
    ("{}", "1 ", BAD),
    ("{}", "\u22121", BAD),
]


def check(found, expected):
    if expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert found.get("n") == expected, found


@pytest.mark.parametrize(("form", "text", "expected"), LOCALE)
def test_a_number_is_read_in_its_declared_form_and_never_guessed(one, form, text, expected):
    check(one(f"n: {{path: a, number: {form}}}", {"a": text}), expected)


def test_the_form_may_be_declared_once_for_the_message(one):
    head = f"from: {{decode: json, number: {DE}}}"
    check(one("n: {path: a, number: {}}", {"a": "1.234,50"}, head=head), "1234.5")


@pytest.mark.parametrize("value", [True, {"x": 1}])
def test_what_is_no_number_is_refused(one, value):
    found = one("n: {path: a, number: {}}", {"a": value})
    assert found.get("code") in {"bad_number", "wrong_type"}, found


STEPS = [
    ("sign: abs", "-1.5", "1.5"),
    ("sign: negate", "1.5", "-1.5"),
    ("sign: negate", "0", "0"),
    ("scale: 1000", "1.5", "1500"),
    ('scale: "1/3", round: {places: 3, mode: half_even}', "1", "0.333"),
    ('scale: "0.001"', "5", "0.005"),
    ("sign: abs, scale: 10", "-1", "10"),
    ("round: {places: 0, mode: half_even}", "2.5", "2"),
    ("round: {places: 0, mode: half_even}", "3.5", "4"),
    ("round: {places: 2, mode: half_up}", "1.005", "1.01"),
    ("round: {places: 2, mode: half_up}", "-1.005", "-1.01"),
    ("round: {places: 3, mode: half_even}", "1", "1"),
    ("round: {places: 3, mode: half_even}", "-0.0004", "0"),
]


@pytest.mark.parametrize(("steps", "value", "expected"), STEPS)
def test_the_steps_of_a_number_follow_each_other(project, steps, value, expected):
    plan = project.load(mapping(f"n: {{path: a, number: {{}}, {steps}}}"))
    [line] = lines(plan, {"a": value})
    check(line.get("data", line.get("reject")), expected)


MODES = {
    "half_even": ROUND_HALF_EVEN, "half_up": ROUND_HALF_UP, "down": ROUND_DOWN, "up": ROUND_UP,
}  # fmt: skip


def rounded(value, places, mode):
    """An exact rounding of a fraction: `decimal` alone would round twice."""
    scaled = value * 10**places
    low = scaled.numerator // scaled.denominator
    rest = scaled - low
    half = Fraction(1, 2)
    if mode in {ROUND_DOWN, ROUND_UP}:
        up = rest > 0 and (scaled > 0) == (mode == ROUND_UP)
    elif rest != half:
        up = rest > half
    elif mode == ROUND_HALF_EVEN:
        up = low % 2 == 1
    else:
        up = (mode == ROUND_HALF_UP) == (scaled > 0)
    return Fraction(low + up, 10**places)


def canonical(value):
    """A fraction with a finite decimal form, as we print it."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(abs(value.numerator * 10**places // value.denominator)).rjust(places + 1, "0")
    text = digits[: len(digits) - places] + ("." + digits[len(digits) - places :] if places else "")
    return ("-" if value < 0 else "") + text


def random_number(draw, digits_max=24):
    digits = draw.randint(1, digits_max)
    whole = draw.randint(0, digits)
    text = "".join(draw.choice("0123456789" if draw.random() < 0.7 else "05") for _ in range(digits))
    left, right = text[:whole].lstrip("0") or "0", text[whole:]
    return draw.choice(["", "-"]) + left + ("." + right if right else "")


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("places", [0, 2, 3, 6])
def test_rounding_agrees_with_fractions(project, mode, places):
    draw = random.Random(f"{mode}{places}")
    plan = project.load(mapping(f"n: {{path: a, number: {{}}, round: {{places: {places}, mode: {mode}}}}}"))
    texts = [random_number(draw) for _ in range(300)] + ["0.5", "1.5", "-0.5", "-1.5", "0.0005", "2.0015"]
    for text in texts:
        [line] = lines(plan, {"a": text})
        assert line["data"]["n"] == canonical(rounded(Fraction(text), places, MODES[mode])), text


def test_plain_numbers_print_canonically(project):
    draw = random.Random(7)
    plan = project.load(mapping("n: {path: a, number: {}}"))
    for _ in range(500):
        text = random_number(draw, 38)
        [line] = lines(plan, {"a": text})
        assert line["data"]["n"] == canonical(Fraction(text)), text
        [line] = lines(plan, b'{"a":' + text.encode() + b"}")
        assert line["data"]["n"] == canonical(Fraction(text)), text


@pytest.mark.parametrize("factor", ["1000", "0.001", "0.45359237"])
def test_scaling_agrees_with_fractions(project, factor):
    draw = random.Random(factor)
    fields = f'n: {{path: a, number: {{}}, scale: "{factor}", round: {{places: 6, mode: half_even}}}}'
    plan = project.load(mapping(fields))
    for _ in range(300):
        text = random_number(draw, 20)
        [line] = lines(plan, {"a": text})
        expected = canonical(rounded(Fraction(text) * Fraction(factor), 6, ROUND_HALF_EVEN))
        assert line["data"]["n"] == expected, text


OVERFLOW = [
    ("scale: 10", "9" * 38),
    ("scale: 1000000", "9" * 33),
    ('scale: "0.1"', "0." + "0" * 37 + "1"),
    ("round: {places: 2, mode: half_even}", "9" * 39),
]


@pytest.mark.parametrize(("step", "value"), OVERFLOW)
def test_a_result_beyond_38_digits_is_a_reject_and_never_an_approximation(one, step, value):
    found = one(f"n: {{path: a, number: {{}}, {step}}}", {"a": value})
    assert found.get("code") in {"number_overflow", "number_too_long", "not_exact"}, found


def test_the_largest_number_passes_and_the_next_does_not(one):
    largest = "9" * 38
    check(one("n: {path: a, number: {}}", {"a": largest}), largest)
    check(one("n: {path: a, number: {}}", {"a": "-" + largest}), "-" + largest)
    check(one("n: {path: a, number: {}}", {"a": "1" + "0" * 38}), "!number_overflow")


CODES = [
    ('{X: true, "": false}', {"a": "X"}, True),
    ('{X: true, "": false}', {"a": ""}, False),
    ('{X: true, "": false}', {"a": "x"}, "!code_unknown"),
    ('{"1": [1, {a: null}], "2": 1.50}', {"a": "1"}, [1, {"a": None}]),
    ('{"1": one, "2": two}', {"a": 2}, "two"),
    ('{"true": "yes", "false": "no"}', {"a": True}, "yes"),
]


@pytest.mark.parametrize(("codes", "message", "expected"), CODES)
def test_codes_are_a_small_table_in_place(one, codes, message, expected):
    found = one(f"v: {{path: a, codes: {codes}}}", message)
    if isinstance(expected, str) and expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert found.get("v") == expected, found


def test_the_default_is_the_final_value_and_passes_through_nothing(one):
    steps = 'codes: {x: "1"}, default: x'
    assert one(f"v: {{path: a, {steps}}}", {})["v"] == "x"
    assert one(f"v: {{path: a, {steps}}}", {"a": None})["v"] == "x"
    assert one(f"v: {{path: a, {steps}}}", {"a": "x"})["v"] == "1"
    assert one(f"v: {{path: a, {steps}}}", {"a": "y"})["code"] == "code_unknown"
    assert one('n: {path: a, number: {}, scale: 10, default: "5"}', {})["n"] == "5"


ORDER = [
    ('text: [strip], number: {decimal: ","}, sign: abs', {"q": " -1,5 "}, "1.5"),
    ("number: {}, sign: negate, unit: {from: {const: FAH}, to: {const: CEL}}, round: {places: 1, mode: half_even}",
     {"q": "-212"}, "100"),
    ("unit: {from: {const: FAH}, to: {const: CEL}}, scale: 2, round: {places: 1, mode: half_even}", {"q": "50"}, "20"),
    ('codes: {low: "1.26"}, number: {}, round: {places: 1, mode: half_even}', {"q": "low"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "message", "expected"), ORDER, ids=range(len(ORDER)))
def test_steps_run_in_the_order_of_the_specification(one, steps, message, expected):
    """`text`, `number`, `sign`, `codes`, `code_set`, `lookup`, `unit`, `scale`, `round`, however they are written."""
    found = one(f"n: {{path: q, {steps}}}", message)
    if expected is None:
        assert found.get("code") == "bad_number", "a number comes before its codes"
    else:
        check(found, expected)
