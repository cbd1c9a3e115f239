# ruff: noqa: ISC004, C901, PLR0912 - golden bytes and one long simulation
"""The two state machines against each other, over a network that does what it likes."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfgroute.adapters.zeromq.frames import (
    Ack,
    BadFrame,
    Block,
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
from mfgroute.adapters.zeromq.link import CoreLink, EdgeLane, LinkError

GOLDEN = {
    "hello": (
        Hello(stream="business", epoch=7, edge="edge-1", acked=2, acked_hash=b"a" * 16, last=3, last_hash=b"b" * 16),
        "4d46454c010100000000000000000007"
        "08627573696e657373" "06656467652d31"
        "0000000000000002" + "61" * 16 + "0000000000000003" + "62" * 16 + "CRC",
    ),
    "welcome": (
        Welcome(stream="business", epoch=7, expected=4, limit=68, bytes_max=16777216, block_max=1048576),
        "4d46454c010200000000000000000007" "08627573696e657373"
        "0000000000000004" "0000000000000044" "01000000" "00100000" "CRC",
    ),
    "block": (
        Block(stream="business", epoch=7, edge="edge-1", number=4, offsets=(100, 103), events=(b"{}", b'{"a":1}')),
        "4d46454c010300000000000000000007" "08627573696e657373" "06656467652d31"
        "0000000000000004" "0000000000000064" "0000000000000067" "00000002"
        "00000000" "00000002" "7b7d" "00000003" "00000007" "7b2261223a317d" "CRC",
    ),
    "ack": (
        Ack(stream="business", epoch=7, acked=4, level="durable", limit=68, bytes_max=16777216),
        "4d46454c010400000000000000000007" "08627573696e657373"
        "0000000000000004" "02" "0000000000000044" "01000000" "CRC",
    ),
    "ping": (Ping(9), "4d46454c010500000000000000000000" "00" "0000000000000009" "CRC"),
    "pong": (Pong(9), "4d46454c010600000000000000000000" "00" "0000000000000009" "CRC"),
    "error": (
        Error(stream="business", epoch=7, code=2, text="fork"),
        "4d46454c010700000000000000000007" "08627573696e657373" "02" "0004" "666f726b" "CRC",
    ),
}  # fmt: skip
CRCS = {
    "hello": "4727170d",
    "welcome": "625a6227",
    "block": "ae470d5d",
    "ack": "c1b7fa07",
    "ping": "cafb5b44",
    "pong": "6552168e",
    "error": "ec3f93cc",
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
    import zlib

    if signed:  # With a right checksum, so that the parser behind it is reached.
        data = b"MFEL\x01" + data
        data += zlib.crc32(data).to_bytes(4, "big")
    try:
        frame = decode(data)
    except BadFrame:
        return
    assert encode(frame) == data


def test_another_version_says_so():
    data = bytearray(encode(Ping(1)))
    data[4] = 2
    with pytest.raises(OtherVersion, match="version 2, expected 1"):
        decode(bytes(data))


def test_the_size_of_a_block_is_known_before_it_is_made():
    block = GOLDEN["block"][0]
    assert block_size("business", "edge-1", [2, 7]) == len(encode(block))


def core(**more):
    return CoreLink(**({"credit_blocks": 4, "credit_bytes": 1 << 20, "block_max": 1 << 16} | more))


def lane(epoch=7, edge="e"):
    return EdgeLane(edge, "s", epoch)


def greet(a, b):
    """HELLO and what follows, over a perfect wire."""
    for reply in b.receive(a.edge, a.hello()).replies:
        a.receive(decode(reply))


def give(a, b, *values):
    """One block over a perfect wire; returns what the core handed on."""
    _, frame = a.add(list(range(1, len(values) + 1)), list(values))
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
    assert (a.acked, a.level) == (1, "durable")


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


def test_a_core_that_forgot_everything_goes_on_where_the_edge_stands():
    a, b = lane(), core()
    greet(a, b)
    for n in range(3):
        give(a, b, b"%d" % n)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "memory")))
    b = core()
    got = b.receive("e", a.add([9], [b"3"])[1])
    assert got.block is None
    (hello,) = a.receive(decode(got.replies[0]))
    (welcome,) = b.receive("e", hello).replies
    again = a.receive(decode(welcome))
    assert [b.receive("e", frame).block.number for frame in again] == [2, 3, 4]


def test_an_edge_put_back_to_an_older_state_is_a_fork_and_not_merged():
    a, b = lane(), core()
    greet(a, b)
    for n in range(3):
        give(a, b, b"%d" % n)
    old = lane()
    (welcome,) = b.receive("e", old.hello()).replies
    with pytest.raises(LinkError, match="put back"):
        old.receive(decode(welcome))


def test_an_edge_that_made_other_blocks_is_a_fork_whether_it_says_hello_or_not():
    for hello_first in (True, False):
        a, b = lane(), core()
        greet(a, b)
        clone = lane()
        greet(clone, b)
        give(a, b, b"one")
        _, other = clone.add([1], [b"other"])
        got = b.receive("e", clone.hello() if hello_first else other)
        assert got.block is None
        assert decode(got.replies[0]).code == 2
        assert b.counts["forks"] == 1
        # From now on the lane takes nothing.
        assert b.receive("e", a.add([2], [b"two"])[1]).block is None


def test_a_core_put_back_to_an_older_state_is_a_fork():
    a, b = lane(), core()
    greet(a, b)
    give(a, b, b"1")
    a.acked, a._last = 5, 5
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


class Wire:
    """Loses, repeats, reorders, cuts and garbles frames, by a seed."""

    def __init__(self, rng, faults):
        self.rng, self.faults, self.frames = rng, faults, []

    def put(self, frame):
        if self.rng.random() < self.faults["lose"]:
            return
        self.frames.append(frame)
        if self.rng.random() < self.faults["repeat"]:
            self.frames.append(frame)

    def take(self):
        if not self.frames:
            return None
        at = self.rng.randrange(len(self.frames)) if self.rng.random() < self.faults["reorder"] else 0
        frame = self.frames.pop(at)
        if self.rng.random() < self.faults["cut"]:
            return frame[: self.rng.randrange(len(frame))]
        if self.rng.random() < self.faults["garble"]:
            wrong = bytearray(frame)
            wrong[self.rng.randrange(len(wrong))] ^= 1 << self.rng.randrange(8)
            return bytes(wrong)
        return frame


def run(seed, faults, blocks, restart):
    """Send `blocks` blocks through two bad wires. Returns what each life of the core handed on, in order."""
    rng = random.Random(seed)
    there, back = Wire(rng, faults), Wire(rng, faults)
    a, b = lane(), core()
    there.put(a.hello())
    lives, pending, made, now = [[]], [], 0, 0.0
    for step in range(20_000):
        if a.acked == blocks:
            return lives
        if restart and step == restart:
            b, pending = core(), []
            lives.append([])
        if step > 15_000:
            there.faults = back.faults = dict.fromkeys(faults, 0.0)
        now += 0.1
        if made < blocks and a.room(10):
            made += 1
            there.put(a.add([made], [b"%d" % made])[1])
        for frame in a.tick(now, quiet_max_s=1.0, wanting=made < blocks):
            there.put(frame)
        data = there.take()
        if data is not None:
            replies, block = b.receive("e", data)
            for reply in replies:
                back.put(reply)
            if block is not None:
                lives[-1].append(block.number)
                assert block.events == (b"%d" % block.number,)
                pending.append(block.number)
        if pending and rng.random() < 0.5:
            reply = b.acknowledge("e", "s", 7, pending.pop(rng.randrange(len(pending))), "durable")
            if reply is not None:
                back.put(reply)
        data = back.take()
        if data is not None:
            try:
                frame = decode(data)
            except BadFrame:
                continue
            if isinstance(frame, Welcome | Ack | Error):
                for answer in a.receive(frame):
                    there.put(answer)
    raise AssertionError("it did not heal")


chances = st.sampled_from([0.0, 0.0, 0.05, 0.3])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(dict.fromkeys(("lose", "repeat", "reorder", "cut", "garble"), chances)),
    st.integers(1, 30),
)
def test_each_block_arrives_once_and_in_order_over_any_wire(seed, faults, blocks):
    assert run(seed, faults, blocks, restart=0) == [list(range(1, blocks + 1))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        dict.fromkeys(("lose", "repeat", "cut", "garble"), chances) | {"reorder": st.just(0.0)}
    ),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_nothing_is_lost_when_the_core_restarts(seed, faults, blocks, restart):
    lives = run(seed, faults, blocks, restart)
    for life in lives:
        assert life == list(range(life[0], life[0] + len(life))) if life else True
    assert {number for life in lives for number in life} == set(range(1, blocks + 1))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(dict.fromkeys(("lose", "repeat", "reorder", "cut", "garble"), chances)),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_with_reordering_and_a_restart_it_is_delivered_or_says_that_it_forked(seed, faults, blocks, restart):
    try:
        lives = run(seed, faults, blocks, restart)
    except LinkError:
        return
    assert {number for life in lives for number in life} == set(range(1, blocks + 1))
