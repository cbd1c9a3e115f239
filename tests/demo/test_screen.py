"""What the screen of the demo shows, on a terminal that is a text."""

import io

import pytest
from rich.console import Console

from mfgroute.testing.demo.screen import COLUMNS, Line, LiveScreen, _row
from mfgroute.testing.demo.teller import _words
from mfgroute.testing.story import Drop, Misbehave, Post, Signals, story


def test_a_line_of_the_story_has_the_room_that_its_own_verdict_leaves():
    long = Line("good", "x" * 95, "OPC UA")
    shown = _row(long, COLUMNS).plain
    assert len(shown) == COLUMNS
    assert shown.startswith("✓ " + "x" * 89 + "…")
    assert shown.endswith("  OPC UA")


def verdict(step):
    match step:
        case Post():
            return _words(step.outcome)
        case Drop():
            return "a file"
        case Signals():
            return "OPC UA"
        case Misbehave():
            return f"{step.times} times"
        case _:
            return "6 events"


@pytest.mark.parametrize("step", story().steps, ids=lambda step: step.says[:40])
def test_each_step_of_the_story_is_read_whole_on_a_terminal_of_a_hundred_columns(step):
    says = f"from now on {step.says}" if isinstance(step, Misbehave) else step.says
    assert f" {says} " in _row(Line("good", says, verdict(step)), COLUMNS).plain


def test_nothing_is_drawn_when_nothing_has_changed(monkeypatch):
    monkeypatch.setattr(LiveScreen, "elapsed_s", 0.0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=COLUMNS, height=40)
    with LiveScreen(console) as screen:
        screen.line(Line("good", "the first"))
        first = out.getvalue()
        screen._draw()
        assert out.getvalue() == first
        screen.line(Line("good", "the second"))
        later = out.getvalue()[len(first) :]
    assert "the second" in later
    # Each picture is held until it is whole.
    assert later.startswith("\x1b[?2026h")
    assert later.endswith("\x1b[?2026l")
