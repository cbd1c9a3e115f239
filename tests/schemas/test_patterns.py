"""Patterns as automata match as the engine matches, and are compared."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfgroute.schemas.patterns import automaton, counterexample, matches
from mfgroute.schemas.plain import UndecidedError
from mfgroute.testing import check_schema

ANY = (0, None)
PATTERNS = [
    "^[0-9]{4}$", "^[0-9]{1,10}$", "^[a-z][a-z0-9_]{0,39}$", "a", "^a|b$", "^(ab|c)*$", "^$", "a{0}", "^a+?b{2,}$", "[^a]",
    "^\\d\\w\\s$", ".", "^(?:a|(?<n>b))?$", "(^a)|b", "$^", "^a{2}b{0,1}$", "\\x41|\\u0042", "[a\\-c]", "[a-c-]",
    "^(a?){3}$", "^\\D\\W\\S$", "^[\\d\\s]+$", "^[^\\w]$", "^(a|b)*?abb$", "^((a{1,2}){2}|b)$", "\\$\\^\\/", "", "a||b",
]  # fmt: skip
TEXTS = ["", "a", "b", "c", "ab", "abb", "aabb", "0012", "1", "1_ ", "A", "B", "-", "\n", "é", "9a ", "\u2028", "aa", "aaa",
         "aab", "$^/", "12345678901", "\u00a0", "\U0001f600", "é!x", "abab", "babb", "aaaa", "aaaaa"]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_the_engine_matches(pattern):
    wrong = [
        text for text in TEXTS if matches(pattern, text) != (not check_schema({"pattern": pattern}, text))
    ]
    assert wrong == []


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "\\d", "\\w", "^", "$", "(a|b)", "(?:ab)", "1"])
PARTS = st.lists(
    st.tuples(ATOMS, st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}"])), max_size=4
)
RANDOM = PARTS.map(lambda parts: "".join(atom + ("" if atom in "^$" else times) for atom, times in parts))


@settings(max_examples=300, deadline=None)
@given(pattern=RANDOM, text=st.text("ab1\n", max_size=6))
def test_a_random_pattern_matches_what_the_engine_matches(pattern, text):
    assert matches(pattern, text) == (not check_schema({"pattern": pattern}, text))


@settings(max_examples=300, deadline=None)
@given(first=RANDOM, second=RANDOM, text=st.text("ab1", max_size=6))
def test_a_counterexample_is_one_and_its_absence_is_contradicted_by_no_text(first, second, text):
    found = counterexample([automaton(first)], ANY, automaton(second), ANY)
    if found is None:
        assert not matches(first, text) or matches(second, text)
    else:
        assert matches(first, found)
        assert not matches(second, found)


@pytest.mark.parametrize(("pattern", "lengths", "expected"), [
    ("^[0-9]{4}$", (1, 10), None), ("^[0-9]{1,11}$", (1, 10), 11), ("^a*$", (0, 3), 4), ("^a*$", (1, None), 0),
])  # fmt: skip
def test_a_pattern_has_lengths(pattern, lengths, expected):
    found = counterexample([automaton(pattern)], ANY, None, lengths)
    assert (None if found is None else len(found)) == expected


def test_lengths_of_the_left_are_kept():
    assert counterexample([automaton("^a*$")], (2, 3), automaton("^(aa|aaa)$"), ANY) is None
    assert counterexample([automaton("^a*$"), automaton("^.{5}$")], ANY, None, (0, 4)) == "aaaaa"


@pytest.mark.parametrize("pattern", [
    "(?=a)b", "(a)\\1", "\\p{L}", "\\bword", "a**", "(", "[", "[]", "a{x}", "[a-\\d]", "\\", "a)", "a{9999}", "(a{99}){99}",
])  # fmt: skip
def test_what_is_not_understood_is_said(pattern):
    with pytest.raises(UndecidedError):
        automaton(pattern)


def test_a_comparison_that_grows_without_end_is_given_up():
    many = automaton("^(a|b)*a(a|b){14}$")
    with pytest.raises(UndecidedError, match="too large"):
        counterexample([automaton("^(a|b)*$")], (40, None), many, ANY)


def test_a_counterexample_can_be_read():
    text = counterexample([automaton("^[^0]{3}$")], ANY, None, (-1, -1))
    assert text is not None
    assert re.fullmatch(r"[ -~]{3}", text)
