"""Blocks of the edge link as the engine gets them."""

import pytest

from mfgroute._core import Blocks
from mfgroute.adapters.zeromq.frames import Block


def block_of(number, *events):
    """A block of an edge with these events."""
    return Block(
        stream="s", epoch=7, edge="e", session=1, settled=0, number=number,
        offsets=tuple(range(10 * number, 10 * number + len(events))), events=events,
    )  # fmt: skip


def test_the_events_of_blocks_are_messages_in_their_order():
    blocks = Blocks([block_of(1, b"1", b"22"), block_of(2, b"333").without([0]), block_of(3, b"4444")])
    assert list(blocks) == [b"1", b"22", b"4444"]
    assert (len(blocks), blocks.size) == (3, 7)
    with pytest.raises(IndexError):
        blocks[3]


def test_only_events_of_the_sources_that_are_named_are_spoiled():
    ours, theirs, none = b'{"source":"a","id":"1"}', b'{"id":"2","source":"b"}', b"[]"
    block = block_of(1, theirs, ours, none, theirs)
    assert block.sources == ["b", "a", None]
    spoiled, count = block.spoiled({"b": b"no\n", "c": b"never\n"})
    assert (count, spoiled.events) == (2, (b"no\n" + theirs, ours, none, b"no\n" + theirs))
    assert (spoiled.hash, spoiled.offsets) == (block.hash, block.offsets)
