"""Detectors: tables of changes and the messages they make. No server, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfgroute.adapters.opcua.change import Change, duration_us, micros, rfc3339
from mfgroute.adapters.opcua.detect import Detection
from mfgroute.adapters.opcua.history import History
from mfgroute.adapters.opcua.rules import DetectRule

GOOD, ORDER, TOOL, RUN, CODE = (f"ns=2;s=P7.{name}" for name in ("Good", "Order", "Tool", "Run", "StopCode"))

PRESS = [
    {
        "name": "parts",
        "counter": {"node": GOOD, "type": "uint16", "rollover": True, "reset": "to_lower"},
        "context": {"order": ORDER, "tool": TOOL},
        "emit": {"every": "15m", "on_change_of": ["order"], "on_stop": True},
        "quality": {"uncertain": "use_and_mark", "bad": "hold_last_then_gap"},
        "suppress_first_after_reconnect": True,
    },
    {
        "name": "stop",
        "state": {"node": RUN, "equals": False, "for": "3m"},
        "context": {"order": ORDER, "cause": CODE},
        "emit": {"on": ["start", "end"]},
    },
]

PRESS_MESSAGES = [
    {"detect": "parts", "node": "ns=2;s=P7.Good", "from": "2026-11-24T09:45:00.000Z",
     "to": "2026-11-24T10:00:00.000Z",
     "raw": {"first": 65520, "last": 37}, "delta": 53, "rollovers": 1, "resets": 0,
     "quality": "good", "gap": False,
     "context": {"order": "1004744", "tool": "T-19"}},
    {"detect": "parts", "node": "ns=2;s=P7.Good", "from": "2026-11-24T10:00:00.000Z",
     "to": "2026-11-24T10:07:12.000Z",
     "raw": {"first": 37, "last": 0}, "delta": None, "rollovers": 0, "resets": 1,
     "quality": "uncertain", "gap": True,
     "context": {"order": None, "tool": "T-19"}},
    {"detect": "stop", "node": "ns=2;s=P7.Run", "from": "2026-11-24T10:07:12.000Z",
     "to": "2026-11-24T10:31:40.500Z",

     "quality": "good", "gap": False, "context": {"order": "1004744", "cause": "17"}},
]  # fmt: skip


def rules(*given: dict) -> tuple[DetectRule, ...]:
    return msgspec.convert(list(given), tuple[DetectRule, ...])


def parts(**changed) -> dict:
    """A counter that makes a message at each order change and every 15 minutes."""
    rule = {
        "name": "parts",
        "counter": {"node": GOOD, "type": "uint16"} | changed.pop("counter", {}),
        "context": {"order": ORDER},
        "emit": {"every": "15m", "on_change_of": ["order"]} | changed.pop("emit", {}),
    }
    return rule | changed


def stop(**changed) -> dict:
    return {
        "name": "stop",
        "state": {"node": RUN, "equals": False, "for": "3m"},
        "context": {"cause": CODE},
    } | changed


def at(text: str) -> int:
    return micros(datetime.fromisoformat(f"2026-11-24T{text}+00:00"))


class Plant:
    """Feeds a detection; each change arrives when it happens, unless told otherwise."""

    def __init__(self, *given: dict) -> None:
        self.detection = Detection(rules(*given))
        self.messages: list[dict] = []

    def __call__(self, node: str, time: str, value, quality="good", *, arrives: str | None = None, gap=False):
        now_us = at(arrives or time)
        change = Change(
            node=node, value=value, source_time_us=at(time), server_time_us=now_us, quality=quality, gap=gap
        )
        self.wait(arrives or time)
        self.detection.offer(change, now_us / 1e6)
        return self

    def wait(self, time: str):
        self.messages += self.detection.tick(at(time) / 1e6)
        return self

    def flush(self):
        self.messages += self.detection.flush()
        return self

    def counts(self) -> list[tuple]:
        """Order, delta, gap and quality of each message of a counter."""
        return [
            (m["context"].get("order"), m["delta"], m["gap"], m["quality"])
            for m in self.messages
            if "delta" in m
        ]


def test_the_press_of_the_example_says_exactly_its_three_messages():
    plant = Plant(*PRESS)
    plant(ORDER, "09:40:00", "1004744")(TOOL, "09:40:00", "T-19")(RUN, "09:40:00", True)(CODE, "09:40:00", 0)
    plant(GOOD, "09:44:59", 65520)
    for second, value in ((10, 65530), (20, 65535), (30, 0), (40, 12), (50, 37)):
        plant(GOOD, f"09:50:{second}", value)
    plant(ORDER, "10:05:00", "", "bad")
    plant(GOOD, "10:07:12", 0)(RUN, "10:07:12", False)
    plant(CODE, "10:09:00", 17)(ORDER, "10:20:00", "1004744")
    plant(RUN, "10:31:40.500", True).wait("10:31:42")
    starts = [m for m in plant.messages if m.get("phase") == "start"]
    others = [
        {k: v for k, v in m.items() if k != "phase"} for m in plant.messages if m.get("phase") != "start"
    ]
    assert others == PRESS_MESSAGES
    assert list(others[0]) == list(PRESS_MESSAGES[0])
    assert [(m["from"], m["to"], m["context"]["cause"]) for m in starts] == [
        ("2026-11-24T10:07:12.000Z", None, "17")
    ]


@pytest.mark.parametrize(
    ("counter", "before", "after", "expected"),
    [
        ({}, 65_530, 5, (11, 1, 0, False)),  # a rollover
        ({}, 65_535, 0, (1, 1, 0, False)),
        ({}, 812, 0, (0, 0, 1, False)),  # a reset
        ({}, 812, 3, (0, 0, 1, True)),  # set to some lower value: what was made since is not known
        ({"reset": "to_zero"}, 812, 3, (3, 0, 1, False)),
        ({"reset": "never"}, 812, 3, (None, 0, 1, True)),
        ({}, 65_530, 30_000, (0, 0, 1, True)),  # from the top, but not to the bottom
        ({}, 40_000, 5, (0, 0, 1, True)),  # to the bottom, but not from the top
        ({"rollover": False, "reset": "to_zero"}, 65_535, 2, (2, 0, 1, False)),
        ({"max": 9999}, 9_998, 1, (3, 1, 0, False)),
        ({"type": "int16"}, 32_767, -32_768, (1, 1, 0, False)),
        ({"type": "int16", "max": 32_767}, 32_767, 0, (1, 1, 0, False)),
        ({"type": "uint64"}, 2**64 - 1, 1, (2, 1, 0, False)),
        ({"rollover_margin": 0.4}, 40_000, 20_000, (45_536, 1, 0, False)),
    ],
)
def test_a_fall_is_told_apart(counter, before, after, expected):
    plant = Plant(parts(counter=counter))(ORDER, "10:00:00", "A")(GOOD, "10:00:01", before)(
        GOOD, "10:00:02", after
    )
    (message,) = plant.wait("10:15:02").messages
    assert (message["delta"], message["rollovers"], message["resets"], message["gap"]) == expected


def test_a_reset_while_the_order_is_unknown_has_no_count():
    plant = Plant(parts())(ORDER, "10:00:00", None, "bad")(GOOD, "10:00:00", 37)(GOOD, "10:01:00", 0)
    assert plant.wait("10:15:01").counts() == [(None, None, True, "uncertain")]


def test_no_piece_is_booked_on_the_next_order():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 100)(GOOD, "10:01:00", 107)
    plant(ORDER, "10:02:00", "B")(GOOD, "10:03:00", 110).wait("10:15:01")
    assert plant.counts() == [("A", 7, False, "good"), ("B", 3, False, "good")]
    assert [m["to"][11:19] for m in plant.messages] == ["10:02:00", "10:15:00"]


def test_an_order_that_arrives_before_the_pieces_made_earlier_takes_none_of_them():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 100)
    plant(ORDER, "10:02:00.300", "B", arrives="10:02:00.300")(
        GOOD, "10:02:00.100", 101, arrives="10:02:00.400"
    )
    assert plant.wait("10:15:01").counts() == [("A", 1, False, "good")]


def test_an_order_that_arrives_far_too_late_leaves_the_mixed_count_without_an_order():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 100)(GOOD, "10:01:00", 107).wait(
        "10:02:00"
    )
    plant(ORDER, "10:00:30", "B", arrives="10:02:00")(GOOD, "10:03:00", 110).wait("10:15:01")
    assert plant.counts() == [(None, 7, True, "uncertain"), ("B", 3, False, "good")]
    assert plant.detection.late == 1


def test_an_order_that_becomes_unknown_and_returns_closes_nothing():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(ORDER, "10:01:00", None, "bad")
    plant(GOOD, "10:02:00", 2)(ORDER, "10:03:00", "A").wait("10:15:01")
    assert plant.counts() == [("A", 1, False, "good")]


def test_an_order_that_was_unknown_between_two_others_leaves_its_count_without_an_order():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(ORDER, "10:01:00", None, "bad")
    plant(GOOD, "10:02:00", 2)(ORDER, "10:03:00", "B")(GOOD, "10:04:00", 3).wait("10:15:01")
    assert plant.counts() == [(None, 1, False, "good"), ("B", 1, False, "good")]


def test_the_end_of_an_order_is_a_change_and_no_order_is_null():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(GOOD, "10:01:00", 2)(
        ORDER, "10:02:00", ""
    )
    plant(GOOD, "10:03:00", 3).wait("10:15:01")
    assert plant.counts() == [("A", 1, False, "good"), (None, 1, False, "good")]


def test_a_time_in_which_nothing_was_counted_is_silent():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1).wait("11:20:00")
    assert plant.messages == []
    plant(GOOD, "11:21:00", 2).wait("11:30:01")
    assert [(m["from"][11:19], m["to"][11:19]) for m in plant.messages] == [("11:15:00", "11:30:00")]


def test_a_time_in_which_nothing_was_counted_is_said_if_wanted():
    plant = Plant(parts(emit={"zero": True}))(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1).wait("10:45:01")
    assert [(m["from"][11:16], m["delta"]) for m in plant.messages] == [
        ("10:00", 0),
        ("10:15", 0),
        ("10:30", 0),
    ]


def test_a_clock_that_leaps_years_makes_no_flood_of_empty_messages():
    plant = Plant(parts(emit={"zero": True, "every": "1s"}))(GOOD, "10:00:00", 1)
    plant.messages += plant.detection.tick(at("10:00:00") / 1e6 + 10 * 365 * 86400)
    assert len(plant.messages) == 1


def test_a_bad_value_is_held_and_what_follows_has_a_gap():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 0, "bad")
    plant(GOOD, "10:02:00", 15).wait("10:15:01")
    assert plant.counts() == [("A", 5, True, "uncertain")]


def test_pieces_made_while_the_counter_was_bad_belong_to_no_order_if_it_changed_meanwhile():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 12)
    plant(GOOD, "10:02:00", 0, "bad")(ORDER, "10:03:00", "B")(GOOD, "10:04:00", 20)(GOOD, "10:05:00", 21)
    assert plant.wait("10:15:01").counts() == [
        ("A", 2, True, "uncertain"), (None, 8, True, "uncertain"), ("B", 1, False, "good")
    ]  # fmt: skip


def test_an_uncertain_value_is_used_and_marked_or_treated_as_bad():
    for choice, expected in (
        ("use_and_mark", ("A", 5, False, "uncertain")),
        ("as_bad", ("A", 0, True, "uncertain")),
    ):
        plant = Plant(parts(quality={"uncertain": choice}))(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)
        assert plant(GOOD, "10:02:00", 15, "uncertain").wait("10:15:01").counts() == [expected]


def test_a_value_out_of_the_range_of_its_type_is_bad():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)
    for minute, value in enumerate((70_000, -1, True, "12", 10.5, float("nan"), None), start=1):
        plant(GOOD, f"10:0{minute}:00", value)
    plant(GOOD, "10:08:00", 11.0)
    assert plant.wait("10:15:01").counts() == [("A", 1, True, "uncertain")]


def test_a_stop_closes_the_count_only_if_it_lasts():
    plant = Plant(parts(emit={"on_stop": True}), stop(context={}))
    plant(ORDER, "10:00:00", "A")(RUN, "10:00:00", True)(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 11)
    plant(RUN, "10:02:00", False)(RUN, "10:03:00", True)(GOOD, "10:03:30", 12)
    plant(RUN, "10:04:00", False).wait("10:07:01")
    assert [(m["detect"], m.get("delta"), m["to"]) for m in plant.messages] == [
        ("parts", 2, "2026-11-24T10:04:00.000Z"),
        ("stop", None, None),
    ]


def test_pieces_after_a_short_stop_are_in_the_same_message():
    plant = Plant(parts(emit={"on_stop": "stop"}), stop(context={}))(RUN, "10:00:00", True)
    plant(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 11)(RUN, "10:02:00", False)
    plant(GOOD, "10:02:01", 12)(RUN, "10:02:30", True)(GOOD, "10:03:00", 13).wait("10:15:01")
    assert plant.counts() == [("A", 3, False, "good")]


def test_micro_stops_are_no_downtime():
    plant = Plant(stop())(RUN, "10:00:00", False)(RUN, "10:02:59", True)(RUN, "10:03:00", False)(
        RUN, "10:05:00", True
    )
    assert plant.wait("11:00:00").messages == []


def test_a_stop_of_exactly_the_time_is_a_downtime():
    plant = Plant(stop())(RUN, "10:00:00", False)(RUN, "10:03:00", True).wait("10:04:00")
    assert [m["phase"] for m in plant.messages] == ["start", "end"]


def test_a_cause_entered_during_the_stop_is_in_its_end_and_one_cleared_with_it_is_not_lost():
    plant = Plant(stop())(CODE, "09:00:00", "")(RUN, "10:00:00", False).wait("10:03:01")
    plant(CODE, "10:05:00", 21)(CODE, "10:10:00", 0)(RUN, "10:10:00", True).wait("10:11:00")
    assert [m["context"]["cause"] for m in plant.messages] == [None, "21"]


def test_a_bad_value_during_a_stop_marks_it():
    plant = Plant(stop(context={}))(RUN, "10:00:00", False)(RUN, "10:01:00", None, "bad")(
        RUN, "10:09:00", True
    )
    plant.wait("10:10:00")
    assert [(m["phase"], m["gap"], m["quality"]) for m in plant.messages] == [
        ("start", True, "uncertain"), ("end", True, "uncertain")
    ]  # fmt: skip


def test_what_was_counted_before_a_lost_connection_is_said_with_a_gap():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 15).flush()
    assert plant.counts() == [("A", 5, True, "good")]


def reconnected(first: Plant, *given: dict) -> Plant:
    second = Plant(*given)
    second.detection.restore(first.detection.snapshot())
    return second


def test_pieces_made_while_disconnected_are_counted_with_a_gap():
    before = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 15).flush()
    after = reconnected(before, parts())(ORDER, "10:00:00", "A", arrives="10:05:00")(
        GOOD, "10:04:00", 19, arrives="10:05:00"
    )
    after(GOOD, "10:06:00", 20).wait("10:15:01")
    assert after.counts() == [("A", 5, True, "uncertain")]


def test_pieces_made_while_disconnected_belong_to_no_order_if_it_changed_meanwhile():
    before = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 15).flush()
    after = reconnected(before, parts())(ORDER, "10:03:00", "B", arrives="10:05:00")(
        GOOD, "10:04:00", 19, arrives="10:05:00"
    )
    after(GOOD, "10:06:00", 20).wait("10:15:01")
    assert [c for c in after.counts() if c[1]] == [(None, 4, True, "uncertain"), ("B", 1, False, "good")]


def test_the_first_value_after_a_lost_connection_can_be_left_out():
    rule = parts(suppress_first_after_reconnect=True)
    before = Plant(rule)(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 10)(GOOD, "10:01:00", 15).flush()
    after = reconnected(before, rule)(ORDER, "10:00:00", "A", arrives="10:05:00")(
        GOOD, "10:04:00", 19, arrives="10:05:00"
    )
    after(GOOD, "10:06:00", 20).wait("10:15:01")
    assert after.counts() == [("A", 1, True, "good")]
    assert after.messages[0]["from"] == "2026-11-24T10:05:00.000Z"


def test_a_stop_goes_on_over_a_lost_connection_and_starts_only_once():
    before = Plant(stop(context={}))(RUN, "10:00:00", False).wait("10:04:00").flush()
    after = reconnected(before, stop(context={}))(RUN, "10:00:00", False, arrives="10:05:00")(
        RUN, "10:20:00", True
    )
    after.wait("10:21:00")
    assert [(m["phase"], m["from"][11:16], m["gap"]) for m in before.messages + after.messages] == [
        ("start", "10:00", False), ("end", "10:00", True)
    ]  # fmt: skip


def test_a_stop_that_ended_while_disconnected_ends_when_its_source_says():
    before = Plant(stop(context={}))(RUN, "10:00:00", False).wait("10:04:00").flush()
    after = reconnected(before, stop(context={}))(RUN, "10:06:00", True, arrives="10:15:00").wait("10:16:00")
    assert [(m["phase"], m["to"], m["gap"]) for m in after.messages] == [
        ("end", "2026-11-24T10:06:00.000Z", True)
    ]


def test_a_snapshot_of_another_version_is_left_alone():
    detection = Detection(rules(parts()))
    detection.restore(b'{"v":99}')
    assert detection.flush() == []


def test_a_source_time_far_in_the_future_is_replaced_and_marked():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(
        GOOD, "23:00:00", 2, arrives="10:01:00"
    )
    assert plant.wait("10:15:01").counts() == [("A", 1, False, "uncertain")]


def test_a_clock_that_is_set_back_loses_no_piece_and_leaves_a_gap():
    plant = Plant(parts())(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(GOOD, "10:05:00", 4).wait("10:05:01")
    for time, value in (("09:06:00", 5), ("09:10:00", 9)):
        change = Change(node=GOOD, value=value, source_time_us=at(time), server_time_us=at(time))
        plant.detection.offer(change, at(time) / 1e6 + 3600)
    plant.messages += plant.detection.tick(at("09:15:01") / 1e6 + 3600)
    assert plant.counts() == [("A", 3, True, "good"), ("A", 5, True, "uncertain")]
    assert [m["from"][11:16] for m in plant.messages] == ["10:00", "09:06"]


def test_missing_changes_of_unknown_nodes_mark_all_detectors():
    plant = Plant(parts(), stop(context={}))(ORDER, "10:00:00", "A")(GOOD, "10:00:00", 1)(
        RUN, "10:00:01", False
    )
    plant.wait("10:00:02").detection.missed()
    plant(GOOD, "10:02:00", 3).wait("10:15:01")
    assert [(m["detect"], m["gap"]) for m in plant.messages] == [("parts", True), ("stop", True)]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"name": "x"}, "both or neither"),
        ({"name": "x", "counter": {"node": GOOD, "type": "uint16"}}, "never makes a message"),
        (
            {"name": "x", "counter": {"node": GOOD, "type": "uint16"}, "emit": {"on_change_of": ["order"]}},
            "on_change_of",
        ),
        (
            {"name": "x", "counter": {"node": GOOD, "type": "uint16"}, "emit": {"every": "15 m"}},
            "matching regex",
        ),
        (
            {"name": "x", "counter": {"node": "P7.Good", "type": "uint16"}, "emit": {"every": "15m"}},
            "matching regex",
        ),
        (
            {
                "name": "x",
                "counter": {"node": GOOD, "type": "uint16", "max": 70_000},
                "emit": {"every": "1m"},
            },
            "max is",
        ),
        ({"name": "x", "counter": {"node": GOOD, "type": "bcd"}, "emit": {"every": "1m"}}, "bcd"),
        ({"name": "x", "state": {"node": RUN, "equals": False}, "emit": {"every": "1m"}}, "of counters"),
    ],
)
def test_a_wrong_rule_is_refused_with_a_reason(rule, text):
    with pytest.raises(msgspec.ValidationError, match=text):
        rules(rule)


def test_on_stop_needs_to_know_which_state():
    with pytest.raises(ValueError, match="there are 0 states"):
        Detection(rules(parts(emit={"on_stop": True})))
    with pytest.raises(ValueError, match="name of a detector with a state"):
        Detection(rules(parts(emit={"on_stop": "halt"}), stop()))


@pytest.mark.parametrize(
    ("text", "expected"), [("15m", 900), ("3m", 180), ("90s", 90), ("2h", 7200), ("1d", 86400)]
)
def test_a_duration_is_a_number_and_a_unit(text, expected):
    assert duration_us(text) == expected * 1_000_000


@pytest.mark.parametrize("text", ["", "15", "m", "0m", "-3m", "1.5m", "3 m", "3M", "3m\n", "1h30m", "٣m"])
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="no duration"):
        duration_us(text)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001
)
def test_a_time_survives_as_text(time):
    assert datetime.fromisoformat(rfc3339(micros(time))) == time.replace(tzinfo=UTC)


def test_a_history_is_bounded():
    history = History()
    for time in range(1000):
        history.put(time, str(time))
    assert (history.at(999), history.at(0)) == ("999", None)


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(0, 65_535),
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3_000), st.booleans()), max_size=40),
    data=st.data(),
)
def test_every_piece_is_counted_once_and_for_its_own_order(start, steps, data):
    """Pieces, rollovers and order changes in any order of arrival within the settling time."""
    made: dict[str, int] = {}
    order, value, moment = "A0", start, at("10:00:00")
    changes = [(moment, ORDER, order), (moment, GOOD, value)]
    for number, (seconds, pieces, changes_order) in enumerate(steps):
        moment += seconds * 1_000_000 + 1_000
        if changes_order:
            order = f"A{number + 1}"
            changes.append((moment, ORDER, order))
        elif pieces:
            value = (value + pieces) % 65_536
            made[order] = made.get(order, 0) + pieces
            changes.append((moment, GOOD, value))
    detection = Detection(rules(parts()))
    delays = data.draw(st.lists(st.integers(0, 400_000), min_size=len(changes), max_size=len(changes)))
    arrivals = sorted(
        (time + delay, place) for place, ((time, _, _), delay) in enumerate(zip(changes, delays, strict=True))
    )
    messages = []
    for arrival, place in arrivals:
        time, node, new = changes[place]
        messages += detection.tick(arrival / 1e6)
        detection.offer(
            Change(node=node, value=new, source_time_us=time, server_time_us=arrival), arrival / 1e6
        )
    messages += detection.tick((moment + 3_600_000_000) / 1e6)
    counted: dict[str, int] = {}
    for message in messages:
        name = message["context"]["order"]
        counted[name] = counted.get(name, 0) + message["delta"]
        assert not message["gap"]
    assert counted == made
    spans = [(m["from"], m["to"]) for m in messages]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([GOOD, ORDER, TOOL, RUN, CODE]),
            st.integers(-5_000, 20_000),
            st.one_of(st.integers(-2, 70_000), st.booleans(), st.text(max_size=3), st.none(), st.floats()),
            st.sampled_from(["good", "uncertain", "bad"]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_nothing_a_plant_reports_makes_it_fail_or_guess(changes):
    """Any change is taken; windows never overlap, and a count is never negative."""
    plant = Plant(*PRESS)
    base, now = datetime(2026, 11, 24, 10, tzinfo=UTC), 0
    for node, skew, value, quality, gap in changes:
        now += 700
        time = micros(base + timedelta(milliseconds=now + skew))
        arrival = micros(base + timedelta(milliseconds=now))
        plant.messages += plant.detection.tick(arrival / 1e6)
        plant.detection.offer(
            Change(
                node=node, value=value, source_time_us=time, server_time_us=arrival, quality=quality, gap=gap
            ),
            arrival / 1e6,
        )
    plant.detection.snapshot()
    plant.flush()
    windows = [(m["from"], m["to"]) for m in plant.messages if "delta" in m]
    assert all(start <= end for start, end in windows)
    assert all(a[1] <= b[0] for a, b in pairwise(windows))
    assert all(m["delta"] is None or m["delta"] >= 0 for m in plant.messages if "delta" in m)
