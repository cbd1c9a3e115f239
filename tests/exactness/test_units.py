"""Codes name one unit each and are translated there and back; units convert exactly, and only within a dimension."""

import itertools
import re
from fractions import Fraction

import pytest

from mfgroute import _core
from tests.mapping.conftest import Project, mapping

from .batches import SIZE, Plant, batches, canonical, exact, fits, terminates, written

UNITS = {code: dimension for code, _, dimension in _core.units()["units"]}
CODES = {}
for _set, _code, _unit in _core.units()["codes"]:
    CODES.setdefault(_set, {})[_code] = _unit
BY_DIMENSION = {name: [code for code in UNITS if UNITS[code] == name] for name in set(UNITS.values())}


def of(text):
    """`a*b/c` in exact fractions."""
    value, step = Fraction(1), "*"
    for part in re.split(r"([*/])", text):
        if part in "*/":
            step = part
        else:
            value = value * Fraction(part) if step == "*" else value / Fraction(part)
    return value


# How many base units one unit is, written anew from the definitions: SI prefixes; inch, pound, gallons and
# horsepower as NIST SP 811 Appendix B gives them; hours and minutes. A second book beside the table of the engine.
LB, G, IN, FT, GAL = "0.45359237", "9.80665", "0.0254", "12*0.0254", "231*0.0254*0.0254*0.0254"
BOOK = {
    "each": "C62 1, H87 1, EA 1, PR 2, DZN 12, GRO 144, DPC 12, CEN 100, MIL 1000",
    "mass": f"KGM 1, GRM 1/1000, MGM 1/1000000, MC 1/1000000000, DTN 100, TNE 1000, 2U 1000, LBR {LB}, ONZ {LB}/16, STN {LB}*2000, "
    f"LTN {LB}*2240, CWA {LB}*100, CWI {LB}*112, GRN {LB}/7000, STI {LB}*14, APZ {LB}/7000*480",
    "length": f"MTR 1, KMT 1000, DMT 1/10, CMT 1/100, MMT 1/1000, 4H 1/1000000, C45 1/1000000000, INH {IN}, FOT {FT}, YRD {FT}*3, "
    f"SMI {FT}*5280, NMI 1852, 77 {IN}/1000",
    "area": f"MTK 1, KMK 1000000, DMK 1/100, CMK 1/10000, MMK 1/1000000, HAR 10000, ARE 100, INK {IN}*{IN}, FTK {FT}*{FT}, "
    f"YDK 9*{FT}*{FT}, ACR 43560*{FT}*{FT}",
    "volume": f"MTQ 1, DMQ 1/1000, CMQ 1/1000000, MMQ 1/1000000000, LTR 1/1000, DLT 1/10000, CLT 1/100000, MLT 1/1000000, "
    f"4G 1/1000000000, HLT 1/10, INQ {IN}*{IN}*{IN}, FTQ {FT}*{FT}*{FT}, YDQ 27*{FT}*{FT}*{FT}, GLL {GAL}, GLI 4.54609/1000, "
    f"QTL {GAL}/4, PTL {GAL}/8, OZA {GAL}/128, BLL {GAL}*42",
    "time": "SEC 1, C26 1/1000, B98 1/1000000, C47 1/1000000000, MIN 60, HUR 3600, DAY 86400, WEE 604800",
    "calendar": "MON 1, ANN 12",
    "pressure": f"PAL 1, A97 100, KPA 1000, MPA 1000000, BAR 100000, MBR 100, PS {LB}*{G}/{IN}/{IN}, ATM 101325, ATT {G}*10000, "
    f"UA 101325/760, HN 13.5951*{G}, F79 25.4*13.5951*{G}, C56 1000000",
    "force": f"NEW 1, B47 1000, B73 1000000, C20 1/1000, B37 {G}, C78 {LB}*{G}, DU 1/100000",
    "torque": f"NU 1, B48 1000, J72 1/100, D83 1/1000, B38 {G}, M92 {LB}*{G}*{FT}, F21 {LB}*{G}*{IN}",
    "power": f"WTT 1, C31 1/1000, KWT 1000, MAW 1000000, A90 1000000000, HJ 75*{G}, BHP 550*{FT}*{LB}*{G}",
    "energy": f"JOU 1, KJO 1000, 3B 1000000, GV 1000000000, WHR 3600, KWH 3600000, MWH 3600000000, GWH 3600000000000, E14 4186.8, "
    f"D70 4.1868, BTU 1055.05585262, 85 {FT}*{LB}*{G}",
    "apparent power": "D46 1, KVA 1000, MVA 1000000",
    "reactive power": "D44 1, KVR 1000, MAR 1000000",
    "electric current": "AMP 1, 4K 1/1000, B84 1/1000000, B22 1000",
    "voltage": "VLT 1, 2Z 1/1000, D82 1/1000000, KVT 1000",
    "electric resistance": "OHM 1, E45 1/1000, B49 1000, B75 1000000",
    "electric charge": "COU 1, AMH 3600, E09 3600/1000",
    "capacitance": "FAR 1, 4O 1/1000000, C41 1/1000000000, 4T 1/1000000000000",
    "inductance": "81 1, C14 1/1000, B90 1/1000000",
    "conductance": "SIE 1, C27 1/1000, B99 1/1000000",
    "frequency": "HTZ 1, KHZ 1000, MHZ 1000000, A86 1000000000",
    "rotation": "RPS 1, RPM 1/60",
    "speed": f"MTS 1, 2X 1/60, KMH 1000/3600, C16 1/1000, H81 1/60000, FS {FT}, FR {FT}/60, HM {FT}*5280/3600, KNT 1852/3600, 2M 1/100",
    "acceleration": f"MSK 1, K40 {G}",
    "angle": "DD 1, D61 1/60, D62 1/3600, A91 360/400, M44 360",
    "angle (radian)": "C81 1, C25 1/1000, B97 1/1000000",
    "density": f"KMQ 1, B35 1000, 23 1000, GL 1, A93 1/1000, 87 {LB}/12/{IN}/12/{IN}/12/{IN}, M1 1/1000",
    "mass per area": "28 1, GM 1/1000",
    "mass per length": "KL 1, GF 1/1000, C12 1/1000000",
    "volume flow": f"MQS 1, MQH 1/3600, E32 1/3600000, L2 1/60000, G51 1/1000, 41 1/60000000, G2 {GAL}/60, 2L {FT}*{FT}*{FT}/60, "
    f"2K {FT}*{FT}*{FT}/3600",
    "mass flow": f"KGS 1, E93 1/3600, F31 1/60, 4U {LB}/3600, E18 1000/3600, F29 1/1000, F28 1/60000",
    "ratio": "P1 1, NX 1/10, 59 1/10000",
    "dynamic viscosity": "C65 1, C24 1/1000, C7 1/1000, 89 1/10",
    "kinematic viscosity": "S4 1, C17 1/1000000, 4C 1/1000000, 91 1/10000",
    "data": "A99 1, AD 8, 2P 8000, 4L 8000000",
    "amount of substance": "C34 1, C18 1/1000, B45 1000",
    "magnetic flux density": "D33 1, C29 1/1000",
}
FACTORS = {
    code: of(text) for row in BOOK.values() for code, text in (entry.split() for entry in row.split(", "))
}
#: Kelvins of one degree, and kelvins at its zero.
SCALES = {"KEL": (1, 0), "CEL": (1, "273.15"), "FAH": ("5/9", Fraction("459.67") * 5 / 9), "A48": ("5/9", 0)}
SCALES = {code: (Fraction(size), Fraction(zero)) for code, (size, zero) in SCALES.items()}


