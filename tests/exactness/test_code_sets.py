"""What codes mean, from a second source: the grammar of UCUM, and the names that the sets themselves give their codes."""

import re
from fractions import Fraction

import pytest

from mfgroute import _core

from .test_units import CODES, FACTORS, SCALES, UNITS

NAMES = {code: name for code, name, _ in _core.units()["units"]}

#: Data element 355, as its code list describes the codes.
X12 = {
    "EA": "each", "PC": "piece", "UN": "one", "PR": "pair", "DZ": "dozen", "GS": "gross", "ST": "set", "KT": "kit", "LO": "lot",
    "RO": "number of rolls", "BG": "bag", "BX": "box", "CT": "carton", "CA": "case", "PK": "package", "PL": "pallet", "DR": "drum", "RE": "reel",
    "BO": "bottle", "KG": "kilogram", "GR": "gram", "ME": "milligram", "MP": "tonne (metric ton)", "LB": "pound", "OZ": "ounce (avoirdupois)",
    "TN": "ton (US) or short ton (UK/US)", "MR": "metre", "DK": "kilometre", "CM": "centimetre", "MM": "millimetre", "IN": "inch", "FT": "foot",
    "LF": "foot", "YD": "yard", "SM": "square metre", "SF": "square foot", "SY": "square yard", "SI": "square inch", "CR": "cubic metre",
    "CF": "cubic foot", "CI": "cubic inch", "CY": "cubic yard", "LT": "litre", "ML": "millilitre", "GA": "gallon (US)", "QT": "liquid quart (US)",
    "PT": "liquid pint (US)", "FO": "fluid ounce (US)", "03": "second", "MJ": "minute", "HR": "hour", "DA": "day", "WK": "week", "MO": "month",
    "YR": "year", "CE": "degree Celsius", "FA": "degree Fahrenheit", "KV": "kelvin", "PS": "pound-force per square inch", "KH": "kilowatt hour",
    "P1": "percent",
}  # fmt: skip
#: Internal units of SAP, as table T006A names them in English.
SAP = {
    "ST": "piece", "EA": "each", "PAA": "pair", "DZ": "dozen", "GRO": "gross", "SET": "set", "ROL": "number of rolls", "KAR": "carton", "PAL": "pallet",
    "KI": "crate", "PAK": "package", "FL": "bottle", "KAN": "canister", "KG": "kilogram", "G": "gram", "MG": "milligram", "TO": "tonne (metric ton)",
    "LB": "pound", "OZ": "ounce (avoirdupois)", "TON": "ton (US) or short ton (UK/US)", "M": "metre", "KM": "kilometre", "DM": "decimetre",
    "CM": "centimetre", "MM": "millimetre", "µM": "micrometre", "M2": "square metre", "KM2": "square kilometre", "CM2": "square centimetre",
    "MM2": "square millimetre", "HAR": "hectare", "M3": "cubic metre", "DM3": "cubic decimetre", "CCM": "cubic centimetre", "CM3": "cubic centimetre",
    "MM3": "cubic millimetre", "L": "litre", "CL": "centilitre", "ML": "millilitre", "HL": "hectolitre", "µL": "microlitre", "GAL": "gallon (US)",
    "QT": "liquid quart (US)", "PT": "liquid pint (US)", "STD": "hour", "H": "hour", "MIN": "minute", "S": "second", "MS": "millisecond", "TAG": "day",
    "WCH": "week", "MON": "month", "JHR": "year", "K": "kelvin", "°C": "degree Celsius", "°F": "degree Fahrenheit", "PA": "pascal", "KPA": "kilopascal",
    "MPA": "megapascal", "BAR": "bar", "MBA": "millibar", "N": "newton", "KN": "kilonewton", "NM": "newton metre", "W": "watt", "KW": "kilowatt",
    "MW": "megawatt", "J": "joule", "KJ": "kilojoule", "KWH": "kilowatt hour", "MWH": "megawatt hour (1000 kW.h)", "A": "ampere", "MA": "milliampere",
    "V": "volt", "MV": "millivolt", "KV": "kilovolt", "OHM": "ohm", "KVA": "kilovolt ampere", "HZ": "hertz", "KHZ": "kilohertz", "MHZ": "megahertz",
    "FT": "foot", "YD": "yard", "MI": "mile (statute mile)", "FT2": "square foot", "YD2": "square yard", "FT3": "cubic foot", "YD3": "cubic yard",
    "%": "percent", "PPM": "part per million", "%O": "part per thousand",
}  # fmt: skip


