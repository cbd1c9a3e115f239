"""Items of a message: `each`, `list`, what nobody takes, and atomicity."""

import json
from contextlib import closing

import pytest

from mfgroute import _core

from .conftest import lines

HEAD = "from: {decode: json}\nemit:\n"


def entry(text, *, to="thing/1", fields="id: {path: id}"):
    rows = "".join(f"    {row}\n" for row in text.strip().splitlines() if row.strip())
    return f"  - to: {to}\n{rows}    fields: {{{fields}}}\n"


def short(result):
    """Ids of events, codes of rejects, names of filters."""
    out = []
    for line in result:
        if "reject" in line:
            out.append("!" + line["reject"]["code"])
        elif "filtered" in line:
            out.append("-")
        else:
            out.append(line["to"][0] + line["data"]["id"])
    return out


def admit(project, text, message):
    """Ids of the events that an engine admits, and codes of the rejects."""
    with closing(_core.Engine(project.load(text))) as engine:
        receipt = engine.submit("src", [json.dumps(message).encode()])
        with engine.poll("log") as batch:
            ids = [json.loads(event.json)["data"]["id"] for event in batch]
            batch.done_all()
        return ids, [reject.code for reject in receipt.rejects]


def items(*names, **more):
    return {"a": [{"id": name, "t": name[0]} for name in names], **more}


def run(project, *entries, message):
    return short(project.run(HEAD + "".join(entries), message))


A = entry("each: 'a[*]'\nwhen: {path: t, equals: p}")
B = entry("each: 'a[*]'\nwhen: {path: t, equals: q}", to="other/1")
WIDE = entry("each: 'a[*]'")
IGNORE = entry("each: 'a[*]'\nwhen: {path: t, equals: p}\nothers: ignore")


def test_each_takes_one_or_many(project):
    assert run(project, WIDE, message=items("p1", "p2")) == ["tp1", "tp2"]
    assert run(project, WIDE, message={"a": {"id": "p1"}}) == ["tp1"]


@pytest.mark.parametrize("message", [{}, {"a": []}, {"a": None}])
def test_an_each_that_finds_nothing_is_a_reject(project, message):
    assert run(project, WIDE, message=message) == ["!each_empty"]


@pytest.mark.parametrize("message", [{}, {"a": []}])
def test_an_empty_each_may_be_declared_fine(project, message):
    assert run(project, entry("each: 'a[*]'\nnone: ok"), message=message) == ["-"]


def test_an_empty_each_rejects_the_events_of_the_other_entries_too(project):
    plain = entry("", fields='id: {const: "x"}')
    assert admit(project, HEAD + plain + WIDE, {}) == ([], ["each_empty"])


def test_entries_of_the_same_each_emit_item_by_item(project):
    message = items("q1", "p2", "q3", "p4")
    assert run(project, A, B, message=message) == ["oq1", "tp2", "oq3", "tp4"]
    assert run(project, B, A, message=message) == ["oq1", "tp2", "oq3", "tp4"]


def test_an_item_may_make_two_events_in_the_order_of_the_entries(project):
    both = entry("each: 'a[*]'", to="other/1")
    assert run(project, both, WIDE, message=items("p1", "p2")) == ["op1", "tp1", "op2", "tp2"]


def test_the_same_each_is_one_set_even_with_another_entry_between(project):
    plain = entry("", fields='id: {const: "x"}')
    result = run(project, A, plain, B, message=items("q1", "p2"))
    assert [one for one in result if one != "tx"] == ["oq1", "tp2"]


def test_an_item_that_no_entry_takes_is_a_reject_of_the_message(project):
    assert admit(project, HEAD + A + B, items("p1", "z2")) == ([], ["item_unmatched"])


def test_the_unmatched_item_is_named_by_its_index(project):
    line = project.run(HEAD + A, items("p1", "p2", "z3"))[-1]
    assert line["reject"]["item"] == 2
    assert line["reject"]["pointer"].startswith("/a/2")


def test_others_may_be_ignored_and_are_counted(project):
    assert run(project, IGNORE, message=items("p1", "z2", "p3")) == ["tp1", "-", "tp3"]


def test_one_entry_that_ignores_others_speaks_for_all_with_its_each(project):
    assert run(project, IGNORE, B, message=items("p1", "q2", "z3")) == ["tp1", "oq2", "-"]
    assert run(project, B, IGNORE, message=items("p1", "q2", "z3")) == ["tp1", "oq2", "-"]