def to_base(code):
    return SCALES.get(code) or (FACTORS.get(code, Fraction(1)), Fraction(0))


def converted(value, source, target):
    (size, zero), (other, start) = to_base(source), to_base(target)
    return (value * size + zero - start) / other


def test_the_second_book_has_every_unit_that_converts():
    dimensions = {UNITS[code] for code in FACTORS}
    assert {code for code in UNITS if UNITS[code] in dimensions} == set(FACTORS)
    assert set(SCALES) == set(BY_DIMENSION["temperature"])
    alone = {name for name, units in BY_DIMENSION.items() if len(units) == 1}
    assert dimensions | alone | {"temperature"} == set(BY_DIMENSION)
    for name, row in BOOK.items():
        assert {UNITS[entry.split()[0]] for entry in row.split(", ")} == {name}


PAIRS = [(a, b) for a, b in itertools.product(UNITS, UNITS) if UNITS[a] == UNITS[b]]
ANY = "n: {path: q, unit: {from: {path: u}, to: {path: t}}, round: {places: 12, mode: half_even}}"


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    return Plant(tmp_path_factory.mktemp("units"), ANY)


def rounded(value, places=12):
    return Fraction(round(value * 10**places), 10**places)


@batches
def test_a_quantity_converts_exactly_between_any_two_units_of_a_dimension(converter, draw):
    pairs = [*PAIRS, *(draw.choice(PAIRS) for _ in range(SIZE))]
    items = [{"q": written(draw, draw.choice([3, 12, 24])), "u": a, "t": b} for a, b in pairs]
    for item, found in zip(items, converter.run(items), strict=True):
        # `round` of a fraction takes ties to even.
        wanted = rounded(converted(exact(item["q"]), item["u"], item["t"]))
        assert found == ({"n": canonical(wanted)} if fits(wanted) else "number_overflow"), item


