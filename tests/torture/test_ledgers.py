"""The ledgers find what they are there to find."""

import pytest

from tests.torture.ledgers import REPORTS, Life, Story

NUMBERS = range(REPORTS)


def effect(number, **changed):
    return {"effect": f"r{number}", "life": 0, "id": f"id-{number}", "order": str(number % 3)} | changed


def ack(number, level="durable"):
    return {"ack": f"r{number}", "level": level, "sent": 0.0, "answered": 0.0}


def whole():
    """A life in which each report was acknowledged and then delivered."""
    return [line for number in NUMBERS for line in (ack(number), effect(number))]


def wrong(tmp_path, *lives):
    """What is wrong with such lives."""
    story = Story(tmp_path, tmp_path, [Life(0, lines, "") for lines in lives])
    return story.broken()


def test_nothing_is_wrong_with_a_whole_story(tmp_path):
    assert wrong(tmp_path, whole()) == []
    # What was in flight at the end of a life comes again.
    assert wrong(tmp_path, whole(), [effect(REPORTS - 1, life=1)]) == []


@pytest.mark.parametrize(
    ("lives", "words"),
    [
        ([whole()[:-1]], "lost: ['r17']"),
        ([[*whole(), effect(90)]], "never sent: ['r90']"),
        ([[*whole()[:-1], effect(17, id="id-3")]], "two reports have one id"),
        ([whole(), [effect(17, id="other")]], "r17 has two ids"),
        ([[*whole(), ack(20), effect(2)]], "order 2 arrived as"),
        ([whole(), [effect(16, life=1)]], "r16 arrived again in life 1"),
        ([[*whole(), effect(17)]], "r17 arrived again in life 0"),
        ([[*whole(), ack(17, "memory")]], "r17 is memory"),
    ],
)
def test_each_broken_promise_is_named(tmp_path, lives, words):
    assert any(found.startswith(words) for found in wrong(tmp_path, *lives)), wrong(tmp_path, *lives)
