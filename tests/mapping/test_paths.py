"""Every form of a path, over JSON and XML: one value, none, or the reject `not_single`."""

import pytest

from .conftest import mapping

NOT_SINGLE = "reject not_single"
ABSENT = "absent"

JSON = [
    ("a", {"a": "x"}, "x"),
    ("a.b", {"a": {"b": "x"}}, "x"),
    ("a.b", {"a": "x"}, ABSENT),
    ("a.b", {"a": None}, ABSENT),
    ("a.b", {}, ABSENT),
    ("'odd name'", {"odd name": "x"}, "x"),
    ("'odd.name'.b", {"odd.name": {"b": "x"}}, "x"),
    ("'a''b'", {"a'b": "x"}, "x"),
    ("'**'", {"**": "x"}, "x"),
    ("'#'", {"#": "x"}, "x"),
    ("'$'.a", {"$": {"a": "x"}}, "x"),
    ("'a[0]'", {"a[0]": "x"}, "x"),
    ("'Rückmelde-Nr'", {"Rückmelde-Nr": "x"}, "x"),
    ("'@x'", {"@x": "x"}, "x"),
    ("a[0]", {"a": ["x", "y"]}, "x"),
    ("a[1]", {"a": ["x", "y"]}, "y"),
    ("a[2]", {"a": ["x", "y"]}, ABSENT),
    ("a[99999999999]", {"a": ["x", "y"]}, ABSENT),
    ("a[0].b", {"a": [{"b": "x"}, {"b": "y"}]}, "x"),
    ("a[1].b[0]", {"a": [{"b": "x"}, {"b": ["y"]}]}, "y"),
    ("a[*]", {"a": ["x"]}, "x"),
    ("a[*]", {"a": ["x", "y"]}, NOT_SINGLE),
    ("a[*]", {"a": []}, ABSENT),
    ("a[*].b", {"a": [{"b": "x"}, {"c": "y"}]}, "x"),
    ("a[*].b", {"a": [{"b": "x"}, {"b": "x"}]}, NOT_SINGLE),
    ("a[k=1].v", {"a": [{"k": "0", "v": "x"}, {"k": "1", "v": "y"}]}, "y"),
    ("a[k=1].v", {"a": [{"k": 0, "v": "x"}, {"k": 1, "v": "y"}]}, "y"),
    ("a[k=1].v", {"a": [{"k": "1", "v": "x"}, {"k": "1", "v": "y"}]}, NOT_SINGLE),
    ("a[k=2].v", {"a": [{"k": "1", "v": "x"}]}, ABSENT),
    ("a[k=two words].v", {"a": [{"k": "two words", "v": "x"}]}, "x"),
    ("a[k=].v", {"a": [{"k": "", "v": "x"}, {"k": "1", "v": "y"}]}, "x"),
    ("a['odd k'=1].v", {"a": [{"odd k": "1", "v": "x"}, {"odd k": "2", "v": "y"}]}, "x"),
    ("**.d", {"a": {"b": {"c": {"d": "x"}}}}, "x"),
    ("**.d", {"d": "x"}, "x"),
    ("**.d", {"a": [{"d": "x"}, {"e": 1}]}, "x"),
    ("**.d", {"a": {"d": "x"}, "b": {"d": "y"}}, NOT_SINGLE),
    ("**.d", {"a": {"d": "x"}, "d": "y"}, NOT_SINGLE),
    ("**.d", {"a": 1}, ABSENT),
    ("a.**.d", {"a": {"z": {"d": "x"}}, "b": {"d": "y"}}, "x"),
    ("**.a.d", {"q": {"a": {"d": "x"}}, "b": {"d": "y"}}, "x"),
    ("$.a", {"a": "x"}, "x"),
]


def outcome(line):
    if "reject" in line:
        return "reject " + line["reject"]["code"]
    return line["data"].get("v", ABSENT)


@pytest.mark.parametrize(("path", "message", "expected"), JSON)
def test_a_path_over_json_finds_what_it_says(project, path, message, expected):
    quoted = path.replace('"', '\\"')
    [line] = project.run(mapping(f'v: {{path: "{quoted}"}}'), message)
    assert outcome(line) == expected