@pytest.mark.parametrize(("name", "book"), [("x12_355", X12), ("sap", SAP)])
def test_a_code_means_what_its_set_calls_it(name, book):
    assert {code: NAMES[unit] for code, unit in CODES[name].items()} == book


#: ISO codes of SAP that are not the common code of Rec 20: pieces, rolls, and packages, which Rec 20 writes with an X.
ISO = {"PCE": "piece", "ROL": "number of rolls", "RO": "number of rolls", "PF": "pallet"}


def test_an_iso_code_of_sap_is_the_common_code_or_the_package_of_that_name():
    for code, unit in CODES["sap_iso"].items():
        if code in ISO:
            assert NAMES[unit] == ISO[code]
        else:
            assert unit == (code if code in UNITS else f"X{code}")


# --- the grammar of UCUM: prefixes before metric atoms, exponents behind, `.` and `/` between ---

PREFIXES = {"G": 9, "M": 6, "k": 3, "h": 2, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12}
IN = Fraction("0.0254")
LB = Fraction("0.45359237")
G0 = Fraction("9.80665")
#: Metric atoms: how much of the base units kg, m, s, A, K, mol, cd they are, and their powers of those.
METRIC = {
    "g": (Fraction(1, 1000), "kg"), "m": (1, "m"), "s": (1, "s"), "A": (1, "A"), "mol": (1, "mol"), "cd": (1, "cd"), "t": (1000, "kg"), "rad": (1, "rad"),
    "L": (Fraction(1, 1000), "m3"), "l": (Fraction(1, 1000), "m3"), "ar": (100, "m2"), "Pa": (1, "kg m-1 s-2"), "bar": (10**5, "kg m-1 s-2"), "N": (1, "kg m s-2"),
    "J": (1, "kg m2 s-2"), "W": (1, "kg m2 s-3"), "V": (1, "kg m2 s-3 A-1"), "Ohm": (1, "kg m2 s-3 A-2"), "C": (1, "A s"), "F": (1, "kg-1 m-2 s4 A2"),
    "H": (1, "kg m2 s-2 A-2"), "S": (1, "kg-1 m-2 s3 A2"), "Hz": (1, "s-1"), "T": (1, "kg s-2 A-1"), "P": (Fraction(1, 10), "kg m-1 s-1"),
    "St": (Fraction(1, 10000), "m2 s-1"), "dyn": (Fraction(1, 10**5), "kg m s-2"), "lm": (1, "lm"), "lx": (1, "lx"), "By": (8, "bit"),
    "cal_IT": (Fraction("4.1868"), "kg m2 s-2"),
}  # fmt: skip
OTHER = {
    "1": (1, ""), "min": (60, "s"), "h": (3600, "s"), "d": (86400, "s"), "wk": (604800, "s"), "bit": (1, "bit"), "%": (Fraction(1, 100), ""),
    "[ppth]": (Fraction(1, 1000), ""), "[ppm]": (Fraction(1, 10**6), ""), "[lb_av]": (LB, "kg"), "[oz_av]": (LB / 16, "kg"), "[gr]": (LB / 7000, "kg"),
    "[oz_tr]": (LB / 7000 * 480, "kg"), "[stone_av]": (LB * 14, "kg"), "[ston_av]": (LB * 2000, "kg"), "[lton_av]": (LB * 2240, "kg"), "[in_i]": (IN, "m"),
    "[ft_i]": (IN * 12, "m"), "[yd_i]": (IN * 36, "m"), "[mi_i]": (IN * 63360, "m"), "[nmi_i]": (1852, "m"), "[mil_i]": (IN / 1000, "m"), "har": (10000, "m2"),
    "[sin_i]": (IN**2, "m2"), "[sft_i]": ((IN * 12) ** 2, "m2"), "[syd_i]": ((IN * 36) ** 2, "m2"), "[cin_i]": (IN**3, "m3"), "[cft_i]": ((IN * 12) ** 3, "m3"),
    "[cyd_i]": ((IN * 36) ** 3, "m3"), "[gal_us]": (231 * IN**3, "m3"), "[gal_br]": (Fraction("0.00454609"), "m3"), "[qt_us]": (231 * IN**3 / 4, "m3"),
    "[pt_us]": (231 * IN**3 / 8, "m3"), "[foz_us]": (231 * IN**3 / 128, "m3"), "[bbl_us]": (42 * 231 * IN**3, "m3"), "[psi]": (LB * G0 / IN**2, "kg m-1 s-2"),
    "atm": (101325, "kg m-1 s-2"), "att": (G0 * 10000, "kg m-1 s-2"), "mm[Hg]": (Fraction("133.322387415"), "kg m-1 s-2"), "kgf": (G0, "kg m s-2"),
    "[lbf_av]": (LB * G0, "kg m s-2"), "[Btu_IT]": (Fraction("1055.05585262"), "kg m2 s-2"), "[kn_i]": (Fraction(1852, 3600), "m s-1"), "[g]": (G0, "m s-2"),
    "deg": (1, "deg"), "'": (Fraction(1, 60), "deg"), "''": (Fraction(1, 3600), "deg"), "gon": (Fraction(9, 10), "deg"), "mo": (1, "mo"), "a": (12, "mo"),
    "dB": (1, "dB"), "[pH]": (1, "pH"),
}  # fmt: skip


