"""JSON is read once and strictly: what parsers disagree about is refused, with a code and an offset."""

import pytest

from .conftest import lines, mapping

DEEP = b'{"a":' * 65 + b"1" + b"}" * 65
REFUSED = [
    (b"", "payload_empty"),
    (b" \r\n\t", "payload_empty"),
    (b'\xef\xbb\xbf{"a":1}', "bom"),
    (b'\xff\xfe{\x00"\x00a\x00"\x00:\x001\x00}\x00', {"encoding", "bom"}),
    (b'{"a":NaN}', "bad_json"),
    (b'{"a":Infinity}', "bad_json"),
    (b'{"a":-Infinity}', "bad_json"),
    (b'{"a":1,}', "bad_json"),
    (b'{"a":1}}', "bad_json"),
    (b'{"a":1} {"b":2}', "bad_json"),
    (b'{"a":1}x', "bad_json"),
    (b'{"a":01}', "bad_json"),
    (b'{"a":+1}', "bad_json"),
    (b'{"a":.5}', "bad_json"),
    (b'{"a":5.}', "bad_json"),
    (b'{"a":1e}', "bad_json"),
    (b'{"a":0x10}', "bad_json"),
    (b'{"a":-}', "bad_json"),
    (b"{'a':1}", "bad_json"),
    (b"{a:1}", "bad_json"),
    (b'{"a":1 /* c */}', "bad_json"),
    (b'{"a":"\n"}', "bad_json"),
    (b'{"a":"\x00"}', "bad_json"),
    (b'{"a":"\\x41"}', "bad_json"),
    (b'{"a":"\\u12"}', "bad_json"),
    (b'{"a":tru}', "bad_json"),
    (b'{"a":"x', "bad_json"),
    (b'{"a"', "bad_json"),
    (b'{"a":1,"a":2}', "duplicate_key"),
    (b'{"a":1,"\\u0061":2}', "duplicate_key"),
    (b'{"z":{"a":1,"b":2,"a":3}}', "duplicate_key"),
    (b'{"z":[{"a":1,"a":3}]}', "duplicate_key"),
    (b'{"a":"\\ud800"}', "lone_surrogate"),
    (b'{"a":"\\udc00"}', "lone_surrogate"),
    (b'{"a":"\\ud800\\u0041"}', "lone_surrogate"),
    (b'{"a":"\\ud800\\ud800"}', "lone_surrogate"),
    (b'{"\\ud800":1}', "lone_surrogate"),
    (b'{"a\\u0000b":1}', "nul_in_key"),
    (b'{"a":"\xff"}', "encoding"),
    (b'{"a":"\xc0\xaf"}', "encoding"),
    (b'{"a":"\xed\xa0\x80"}', "encoding"),
    (b'{"a":"\xf4\x90\x80\x80"}', "encoding"),
    (b'{"a":"\xc3', "encoding"),
    (DEEP, "too_deep"),
    (b"[" * 100_000, {"too_deep", "bad_json"}),
    (b'{"a":' + b"9" * 1000 + b"}", {"number_too_long"}),
    (b'{"a":1e999999999999}', "number_too_long"),
    (b'{"a":1e-999999999999}', "number_too_long"),
    (b'{"a":1e999}', "number_too_long"),
    (b'{"a":"' + b"x" * (256 * 1024 + 1) + b'"}', "string_too_long"),
    (b"{" + b",".join(b'"k%d":1' % n for n in range(1025)) + b"}", "too_many_keys"),
    (b'{"a":[' + b",".join([b"1"] * 100_001) + b"]}", "too_many_nodes"),
    (
        b'{"a":"' + b"x" * 200_000 + b'","b":"' + b"x" * 200_000 + b'"' + b" " * 1_000_000 + b"}",
        "message_too_large",
    ),
]


@pytest.fixture
def plan(project):
    return project.load(mapping("v: {path: a}"))


@pytest.mark.parametrize(("message", "code"), REFUSED, ids=range(len(REFUSED)))
def test_what_parsers_disagree_about_is_refused(plan, message, code):
    [line] = lines(plan, message)
    assert "reject" in line, str(line)[:300]
    assert line["reject"]["code"] in ({code} if isinstance(code, str) else code), line