XML = [
    ("a", "<m><a>x</a></m>", "x"),
    ("a.b", "<m><a><b>x</b></a></m>", "x"),
    ("a", "<m><a>x</a><a>y</a></m>", NOT_SINGLE),
    ("a.b", "<m><a><b>x</b></a><a><b>y</b></a></m>", NOT_SINGLE),
    ("a.b", "<m><a><b>x</b></a><a><c>y</c></a></m>", "x"),
    ("a", "<m><a>x</a><b>-</b><a>y</a></m>", NOT_SINGLE),
    ("a[0]", "<m><a>x</a><b>-</b><a>y</a></m>", "x"),
    ("a[1]", "<m><a>x</a><b>-</b><a>y</a></m>", "y"),
    ("a[1]", "<m><a>x</a></m>", ABSENT),
    ("a[0]", "<m><a>x</a></m>", "x"),
    ("a[*]", "<m><a>x</a></m>", "x"),
    ("a[*]", "<m><a>x</a><a>y</a></m>", NOT_SINGLE),
    ("@n", '<m n="x"><n>y</n></m>', "x"),
    ("n", '<m n="x"><n>y</n></m>', "y"),
    ("n", '<m n="x"/>', ABSENT),
    ("a.@n", '<m><a n="x">y</a></m>', "x"),
    ("a.@n", "<m><a>y</a></m>", ABSENT),
    ("a.#text", '<m><a n="x">y</a></m>', "y"),
    ("a", '<m><a n="x">y</a></m>', "y"),
    ("a[@n=2]", '<m><a n="1">x</a><a n="2">y</a></m>', "y"),
    ("a[k=2].v", "<m><a><k>1</k><v>x</v></a><a><k>2</k><v>y</v></a></m>", "y"),
    ("a[k=2].v", "<m><a><k>2</k><v>x</v></a><a><k>2</k><v>y</v></a></m>", NOT_SINGLE),
    ("a[k=2].v", "<m><a><k>1</k><k>2</k><v>x</v></a></m>", "x"),
    ("a", '<m xmlns:p="urn:p"><p:a>x</p:a></m>', "x"),
    ("a", '<m xmlns:p="urn:p" xmlns:q="urn:q"><p:a>x</p:a><q:a>y</q:a></m>', NOT_SINGLE),
    ("@n", '<m xmlns:p="urn:p" p:n="x"/>', "x"),
    ("**.a", "<m><q><r><a>x</a></r></q></m>", "x"),
    ("**.a", "<m><a>x</a></m>", "x"),
    ("**.a", "<m><q><a>x</a></q><r><a>y</a></r></m>", NOT_SINGLE),
    ("**.@n", '<m><q><r n="x"/></q></m>', "x"),
    ("$.a", "<m><a>x</a></m>", "x"),
    ("a", "<m><a><![CDATA[x]]></a></m>", "x"),
    ("a", "<m><a>x<!-- c -->y</a></m>", "xy"),
    ("a", "<m><a>x<?pi y?>z</a></m>", "xz"),
    ("a", "<m><a>&#120;</a></m>", "x"),
    ("#text", "<m>x</m>", "x"),
    ("m.a", "<m><a>x</a></m>", ABSENT),
]


@pytest.mark.parametrize(("path", "message", "expected"), XML)
def test_a_path_over_xml_finds_what_it_says(project, path, message, expected):
    text = mapping(f'v: {{path: "{path}"}}', head="from: {decode: xml}")
    [line] = project.run(text, message.encode())
    assert outcome(line) == expected


LISTS = [
    ({"a": "x", "b": "y"}, "x"),
    ({"b": "y"}, "y"),
    ({"a": None, "b": "y"}, "y"),
    ({"a": "", "b": "y"}, "y"),
    ({}, ABSENT),
    ({"a": 0, "b": "y"}, 0),
    ({"a": False, "b": "y"}, False),
]


@pytest.mark.parametrize(("message", "expected"), LISTS)
def test_a_list_of_paths_takes_the_first_that_is_present(project, message, expected):
    head = 'from: {decode: json, empty: [""]}'
    [line] = project.run(mapping("v: {path: [a, b]}", head=head), message)
    assert outcome(line) == expected


def test_a_list_of_paths_does_not_hide_two_values_of_its_first(project):
    [line] = project.run(mapping("v: {path: ['a[*]', b]}"), {"a": ["x", "z"], "b": "y"})
    assert outcome(line) == NOT_SINGLE


def test_without_empty_an_empty_text_is_present(project):
    [line] = project.run(mapping("v: {path: [a, b]}"), {"a": "", "b": "y"})
    assert outcome(line) == ""


EACH = 'each: ["a[*]", "b[*]"]'
NESTED = {"g": "top", "x": "message", "a": [{"x": "outer", "b": [{"x": "inner"}]}]}
SCOPES = [
    ("x", "inner"),
    ("^.x", "outer"),
    ("^.^.x", "message"),
    ("$.x", "message"),
    ("$.a[0].x", "outer"),
    ("g", ABSENT),
    ("^.^.g", "top"),
]


@pytest.mark.parametrize(("path", "expected"), SCOPES)
def test_a_path_starts_where_its_prefix_says(project, path, expected):
    [line] = project.run(mapping(f'v: {{path: "{path}"}}', entry=EACH), NESTED)
    assert outcome(line) == expected


def test_climbing_above_the_message_is_a_mistake_of_the_mapping(project):
    error = project.problems(mapping('v: {path: "^.x"}'))
    assert any(problem.file == "mappings/m.yaml" and problem.line == 6 for problem in error.problems)


def test_the_item_itself_is_named_by_a_hash(project):
    result = project.run(mapping('v: {path: "#"}', entry='each: "a[*]"'), {"a": ["x", 2, True]})
    assert [line["data"]["v"] for line in result] == ["x", 2, True]


def test_the_hash_inside_a_list_is_the_item_of_the_list(project):
    fields = 'items: {list: "s[*]", fields: {n: {path: "#"}, up: {path: "^.k"}, top: {path: "$.k"}}}'
    message = {"k": "t", "a": [{"k": "o", "s": ["p", "q"]}]}
    [line] = project.run(mapping(fields, entry='each: "a[*]"'), message)
    assert line["data"]["items"] == [{"n": "p", "up": "o", "top": "t"}, {"n": "q", "up": "o", "top": "t"}]


BAD = ["", "a.", ".a", "a..b", "a[", "a[x", "a[-1]", "'a", "a]", "a[1", "a.^.b", "a.$.b", "**"]


@pytest.mark.parametrize("path", BAD)
def test_a_malformed_path_is_refused_at_its_place(project, path):
    error = project.problems(mapping(f'v: {{path: "{path}"}}'))
    places = [(problem.file, problem.line) for problem in error.problems]
    assert ("mappings/m.yaml", 6) in places


def test_not_single_names_the_pointer_and_the_field(project):
    [line] = project.run(mapping("n: {path: 'a[*].b', number: {}}"), {"a": [{"b": 1}, {"b": 2}]})
    assert line["reject"]["code"] == "not_single"
    assert line["reject"]["field"] == "n"
    assert line["reject"]["pointer"].startswith("/a")
