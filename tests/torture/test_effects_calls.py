"""One effect for each event when sender or target are killed at single system calls of what they do for it.

A first life is written down: every call that is more than waiting, from when it is ready until its events are posted. Then
each life is killed at one of those calls, and the next one goes on from there. At the end the oracle of the ledgers holds.
"""

import os

import pytest

from tests.torture import traced
from tests.torture.effects import Story, at_call

#: Reports of a life, so many that it comes to its call.
EACH = 12
RATIO = 0.25

pytestmark = pytest.mark.timeout(14_400 if os.environ.get("MFGROUTE_SYSCALLS") else 180)


@pytest.fixture
def story(tmp_path):
    """Tells one story at a time; what it runs is killed at the end."""
    traced.need()
    told = []

    def of(count, target=()):
        folder = tmp_path / str(len(told))
        folder.mkdir()
        told.append(Story(folder, range(count), ratio=RATIO, target=target))
        return told[-1]

    yield of
    for one in told:
        one.end()


def test_a_sender_killed_at_each_of_its_system_calls_has_one_effect_for_each_event(
    story, tmp_path, record_property
):
    first, out = story(EACH), tmp_path / "calls"
    node = first.start(traced.every(out))
    ready = out.stat().st_mtime
    assert first.settled() == []
    node.kill()
    found = traced.numbers(out, ready)
    # Its log, and its sockets.
    calls = ("pwrite64", "fdatasync", "connect", "write", "read", "close")
    assert set(calls) <= {call for call, _ in found}
    chosen, met = traced.chosen(found, len(calls), *calls), 0
    # A life may do with fewer calls than the first one did; with twice as many reports it comes to its call.
    one = story(2 * EACH * (len(chosen) + 1))
    for point in chosen:
        node = one.start(at_call(*point))
        one.progress(2 * EACH, 30)
        met += not node.kill()
    one.start()
    assert one.settled() == []
    record_property("kills", met)
    assert one.wrong() == []
    assert met >= len(chosen) // 2


def test_a_target_killed_at_each_of_its_system_calls_has_one_effect_for_each_event(
    story, tmp_path, record_property
):
    out = tmp_path / "calls"
    first = story(EACH, traced.every(out))
    ready = out.stat().st_mtime
    first.start()
    assert first.settled() == []
    first.end()
    found = traced.numbers(out, ready)
    # It writes down what it does, and then answers; some answers byte by byte.
    calls = ("write", "sendto", "recvfrom", "accept4", "close")
    assert set(calls) <= {call for call, _ in found}
    chosen, met = traced.chosen(found, 15, *calls), 0
    one = story(EACH * (len(chosen) + 1))
    one.start()
    for point in chosen:
        one.target.kill()
        one.target.start(at_call(*point))
        goal = min(one.target.done() + EACH, len(one.numbers))
        assert one.until(lambda goal=goal: not one.target.alive or one.target.done() >= goal)
        met += not one.target.alive
    one.target.kill()
    one.target.start()
    assert one.settled() == []
    record_property("kills", met)
    assert one.wrong() == []
    assert met >= len(chosen) // 2