KEPT = [
    (b'{"a":"\\ud83d\\ude00"}', "\U0001f600"),
    (b'{"a":"\\u0000"}', "\x00"),
    (b' \t\r\n{"a":"x"}\n', "x"),
    (b'{"a":18446744073709551615}', 18446744073709551615),
    (b'{"a":-9223372036854775808}', -9223372036854775808),
    (b'{"a":"\\/\\b\\f\\n\\r\\t\\"\\\\"}', '/\b\f\n\r\t"\\'),
    (b'{"a":true}', True),
    (b'{"a":"' + b"x" * (256 * 1024) + b'"}', "x" * (256 * 1024)),
    (b'{"a":"x","b":' + b'{"a":' * 62 + b"1" + b"}" * 62 + b"}", "x"),
]


@pytest.mark.parametrize(("message", "value"), KEPT, ids=range(len(KEPT)))
def test_what_is_plain_json_is_kept_exactly(plan, message, value):
    [line] = lines(plan, message)
    assert "data" in line, str(line)[:300]
    assert line["data"]["v"] == value


OFFSETS = [
    (b'{"a":1,}', {7}),
    (b'{"a":01}', {5, 6}),
    (b'{"a":1}x', {7}),
    (b'{"a":"\xff"}', {6}),
    (b"{a:1}", {1}),
]


@pytest.mark.parametrize(("message", "offsets"), OFFSETS)
def test_the_reject_names_the_offset_of_the_byte(plan, message, offsets):
    [line] = lines(plan, message)
    assert line["reject"]["offset"] in offsets


def test_the_reject_of_a_duplicate_key_names_its_place(plan):
    [line] = lines(plan, b'{"z":{"a":1,"b":2,"a":3}}')
    reject = line["reject"]
    assert reject["offset"] in {18, 19}
    assert reject["pointer"] in {"/z/a", "/z"}


NUMBERS = [
    ("0.1", "0.1"),
    ("1e2", "100"),
    ("1E-3", "0.001"),
    ("-0", "0"),
    ("-0.0", "0"),
    ("1.50", "1.5"),
    ("100000000000000000000000000000000001", "100000000000000000000000000000000001"),
    ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ("9007199254740993", "9007199254740993"),
    ("0e0", "0"),
]


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_a_json_number_is_exact_as_a_decimal(one, text, expected):
    assert one("n: {path: a, number: {}}", f'{{"a":{text}}}'.encode()).get("n") == expected


@pytest.mark.parametrize("text", ["1e38", "1" * 39, "0." + "0" * 38 + "1"])
def test_a_number_beyond_38_digits_is_never_rounded(one, text):
    reject = one("n: {path: a, number: {}}", f'{{"a":{text}}}'.encode())
    assert reject.get("code") in {"number_overflow", "number_too_long"}, reject


@pytest.mark.parametrize("message", [b"1", b'"x"', b"null", b"true", b"[]", b"[[]]"])
def test_a_message_that_is_not_an_object_makes_no_crash(plan, message):
    for line in lines(plan, message):
        assert "data" in line or "reject" in line
        assert "v" not in line.get("data", {})


def test_the_top_level_may_be_a_list(project):
    result = project.run(mapping("v: {path: a}", entry='each: "[*]"'), b'[{"a":"x"},{"a":"y"}]')
    assert [line["data"]["v"] for line in result] == ["x", "y"]


def test_an_input_schema_is_asserted_with_its_pointer(project):
    schema = '{"type":"object","required":["a"],"properties":{"a":{"type":"integer","maximum":5}}}'
    text = mapping("v: {path: a}", head="from: {decode: json, schema: schemas/s.json}")
    plan = project.load(text, **{"schemas/s.json": schema})
    assert lines(plan, {"a": 5})[0]["data"]["v"] == 5
    [line] = lines(plan, {"a": 6})
    assert (line["reject"]["code"], line["reject"]["pointer"]) == ("input_invalid", "/a")
    [line] = lines(plan, {"b": 6})
    assert line["reject"]["code"] == "input_invalid"
