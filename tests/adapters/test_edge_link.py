# ruff: noqa: ISC004 - golden bytes
"""The frames of the edge link, and its two state machines against each other, rule by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfgroute._core import link_checksum
from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import (
    HORIZON,
    Ack,
    BadFrame,
    Block,
    Clock,
    Error,
    Hello,
    OtherVersion,
    Ping,
    Pong,
    Welcome,
    block_size,
    decode,
    encode,
)
from mfgroute.adapters.zeromq.lane import EdgeLane, LaneLost, LinkError, Point
from mfgroute.errors import AdapterError

GOLDEN = {
    "hello": (
        Hello(
            stream="business", epoch=7, edge="edge-1", session=9, settled=1, settled_hash=b"c" * 16, level="sealed",
            acked=2, acked_hash=b"a" * 16, last=3, last_hash=b"b" * 16,
        ),
        "4d46454c030100000000000000000007"
        "08627573696e657373" "06656467652d31"
        "0000000000000009" "0000000000000001" + "63" * 16 + "03"
        "0000000000000002" + "61" * 16 + "0000000000000003" + "62" * 16 + "CRC",
    ),
    "welcome": (
        Welcome(stream="business", epoch=7, session=9, expected=4, before=b"d" * 16, limit=68, bytes_max=16777216, block_max=1048576),
        "4d46454c030200000000000000000007" "08627573696e657373"
        "0000000000000009" "0000000000000004" + "64" * 16 + "0000000000000044" "01000000" "00100000" "CRC",
    ),
    "block": (
        Block(
            stream="business", epoch=7, edge="edge-1", session=9, settled=1,
            number=4, before=b"d" * 16, offsets=(100, 103), events=(b"{}", b'{"a":1}'),
        ),
        "4d46454c030300000000000000000007" "08627573696e657373" "06656467652d31"
        "0000000000000009" "0000000000000001"
        "0000000000000004" + "64" * 16 + "0000000000000064" "0000000000000067" "00000002"
        "00000000" "00000002" "7b7d" "00000003" "00000007" "7b2261223a317d" "CRC",
    ),
    "ack": (
        Ack(stream="business", epoch=7, session=9, acked=4, hash=b"d" * 16, level="durable", limit=68, bytes_max=16777216),
        "4d46454c030400000000000000000007" "08627573696e657373"
        "0000000000000009" "0000000000000004" + "64" * 16 + "02" "0000000000000044" "01000000" "CRC",
    ),
    "ping": (Ping(9), "4d46454c030500000000000000000000" "00" "0000000000000009" "CRC"),
    "pong": (Pong(9), "4d46454c030600000000000000000000" "00" "0000000000000009" "CRC"),
    "clock": (
        Clock(9, -2),
        "4d46454c030800000000000000000000" "00" "0000000000000009" "fffffffffffffffe" "CRC",
    ),
    "error": (
        Error(stream="business", epoch=7, code=2, text="fork"),
        "4d46454c030700000000000000000007" "08627573696e657373" "02" "0004" "666f726b" "CRC",
    ),
}  # fmt: skip
CRCS = {
    "hello": "65a576b7",
    "welcome": "5747cd4c",
    "block": "72affd18",
    "ack": "0c13566a",
    "ping": "34f9cc00",
    "pong": "6d3dd4c7",
    "error": "7fb46944",
    "clock": "517f94e7",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_of_a_frame_are_those_of_the_document(name):
    frame, golden = GOLDEN[name]
    data = bytes.fromhex(golden.replace("CRC", CRCS[name]))
    assert encode(frame) == data
    assert decode(data) == frame


@pytest.mark.parametrize("name", GOLDEN)
def test_a_frame_cut_or_lengthened_or_with_any_bit_wrong_is_no_frame(name):
    data = encode(GOLDEN[name][0])
    for end in range(len(data)):
        with pytest.raises(BadFrame):
            decode(data[:end])
    with pytest.raises(BadFrame):
        decode(data + b"\x00")
    for bit in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadFrame):
            decode(bytes(wrong))


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_no_frame(data, signed):
    if signed:  # With a right checksum, so that the parser behind it is reached.
        data = b"MFEL\x03" + data
        data += link_checksum(data).to_bytes(4, "big")
    try:
        frame = decode(data)
    except BadFrame:
        return
    assert encode(frame) == data


def test_another_version_says_so():
    data = bytearray(encode(Ping(1)))
    data[4] = 1
    with pytest.raises(OtherVersion, match="version 1, expected 3"):
        decode(bytes(data))


def test_the_size_of_a_block_is_known_before_it_is_made():
    block = GOLDEN["block"][0]
    assert block_size("business", "edge-1", [2, 7]) == len(encode(block))


def core(**more):
    return CoreLink(**({"credit_blocks": 4, "credit_bytes": 1 << 20, "block_max": 1 << 16} | more))


def lane(epoch=7, edge="e", session=1 << 32, **more):
    return EdgeLane(edge, "s", epoch, session=session, **more)


def greet(a, b):
    """HELLO and what follows, over a perfect wire."""
    for reply in b.receive(a.edge, a.hello()).replies:
        a.receive(decode(reply))


def give(a, b, *values):
    """One block over a perfect wire; returns what the core handed on."""
    _, frame = a.add([100 * a._last + n for n in range(len(values))], list(values))
    return b.receive(a.edge, frame)


def test_no_block_is_made_before_the_welcome_or_beyond_the_credit():
    a, b = lane(), core()
    assert not a.room(10)
    greet(a, b)
    for n in range(4):
        assert a.room(10)
        assert give(a, b, b"%d" % n).block.number == n + 1
    assert not a.room(10)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "durable")))
    assert a.room(10)
    assert (a.acked.number, a.acked.level) == (1, "durable")


def test_credit_is_bounded_in_bytes_and_one_block_is_always_allowed():
    a, b = lane(), core(credit_bytes=100)
    greet(a, b)
    assert a.room(10_000)
    assert give(a, b, b"x" * 200).block
    assert not a.room(1)


def test_acknowledgements_are_cumulative_and_name_the_lowest_level():
    a, b = lane(), core()
    greet(a, b)
    for n in range(3):
        give(a, b, b"%d" % n)
    assert b.acknowledge("e", "s", 7, 3, "sealed") is None
    assert b.acknowledge("e", "s", 7, 2, "memory") is None
    ack = decode(b.acknowledge("e", "s", 7, 1, "durable"))
    assert (ack.acked, ack.level) == (3, "memory")
    assert b.acknowledge("e", "s", 7, 1, "durable") is None


def test_a_block_beyond_the_credit_is_not_taken_until_there_is_credit():
    a, b = lane(), core()
    greet(a, b)
    a._limit = 99
    got = [give(a, b, b"%d" % n) for n in range(5)]
    assert got[3].block
    assert got[4].block is None
    assert b.counts["beyond_credit"] == 1
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "memory")))
    greet_replies = b.receive("e", a.hello()).replies
    (again,) = a.receive(decode(greet_replies[0]))
    assert b.receive("e", again).block.number == 5


def test_a_block_that_is_too_large_ends_the_link():
    a, b = lane(), core(block_max=100)
    greet(a, b)
    with pytest.raises(LinkError, match="bytes"):
        a.receive(decode(give(a, b, b"x" * 200).replies[0]))


def test_a_core_in_memory_that_forgot_everything_goes_on_where_the_edge_stands():
    a, b = lane(), core()
    greet(a, b)
    for n in range(3):
        give(a, b, b"%d" % n)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "memory")))
    a.settle(a.acked)
    b = core()
    got = b.receive("e", a.add([9], [b"3"])[1])
    assert got.block is None
    (hello,) = a.receive(decode(got.replies[0]))
    (welcome,) = b.receive("e", hello).replies
    again = a.receive(decode(welcome))
    assert [b.receive("e", frame).block.number for frame in again] == [2, 3, 4]


@pytest.mark.parametrize("told", [True, False])
def test_a_core_that_forgot_what_it_had_sealed_is_a_fork(told):
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b"1")
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "sealed")))
    if told:
        a.settle(a.acked)
    else:
        lost = core(position=b.position())  # As a backup from before the block.
        assert lost.position() == b.position()
        b = lost
    if told:
        b = core()
    with pytest.raises(LinkError, match="put back"):
        greet(a, b)
    assert b.counts["forks"] == 1


def test_an_edge_put_back_to_before_what_it_told_is_a_fork_and_not_merged():
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b"one")
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "sealed")))
    a.settle(a.acked)
    give(a, b, b"two")
    old = lane(session=2 << 32)
    with pytest.raises(LinkError, match="put back"):
        greet(old, b)
    assert b.counts["forks"] == 1
    # From now on the lane takes nothing, also after a restart of the core.
    assert give(a, b, b"three").block is None
    b = core(position=b.position())
    with pytest.raises(LinkError, match="put back"):
        greet(a, b)


def test_an_edge_put_back_that_makes_other_events_is_found_when_the_first_comes():
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b'{"id":"one"}', b'{"id":"two"}')
    old = lane(session=2 << 32)
    greet(old, b)
    _, frame = old.add([0, 1], [b'{"id":"one"}', b'{"id":"another"}'])
    got = b.receive("e", frame)
    assert got.block is None
    assert decode(got.replies[0]).code == 2
    assert b.counts["forks"] == 1


def test_a_session_that_was_followed_by_another_is_not_listened_to():
    a, b, c = lane(session=1 << 32), core(), lane(session=2 << 32)
    greet(a, b)
    greet(c, b)
    for frame in (a.hello(), a.add([1], [b"1"])[1]):
        got = b.receive("e", frame)
        assert (got.block, decode(got.replies[0]).code) == (None, 7)
    assert give(c, b, b"2").block
    assert b.counts["forks"] == 0


def test_two_lives_with_the_same_count_are_a_fork():
    a, b, c = lane(), core(), lane(session=1 << 32 | 5)
    greet(a, b)
    with pytest.raises(LinkError, match="put back"):
        greet(c, b)


def test_what_an_earlier_life_sent_is_not_handed_on_again():
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b'{"id":"one"}', b'{"id":"two"}')
    a = lane(session=2 << 32)
    greet(a, b)
    _, frame = a.add([0, 1, 2], [b'{"id":"one"}', b'{"id":"two"}', b'{"id":"three"}'])
    got = b.receive("e", frame)
    assert (got.block.number, got.block.offsets, got.block.events) == (2, (2,), (b'{"id":"three"}',))
    assert b.counts["repeated_events"] == 2


def test_a_core_with_its_marks_knows_after_a_restart_what_came_before():
    a, b = lane(), core()
    greet(a, b)
    for name in (b'{"id":"one"}', b'{"id":"two"}'):
        b.note(give(a, b, name).block)
    position = b.position()
    b.note(give(a, b, b'{"id":"not kept"}').block)
    for life in (a, lane(session=2 << 32)):
        b = core(position=position)
        assert b.unsealed() == [("e", "s", 7, 1), ("e", "s", 7, 2)]
        (welcome,) = b.receive("e", life.hello()).replies
        assert decode(welcome).expected == 3
        ack = [b.acknowledge(*name, "sealed") for name in b.unsealed()][-1]
        life.receive(decode(welcome))
        life.receive(decode(ack))
    assert a.acked.number == 2


def test_a_life_that_numbered_behind_what_the_core_lost_begins_anew():
    a, b = lane(), core()
    greet(a, b)
    position = b.position()
    give(a, b, b"1")
    a = lane(session=2 << 32)
    greet(a, b)
    b = core(position=position)
    with pytest.raises(LaneLost):
        greet(a, b)


def test_a_core_forgets_what_the_edge_has_taken_note_of():
    a, b = lane(), core()
    greet(a, b)
    for n in range(1, 200):
        b.note(give(a, b, b"%d" % n).block)
        a.receive(decode(b.acknowledge("e", "s", 7, n, "sealed")))
        a.answered([100 * (n - 1)], n)
        if (point := a.checkpoint(n - 2)) is not None:
            a.settle(point)
    assert len(b.position()) < 200
    assert a.settled.number == 197
    assert lane(settled=Point(5, b"x" * 16)).acked.number == 5


def test_a_core_remembers_what_the_log_of_the_edge_has_not_noted():
    a, b = lane(), core()
    greet(a, b)
    for n in range(3):
        give(a, b, b"%d" % n, b"%d more" % n)
    assert (a.where(0), a.where(101), a.where(7)) == (1, 2, None)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "sealed")))
    assert a.checkpoint(99) is None  # The write of block 1 has not ended.
    a.answered([0], 1)
    assert a.checkpoint(99) is None  # One of its events is not done.
    a.answered([1], 2)
    assert a.checkpoint(1) is None  # The log has not noted that.
    assert a.checkpoint(2).number == 1
    # An acknowledgement that comes after the end of the write: the event is not sent again.
    a.answered([101], 3)
    a.receive(decode(b.acknowledge("e", "s", 7, 2, "sealed")))
    assert (a.where(100), a.checkpoint(3).number) == (2, 1)
    a.answered([100], 4)
    assert (a.where(100), a.checkpoint(4).number) == (None, 2)


def test_an_event_that_somebody_set_aside_is_not_waited_for_for_ever():
    a, b = lane(), core()
    greet(a, b)
    for n, offset in enumerate((0, 5, HORIZON + 1), 1):
        b.receive("e", a.add([offset], [b"%d" % n])[1])
        a.receive(decode(b.acknowledge("e", "s", 7, n, "sealed")))
        if n > 1:
            a.answered([offset], n)
        assert (a.checkpoint(n) is None) == (n < 3)
    assert a.checkpoint(3).number == 3


def test_the_receipt_for_a_mark_does_not_say_that_events_in_memory_are_safe():
    a, b = lane(), core()
    greet(a, b)
    b.note(give(a, b, b"1").block)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "memory")))
    b.note(give(a, b, b"2").block)
    b = core(position=b.position())
    (name,) = [name for name in b.unsealed() if name[3] == 2]
    acks = [b.acknowledge(*one, "sealed") for one in b.unsealed()]
    assert name[:2] == ("e", "s")
    assert {decode(one).level for one in acks if one} == {"memory"}
    greet(a, b)
    give(a, b, b"3")
    assert decode(b.acknowledge("e", "s", 7, 3, "memory")).level == "memory"


def test_an_unreadable_position_is_an_error():
    with pytest.raises(AdapterError, match="cannot be read"):
        core(position=b"x")
    with pytest.raises(AdapterError, match="format 9"):
        core(position=bytes([0x92, 9, 0x90]))


def test_a_core_put_back_to_an_older_state_is_a_fork():
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b"1")
    a.acked, a._last = Point(5, b"x" * 16, "sealed"), 5
    assert decode(b.receive("e", a.hello()).replies[0]).code == 2


def test_an_epoch_that_was_given_up_does_not_come_back():
    a, b, c = lane(1), core(), lane(2)
    greet(a, b)
    greet(c, b)
    assert decode(b.receive("e", a.hello()).replies[0]).code == 2
    assert give(c, b, b"1").block
    assert b.acknowledge("e", "s", 1, 1, "memory") is None


def test_a_frame_that_names_another_edge_than_the_key_is_refused():
    a, b = lane(), core()
    got = b.receive("someone", a.hello())
    assert decode(got.replies[0]).code == 4
    assert b.counts["wrong_edge"] == 1


def test_an_edge_has_few_lanes():
    b = core()
    codes = [decode(b.receive("e", EdgeLane("e", f"s{n}", 1).hello()).replies[0]) for n in range(5)]
    assert isinstance(codes[3], Welcome)
    assert codes[4].code == 6


def test_a_core_answers_a_ping_and_drops_what_only_a_core_says():
    b = core()
    assert decode(b.receive("e", encode(Ping(5))).replies[0]) == Pong(5)
    assert b.receive("e", encode(GOLDEN["ack"][0])) == ([], None)
    assert b.counts["bad_frames"] == 1


def test_hashes_are_kept_in_bounds():
    a, b = lane(), core()
    greet(a, b)
    for n in range(1, 1500):
        give(a, b, b"x")
        a.receive(decode(b.acknowledge("e", "s", 7, n, "memory")))
    assert len(b._lanes["e", "s"].hashes) == 1024
    assert a._unacked_bytes == 0
