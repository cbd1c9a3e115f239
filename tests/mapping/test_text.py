"""Text rules, one after another."""

import pytest

from .conftest import mapping

CASES = [
    ("[strip]", "  x y ", "x y"),
    ("[strip]", "", ""),
    ("[upper]", "ab1ß", {"AB1SS", "AB1ß"}),
    ("[lower]", "ÄBC", "äbc"),
    ("[{strip_zeros: left}]", "000001004711", "1004711"),
    ("[{strip_zeros: left}]", "0010A0", "10A0"),
    ("[{strip_zeros: left}]", "47110", "47110"),
    ("[{strip_zeros: left}]", "000", "0"),
    ("[{strip_zeros: left}]", "", ""),
    ('[{pad_left: {with: "0", to: 4}}]', "20", "0020"),
    ('[{pad_left: {with: "0", to: 4}}]', "12345", "12345"),
    ('[{pad_left: {with: "0", to: 4}}]', "ä", "000ä"),
    ('[{pad_left: {with: "0", to: 4}}]', 20, "0020"),
    ('[{split: {by: "/", part: 0}}]', "a/b", "a"),
    ('[{split: {by: "/", part: 1}}]', "a/b/c", "b"),
    ('[{split: {by: "/", part: 1}}]', "a", "!text_rule"),
    ('[{split: {by: "->", part: 1}}]', "a->b", "b"),
    ('[{replace: {old: "-", new: ""}}]', "a-b-c", "abc"),
    ('[{replace: {old: ".", new: "x"}}]', "a.b", "axb"),
    ('[{regex: "^(\\\\d+)-"}]', "4711-DE", "4711"),
    ('[{regex: "^(\\\\d+)-"}]', "x-DE", "!text_rule"),
    ('[{regex: "x(y?)z"}]', "xz", ""),
    ("[strip, upper]", " a ", "A"),
    ('[strip, {strip_zeros: left}, {pad_left: {with: "0", to: 3}}]', " 0007 ", "007"),
    ("[upper]", None, None),
]


def run(one, rules, text):
    found = one(f"v: {{path: a, text: {rules}}}", {"a": text})
    return "!" + found["code"] if "code" in found else found.get("v")


@pytest.mark.parametrize(("rules", "text", "expected"), CASES, ids=range(len(CASES)))
def test_a_text_rule_does_what_it_says_or_refuses(one, rules, text, expected):
    found = run(one, rules, text)
    assert found in expected if isinstance(expected, set) else found == expected


SLICES = [("{from: 0, to: 2}", "abcd", "ab"), ("{from: 2, to: 4}", "äöüß", "üß"), ("{from: 1}", "abc", "bc")]


@pytest.mark.parametrize(("how", "text", "expected"), SLICES)
def test_a_slice_counts_characters(one, how, text, expected):
    assert run(one, f"[{{slice: {how}}}]", text) == expected


def test_a_slice_beyond_the_end_never_panics(one):
    assert run(one, "[{slice: {from: 2, to: 4}}]", "a") in {"", "!text_rule", None}
    assert run(one, "[{slice: {from: 2, to: 4}}]", "abc") in {"c", "!text_rule"}


@pytest.mark.parametrize("value", [True, [1], {"x": 1}, 1.5])
def test_a_text_rule_on_something_else_is_a_reject_or_its_plain_text(one, value):
    found = run(one, "[upper]", value)
    assert found in {"!wrong_type", "TRUE", "1.5", "1"}


NUMBERS = [
    (b"4711", "4711"),
    (b"1.50", "1.50"),
    (b"1e2", "1e2"),
    (b"12345678901234567890123", "12345678901234567890123"),
]


@pytest.mark.parametrize(("raw", "expected"), NUMBERS)
def test_a_number_as_text_keeps_its_digits(one, raw, expected):
    found = one("v: {path: a, text: [strip]}", b'{"a":' + raw + b"}")
    assert found["v"] in {
        expected,
        "100" if raw == b"1e2" else expected,
        "1.5" if raw == b"1.50" else expected,
    }


CONCAT = [
    ({"a": "x", "b": "y"}, "x/y"),
    ({"a": 1, "b": "y"}, "1/y"),
    ({"a": "", "b": "y"}, "/y"),
]


@pytest.mark.parametrize(("message", "expected"), CONCAT)
def test_parts_are_joined_in_order(one, message, expected):
    assert one('v: {concat: [{path: a}, {const: "/"}, {path: b}]}', message)["v"] == expected


def test_an_absent_part_never_makes_a_shorter_text(one):
    """An identity that silently loses a part makes two reports one."""
    found = one('v: {concat: [{path: a}, {const: "/"}, {path: b}]}', {"a": "x"})
    assert "v" not in found


META = [("source.name", "src"), ("topic", "a/b"), ("file.name", "f.csv"), ("http.header.x-site", "DE07")]


@pytest.mark.parametrize(("name", "value"), META)
def test_meta_is_a_source_of_values(one, name, value):
    assert one(f"v: {{meta: {name}}}", {}, meta={name: value})["v"] == value


def test_absent_meta_leaves_the_field_out(one):
    assert "v" not in one("v: {meta: topic}", {})


CONFIG = [
    "[stripp]", "[{strip_zeros: up}]", "[{strip_zeros: right, x: 1}]", '[{pad_left: {with: "", to: 4}}]',
    '[{pad_left: {with: "ab", to: 4}}]', '[{pad_left: {with: "0", to: -1}}]', '[{pad_left: {with: "0"}}]',
    '[{split: {by: "", part: 0}}]', "[{split: {by: x}}]", '[{regex: "no group"}]', '[{regex: "(a)(b)"}]',
    '[{regex: "(a"}]', '[{replace: {old: "", new: x}}]', "[{slice: {from: 4, to: 2}}]", "[1]", "[null]",
    '[{regex: "(?=a)(b)"}]', '[{regex: "(a{1000}){1000}"}]',
]  # fmt: skip


@pytest.mark.parametrize("rules", CONFIG)
def test_a_wrong_text_rule_is_refused_with_its_place(project, rules):
    error = project.problems(mapping(f"v: {{path: a, text: {rules}}}"))
    assert any((p.file, p.line) == ("mappings/m.yaml", 6) for p in error.problems), str(error)


def test_a_regular_expression_is_linear(one):
    text = "a" * 50_000 + "!"
    assert run(one, '[{regex: "^((?:a|a)*)*$"}]', text) == "!text_rule"