def atom(text):
    """Size and powers of one symbol with its prefix and exponent."""
    symbol, exponent = re.fullmatch(r"(.*?)([0-9]*)", text).groups() if text != "1" else (text, "")
    if symbol in OTHER or symbol in METRIC:
        size, powers = OTHER.get(symbol) or METRIC[symbol]
    else:
        size, powers = METRIC[symbol[1:]]
        size = size * Fraction(10) ** PREFIXES[symbol[0]]
    number = int(exponent or 1)
    found = {}
    for name, power in re.findall(r"([a-zA-Z]+)(-?\d*)", powers):
        found[name] = int(power or 1) * number
    return Fraction(size) ** number, found


def meaning(code):
    """Size and powers of a code."""
    total, powers, sign = Fraction(1), {}, 1
    for part in re.split(r"([./])", code):
        if part in "./":
            sign = 1 if part == "." else -1
            continue
        size, found = atom(part)
        total *= size**sign
        for name, power in found.items():
            powers[name] = powers.get(name, 0) + sign * power
    return total, {name: power for name, power in powers.items() if power}


def test_a_code_of_ucum_has_the_size_and_the_dimension_that_its_grammar_says():
    scales = {"K": "KEL", "Cel": "CEL", "[degF]": "FAH", "[degR]": "A48"}
    dimensions, sizes = {}, {}
    for code, unit in CODES["ucum"].items():
        if code in scales:
            assert unit == scales[code]
            assert unit in SCALES
            continue
        size, powers = meaning(code)
        assert dimensions.setdefault(UNITS[unit], powers) == powers, code
        # All units of a dimension are the same times their size in the second book.
        sizes.setdefault(UNITS[unit], set()).add(size / FACTORS.get(unit, Fraction(1)))
    assert {name: len(found) for name, found in sizes.items() if len(found) != 1} == {}
    # Different dimensions of one kind are told apart on purpose.
    same = [name for name in dimensions if dimensions[name] == dimensions["energy"]]
    assert sorted(same) == ["energy", "torque"]