def test_ignoring_the_others_of_one_each_says_nothing_about_another(project):
    other = entry("each: 'b[*]'\nwhen: {path: t, equals: p}", to="other/1")
    message = items("z1", b=[{"id": "z2", "t": "z"}])
    assert admit(project, HEAD + IGNORE + other, message) == ([], ["item_unmatched"])


def test_all_items_ignored_is_no_error(project):
    assert run(project, IGNORE, message=items("z1", "z2")) == ["-", "-"]


def test_one_bad_item_rejects_the_whole_message(project):
    message = {"a": [{"id": "p1"}, {"id": ""}, {"id": "p3"}]}
    assert admit(project, HEAD + WIDE, message) == ([], ["contract_invalid"])
    [line] = [line for line in project.run(HEAD + WIDE, message) if "reject" in line]
    assert line["reject"]["item"] == 1
    assert line["reject"]["pointer"] == "/a/1/id"


def test_the_preview_of_a_refused_message_shows_no_event_on_its_way_to_a_sink(project):
    message = {"a": [{"id": "p1"}, {"id": ""}]}
    assert short(project.run(HEAD + WIDE, message)) == ["!contract_invalid"]


def test_items_each_rejects_only_the_bad_item(project):
    message = {"a": [{"id": "p1"}, {"id": ""}, {"id": "p3"}]}
    text = entry("each: 'a[*]'\nitems: each")
    assert run(project, text, message=message) == ["tp1", "!contract_invalid", "tp3"]


def test_items_each_with_all_items_bad_is_as_many_rejects(project):
    text = entry("each: 'a[*]'\nitems: each")
    assert run(project, text, message={"a": [{"x": 1}, {"x": 2}]}) == ["!contract_invalid"] * 2


def test_items_each_of_one_entry_does_not_free_the_other_entry(project):
    free = entry("each: 'a[*]'\nwhen: {path: t, equals: p}\nitems: each\nothers: ignore")
    strict = entry("each: 'b[*]'", to="other/1")
    message = {"a": [{"id": "", "t": "p"}, {"id": "p2", "t": "p"}], "b": [{"id": "b1"}]}
    assert sorted(run(project, free, strict, message=message)) == ["!contract_invalid", "ob1", "tp2"]
    message = {"a": [{"id": "p1", "t": "p"}], "b": [{"id": ""}]}
    assert admit(project, HEAD + free + strict, message)[1] == ["contract_invalid"]


def test_every_bad_item_is_reported_with_its_index(project):
    text = entry("each: 'a[*]'\nitems: each")
    result = project.run(HEAD + text, {"a": [{"id": "p1"}, {"id": ""}, {"id": "p3"}, {}]})
    assert [line["reject"]["item"] for line in result if "reject" in line] == [1, 3]


def test_an_entry_without_each_that_does_not_want_the_message_is_filtered_or_no_output(project):
    text = entry("when: {path: t, equals: p}")
    [line] = project.run(HEAD + text, {"id": "1", "t": "z"})
    assert "filtered" in line or line["reject"]["code"] == "no_output"


NESTED = entry("each: ['a[*]', 'b[*]']", fields="id: {concat: [{path: '^.id'}, {const: '/'}, {path: id}]}")


def test_nested_each_goes_through_all_inner_items_in_order(project):
    message = {"a": [{"id": "1", "b": [{"id": "1"}, {"id": "2"}]}, {"id": "2", "b": {"id": "1"}}]}
    assert run(project, NESTED, message=message) == ["t1/1", "t1/2", "t2/1"]


def test_a_nested_each_may_be_empty_in_one_outer_item(project):
    message = {"a": [{"id": "1", "b": []}, {"id": "2", "b": [{"id": "1"}]}]}
    assert run(project, NESTED, message=message) == ["t2/1"]


def test_a_nested_each_that_finds_nothing_at_all_is_empty(project):
    assert run(project, NESTED, message={"a": [{"id": "1", "b": []}, {"id": "2"}]}) == ["!each_empty"]


SPLITS = [
    ("x", ["x"]),
    ("x,y;z", ["x", "y", "z"]),
    ("x, y ; z", ["x", "y", "z"]),
]


@pytest.mark.parametrize(("text", "expected"), SPLITS)
def test_split_takes_a_delimited_text_as_items(project, text, expected):
    one = entry('each: a\nsplit: ",;"', fields='id: {path: "#"}')
    assert run(project, one, message={"a": text}) == ["t" + name for name in expected]
    [line] = project.run(HEAD + entry("", fields='id: {const: x}, list: {list: a, split: ",;"}'), {"a": text})
    assert line["data"]["list"] == expected