@batches
def test_units_of_different_dimensions_never_convert(converter, draw):
    codes = list(UNITS)
    pairs = [(draw.choice(codes), draw.choice(codes)) for _ in range(SIZE)]
    pairs = [(a, b) for a, b in pairs if UNITS[a] != UNITS[b]]
    items = [{"q": written(draw, 12), "u": a, "t": b} for a, b in pairs]
    for item, found in zip(items, converter.run(items), strict=True):
        assert found == "unit_incompatible", item


@batches
def test_a_text_that_is_no_code_is_unknown_and_never_guessed(converter, draw):
    known = [code for codes in CODES.values() for code in codes]

    def other():
        code = draw.choice(known)
        changes = [
            code.lower(),
            code.upper(),
            code.swapcase(),
            f" {code}",
            f"{code} ",
            code + code,
            code[:-1],
            f"{code}\x00",
            "",
        ]
        return draw.choice(
            [*changes, code.replace("O", "0"), "".join(draw.choices("ABCDEFGHKLMNPT0123456789µ°", k=3))]
        )

    codes = [other() for _ in range(SIZE)]
    items = [{"q": "1", "u": code, "t": code} for code in codes]
    for code, found in zip(codes, converter.run(items), strict=True):
        assert found == ({"n": "1"} if code in UNITS else "unit_unknown"), repr(code)


FIELDS_MAX = 500


def test_a_conversion_without_rounding_is_allowed_exactly_where_every_result_ends(tmp_path):
    row = 'v{number}: {{path: q, unit: {{from: {{const: "{a}"}}, to: {{const: "{b}"}}}}}}'
    rows = [row.format(number=number, a=a, b=b) for number, (a, b) in enumerate(PAIRS)]
    ends = [terminates(converted(0, a, b)) and terminates(converted(1, a, b)) for a, b in PAIRS]
    for start in range(0, len(PAIRS), FIELDS_MAX):
        some = range(start, min(start + FIELDS_MAX, len(PAIRS)))
        project = Project(tmp_path / f"all-{start}")
        error = project.problems(mapping("\n".join(rows[number] for number in some)))
        # The first field stands in line 6, behind the id.
        assert {problem.line - 6 + start for problem in error.problems} == {
            number for number in some if not ends[number]
        }
        assert all("round" in f"{problem.message} {problem.hint}" for problem in error.problems)
        good = [number for number in some if ends[number]]
        plant = Plant(tmp_path / f"good-{start}", "\n".join(rows[number] for number in good))
        texts = ["0", "1", "-0.5", "12.34"]
        for text, found in zip(texts, plant.run([{"q": text} for text in texts]), strict=True):
            wanted = {f"v{number}": canonical(converted(exact(text), *PAIRS[number])) for number in good}
            assert found == wanted


# --- code sets ---

SETS = ["rec20", "sap", "sap_iso", "ucum", "x12_355"]


def test_the_named_sets_are_those_of_the_trade():
    assert sorted(CODES) == SETS
    assert set(CODES["rec20"]) == set(UNITS)
    assert all(code == unit for code, unit in CODES["rec20"].items())
    assert all(unit in UNITS for codes in CODES.values() for unit in codes.values())


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    field = "v: {{path: u, code_set: {{from: {a}, to: {b}}}}}"
    pairs = itertools.product(SETS, SETS)
    return {(a, b): Plant(tmp_path_factory.mktemp("codes"), field.format(a=a, b=b)) for a, b in pairs}


def translated(translators, a, b, codes):
    found = translators[a, b].run([{"u": code} for code in codes]) if codes else []
    return {code: one["v"] if isinstance(one, dict) else one for code, one in zip(codes, found, strict=True)}


@pytest.mark.parametrize("name", SETS)
def test_every_code_names_one_unit_and_its_unit_names_it_or_its_elder(translators, name):
    there = translated(translators, name, "rec20", list(CODES[name]))
    assert there == CODES[name]
    back = translated(translators, "rec20", name, sorted(set(there.values())))
    for unit, code in back.items():
        assert CODES[name][code] == unit
    without = [unit for unit in UNITS if unit not in there.values()]
    assert set(translated(translators, "rec20", name, without).values()) <= {"unit_unknown"}


@pytest.mark.parametrize(("a", "b"), [*itertools.permutations(SETS, 2)])
def test_cross_references_agree_both_ways(translators, a, b):
    found = translated(translators, a, b, list(CODES[a]))
    known = {code: other for code, other in found.items() if other != "unit_unknown"}
    assert all(CODES[a][code] == CODES[b][other] for code, other in known.items())
    assert {CODES[a][code] for code in set(found) - set(known)}.isdisjoint(CODES[b].values())
    back = translated(translators, b, a, sorted(set(known.values())))
    assert all(CODES[a][back[other]] == CODES[a][code] for code, other in known.items())
