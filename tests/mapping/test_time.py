"""Time: formats, zones, hours that occur twice or never, days of a plant."""

import pytest

from .conftest import lines, mapping

BERLIN = "zone: Europe/Berlin, ambiguous: reject, nonexistent: reject"


def zone(ambiguous="reject", nonexistent="reject", name="Europe/Berlin"):
    return f"zone: {name}, ambiguous: {ambiguous}, nonexistent: {nonexistent}"


LOCAL = 'format: "%Y-%m-%d %H:%M:%S", '
CASES = [
    ("{path: t}", "2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
    ("{path: t}", "2026-11-24T10:00:00+01:00", "2026-11-24T09:00:00Z"),
    ("{path: t}", "2026-11-24T10:00:00-05:30", "2026-11-24T15:30:00Z"),
    ("{path: t}", "2026-11-24T10:00:00.5Z", "2026-11-24T10:00:00.5Z"),
    ("{path: t}", "2026-11-24T10:00:00.123456789Z", "2026-11-24T10:00:00.123456789Z"),
    ("{path: t}", "2026-11-24T10:00:00.1234567899Z", "2026-11-24T10:00:00.123456789Z"),
    ("{path: t}", "2026-11-24T10:00:00.9999999999999Z", "2026-11-24T10:00:00.999999999Z"),
    ("{path: t}", "2026-11-24T10:00:00.000Z", "2026-11-24T10:00:00Z"),
    ("{path: t}", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ("{path: t}", "2026-02-29T00:00:00Z", "!bad_time"),
    ("{path: t}", "2026-13-01T00:00:00Z", "!bad_time"),
    ("{path: t}", "2026-11-24T25:00:00Z", "!bad_time"),
    ("{path: t}", "2026-11-24T10:60:00Z", "!bad_time"),
    ("{path: t}", "2026-11-24T10:00:00", "!bad_time"),
    ("{path: t}", "2026-11-24", "!bad_time"),
    ("{path: t}", "", "!bad_time"),
    ("{path: t}", "yesterday", "!bad_time"),
    ("{path: t}", "2026-11-24T10:00:00Zjunk", "!bad_time"),
    ("{path: t}", 1795516805, "!bad_time"),
    ("{path: t, %s}" % zone(), "2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
    ("{path: t, %s}" % zone(), "2026-12-01T12:00:00", "2026-12-01T11:00:00Z"),
    ("{path: t, %s}" % zone(), "2026-12-01T12:00:00-05:00", "2026-12-01T17:00:00Z"),
    ("{path: t, %s}" % zone(), "2026-10-25T02:30:00", "!time_ambiguous"),
    ("{path: t, %s}" % zone(), "2026-10-25T02:00:00", "!time_ambiguous"),
    ("{path: t, %s}" % zone(), "2026-10-25T02:59:59.999", "!time_ambiguous"),
    ("{path: t, %s}" % zone(), "2026-10-25T01:59:59", "2026-10-24T23:59:59Z"),
    ("{path: t, %s}" % zone(), "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
    ("{path: t, %s}" % zone("earlier"), "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ("{path: t, %s}" % zone("later"), "2026-10-25T02:30:00", "2026-10-25T01:30:00Z"),
    ("{path: t, %s}" % zone(), "2026-03-29T02:30:00", "!time_nonexistent"),
    ("{path: t, %s}" % zone(), "2026-03-29T02:00:00", "!time_nonexistent"),
    ("{path: t, %s}" % zone(), "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
    ("{path: t, %s}" % zone(), "2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
    ("{path: t, %s}" % zone("reject", "shift"), "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
    ("{path: t, %s}" % zone("earlier", "shift"), "2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
    ("{path: t, zone: UTC}", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z"),
    ("{path: t, %s}" % zone(name="America/New_York"), "2026-11-01T01:30:00", "!time_ambiguous"),
    ("{path: t, %s}" % zone("later", name="Australia/Lord_Howe"), "2026-04-05T01:45:00", "2026-04-04T15:15:00Z"),
    ('{path: t, format: "%%d.%%m.%%Y %%H:%%M:%%S", %s}' % zone(), "01.02.2026 03:04:05", "2026-02-01T02:04:05Z"),
    ('{path: t, format: "%%d.%%m.%%Y %%H:%%M:%%S", %s}' % zone(), "2026-02-01 03:04:05", "!bad_time"),
    ('{path: t, format: "%%d.%%m.%%Y %%H:%%M:%%S", %s}' % zone(), "01.02.2026 03:04:05 x", "!bad_time"),
    ('{path: t, format: "%%d.%%m.%%Y %%H:%%M:%%S", %s}' % zone(), "31.02.2026 03:04:05", "!bad_time"),
    ('{path: t, format: "%%Y%%m%%d%%H%%M%%S", %s}' % zone(), "20260201030405", "2026-02-01T02:04:05Z"),
    ('{path: t, format: "%Y-%m-%dT%H:%M:%S%z"}', "2026-02-01T03:04:05+0100", "2026-02-01T02:04:05Z"),
    ('{path: t, format: "%%Y-%%m-%%d %%H:%%M:%%S%%.f", %s}' % zone(), "2026-02-01 03:04:05.25", "2026-02-01T02:04:05.25Z"),
    ("{path: t, format: epoch_s}", 1795516805, "2026-11-24T10:40:05Z"),
    ("{path: t, format: epoch_s}", "1795516805", "2026-11-24T10:40:05Z"),
    ("{path: t, format: epoch_ms}", 1795516805123, "2026-11-24T10:40:05.123Z"),
    ("{path: t, format: epoch_us}", 1795516805123456, "2026-11-24T10:40:05.123456Z"),
    ("{path: t, format: epoch_s}", 0, "1970-01-01T00:00:00Z"),
    ("{path: t, format: epoch_s}", -1, "1969-12-31T23:59:59Z"),
    ("{path: t, format: epoch_ms}", "abc", "!bad_time"),
    ("{path: t, format: epoch_s}", 1e30, {"!bad_time", "!number_overflow"}),
    ("{path: t, format: epoch_s}", 999999999999999, "!bad_time"),
    ("{path: t, format: epoch_s}", True, {"!bad_time", "!wrong_type"}),
]  # fmt: skip


def outcome(found, name):
    return "!" + found["code"] if "code" in found else found.get(name)


@pytest.mark.parametrize(("time", "text", "expected"), CASES, ids=range(len(CASES)))
def test_a_time_is_read_as_declared_or_refused(one, time, text, expected):
    found = outcome(one(f"at: {{time: {time}}}", {"t": text}), "at")
    assert found in expected if isinstance(expected, set) else found == expected


DATES = [
    ("zone: Europe/Berlin", "2026-11-30T23:41:09Z", "2026-12-01"),
    ("zone: Europe/Berlin", "2026-11-30T22:59:59.999Z", "2026-11-30"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-12-01T00:41:00+01:00", "2026-11-30"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-12-01T06:00:00+01:00", "2026-12-01"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-12-01T05:59:59.999+01:00", "2026-11-30"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2027-01-01T05:00:00+01:00", "2026-12-31"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-03-29T05:30:00+02:00", "2026-03-28"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-03-29T06:00:00+02:00", "2026-03-29"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-10-25T05:30:00+01:00", "2026-10-24"),
    ('zone: Europe/Berlin, day_starts: "06:00"', "2026-10-25T06:00:00+01:00", "2026-10-25"),
    ('zone: Europe/Berlin, day_starts: "22:00"', "2026-12-01T21:59:00+01:00", "2026-11-30"),
    ("zone: Pacific/Auckland", "2026-11-30T12:00:00Z", "2026-12-01"),
    ('format: "%d.%m.%Y"', "25.10.2026", "2026-10-25"),
    ('format: "%d.%m.%Y"', "31.11.2026", "!bad_time"),
    ('format: "%d.%m.%Y"', "1.2.2026 x", "!bad_time"),
    ('format: "%Y%m%d"', "00000000", "!bad_time"),
    ("zone: UTC", "2026-11-24", "2026-11-24"),
]


@pytest.mark.parametrize(("how", "text", "expected"), DATES)
def test_a_date_is_the_date_of_the_plant(one, how, text, expected):
    assert outcome(one(f"date: {{date: {{path: t, {how}}}}}", {"t": text}), "date") == expected


JOIN = 'time: {join: [d, t], format: "%d.%m.%Y %H:%M:%S", ' + BERLIN + "}"


def test_a_date_and_a_time_are_joined_by_a_space(project):
    text = mapping("v: {const: x}").replace("emit:", JOIN + "\nemit:")
    [line] = project.run(text, {"d": "25.10.2026", "t": "01:55:00"})
    assert line["time"] == "2026-10-24T23:55:00Z"
    [line] = project.run(text, {"d": "25.10.2026", "t": "02:30:00"})
    assert (line["reject"]["code"], line["reject"]["field"]) == ("time_ambiguous", "time")
    [line] = project.run(text, {"d": "25.10.2026"})
    assert line["reject"]["code"] in {"missing", "bad_time"}


def test_the_time_of_an_entry_goes_before_the_time_of_the_mapping(project):
    text = (
        "from: {decode: json}\ntime: {path: t}\nemit:\n"
        "  - {to: thing/1, fields: {id: {const: a}}}\n"
        "  - {to: other/1, time: {path: u}, fields: {id: {const: b}}}\n"
    )
    message = {"t": "2026-01-01T00:00:00Z", "u": "2026-02-02T00:00:00Z"}
    first, second = project.run(text, message)
    assert first["time"] == "2026-01-01T00:00:00Z"
    assert second["time"] == "2026-02-02T00:00:00Z"


def test_an_absent_time_of_an_entry_does_not_become_the_time_of_the_mapping(project):
    text = "from: {decode: json}\ntime: {path: t}\nemit:\n  - {to: thing/1, time: {path: u}, fields: {id: {const: b}}}\n"
    [line] = project.run(text, {"t": "2026-01-01T00:00:00Z"})
    assert line.get("reject", {}).get("code") == "missing", line


def test_a_time_in_a_nested_scope_may_climb(project):
    text = (
        "from: {decode: json}\nemit:\n"
        "  - {to: thing/1, each: ['a[*]', 'b[*]'], time: {path: '^.t'}, fields: {id: {path: id}}}\n"
    )
    message = {"a": [{"t": "2026-01-01T00:00:00Z", "b": [{"id": "1"}]}]}
    assert project.run(text, message)[0]["time"] == "2026-01-01T00:00:00Z"


def test_an_absent_time_is_left_out_of_the_data(one):
    assert one("at: {time: {path: t}}", {}) == {"id": "1"}
    assert one('at: {time: {path: t}, default: "2026-01-01T00:00:00Z"}', {})["at"] == "2026-01-01T00:00:00Z"


CONFIG = [
    "at: {time: {path: t, zone: Europe/Berlin}}",
    "at: {time: {path: t, zone: Europe/Berlin, ambiguous: earlier}}",
    "at: {time: {path: t, zone: Europe/Berlin, nonexistent: shift}}",
    "at: {time: {path: t, zone: Europe/Berlni, ambiguous: earlier, nonexistent: shift}}",
    "at: {time: {path: t, zone: CEST, ambiguous: earlier, nonexistent: shift}}",
    "at: {time: {path: t, zone: Europe/Berlin, ambiguous: first, nonexistent: shift}}",
    "at: {time: {path: t, zone: Europe/Berlin, ambiguous: earlier, nonexistent: skip}}",
    'at: {time: {path: t, format: "%Y-%m-%d %H:%M:%S"}}',
    "at: {time: {path: t, format: epoch_m}}",
    'date: {date: {path: t, format: "%Y-%m-%dT%H:%M:%S%z"}}',
    'at: {time: {path: t, format: "%Q"}}',
    'at: {time: {path: t, format: ""}}',
    "at: {time: {zone: UTC}}",
    "at: {time: {path: t, zoen: UTC}}",
    'date: {date: {path: t, zone: Europe/Berlin, day_starts: "25:00"}}',
    "date: {date: {path: t, zone: Europe/Berlin, day_starts: 6}}",
]


@pytest.mark.parametrize("field", CONFIG)
def test_a_time_that_would_be_guessed_is_refused_before_it_runs(project, field):
    error = project.problems(mapping(field))
    assert any((p.file, p.line) == ("mappings/m.yaml", 6) for p in error.problems), str(error)


def test_the_day_of_the_plant_never_goes_back(project):
    field = "date: {date: {path: t, zone: Europe/Berlin, day_starts: '02:30'}}"
    plan = project.load(mapping(field))
    times = [f"2026-10-25T{hour:02}:{minute:02}:00Z" for hour in (0, 1, 2) for minute in (15, 45)]
    days = [lines(plan, {"t": time})[0]["data"]["date"] for time in times]
    assert days == sorted(days)