LISTS = [
    ("list: {list: 'a[*]'}", {"a": ["x", "y"]}, {"list": ["x", "y"]}),
    ("list: {list: a}", {"a": ["x", "y"]}, {"list": ["x", "y"]}),
    ("list: {list: a}", {"a": "x"}, {"list": ["x"]}),
    ("list: {list: 'a[*].s'}", {"a": [{"s": "x"}, {"q": 1}, {"s": "y"}]}, {"list": ["x", "y"]}),
    ("list: {list: '**.s'}", {"a": {"s": "x", "b": {"s": "y"}}}, {"list": ["x", "y"]}),
    (
        "items: {list: a, fields: {n: {path: x}}}",
        {"a": [{"x": 1}, {"x": 2}]},
        {"items": [{"n": 1}, {"n": 2}]},
    ),
    ("items: {list: a, fields: {n: {path: x}}}", {"a": {"x": 1}}, {"items": [{"n": 1}]}),
    (
        "items: {list: a, when: {path: x, present: true}, fields: {n: {path: x}}}",
        {"a": [{"y": 0}, {"x": 2}, {"x": None}]},
        {"items": [{"n": 2}]},
    ),
    (
        "items: {list: a, fields: {in: {list: b, fields: {n: {path: '#'}, o: {path: '^.x'}}}}}",
        {"a": [{"x": 1, "b": ["p", "q"]}, {"x": 2, "b": "r"}]},
        {"items": [{"in": [{"n": "p", "o": 1}, {"n": "q", "o": 1}]}, {"in": [{"n": "r", "o": 2}]}]},
    ),
    ("items: {list: a, fields: {n.m: {path: x}}}", {"a": [{"x": 1}]}, {"items": [{"n": {"m": 1}}]}),
    (
        "items: {list: a, fields: {n: {path: x}, c: {field: n}}}",
        {"a": [{"x": "1"}, {"x": True}]},
        {"items": [{"n": "1", "c": "1"}, {"n": True, "c": True}]},
    ),
]


@pytest.mark.parametrize(("field", "message", "expected"), LISTS, ids=range(len(LISTS)))
def test_a_list_makes_a_list_of_one_or_many(project, field, message, expected):
    [line] = project.run(HEAD + entry("", fields="id: {const: x}, " + field), message)
    assert "data" in line, line
    assert line["data"] == {"id": "x", **expected}


def test_a_field_made_of_another_field_has_its_type(project):
    [line] = project.run(HEAD + entry("", fields="id: {const: x}, v: {path: x}, c: {field: v}"), {"x": 1})
    assert line["data"]["c"] == line["data"]["v"]


def test_a_bad_item_of_a_list_names_its_place(project):
    field = "id: {const: x}, items: {list: a, fields: {n: {path: x, number: {}}}}"
    [line] = project.run(HEAD + entry("", fields=field), {"a": [{"x": "1"}, {"x": "one"}]})
    assert line["reject"]["code"] == "bad_number"
    assert line["reject"]["pointer"] == "/a/1/x"
    assert line["reject"]["field"].startswith("items")


COMMON = "from: {decode: json}\ncommon:\n  id: {path: $.id}\n  v: {const: common}\n  w: {path: w}\nemit:\n"


def test_common_fields_are_in_every_event_and_an_entry_may_override_one(project):
    text = COMMON + entry("", fields="x: {const: 1}") + entry("", to="other/1", fields="v: {const: own}")
    first, second = project.run(text, {"id": "1", "w": "W"})
    assert first["data"] == {"id": "1", "v": "common", "w": "W", "x": 1}
    assert second["data"] == {"id": "1", "v": "own", "w": "W"}


def test_a_common_path_without_prefix_starts_at_the_current_item(project):
    text = COMMON + entry("each: 'a[*]'", fields="x: {const: 1}")
    result = project.run(text, {"id": "1", "w": "message", "a": [{"w": "i1"}, {"w": "i2"}]})
    assert [line["data"]["w"] for line in result] == ["i1", "i2"]


def test_an_overridden_common_field_is_not_evaluated(project):
    text = "from: {decode: json}\ncommon:\n  v: {path: v, number: {}}\nemit:\n"
    text += entry("", fields="id: {path: id}, v: {const: own}")
    [line] = project.run(text, {"id": "1", "v": "not a number"})
    assert line["data"]["v"] == "own"


def test_a_message_makes_the_same_lines_every_time(project):
    plan = project.load(HEAD + A + B)
    message = items("p1", "q2", "p3")
    runs = {json.dumps(lines(plan, message)) for _ in range(20)}
    assert len(runs) == 1
