"""How the story is shown while it is told: calm on a terminal, line by line elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from types import TracebackType
from typing import Literal, Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mfgroute.testing.story import SYSTEMS

__all__ = ["COLUMNS", "Line", "LiveScreen", "Mood", "Numbers", "PlainScreen", "Screen"]

COLUMNS = 100
_ROWS = 18
#: Synchronized output (DEC private mode 2026), which other terminals ignore.
_HOLD, _SHOW = "\x1b[?2026h", "\x1b[?2026l"

Mood = Literal["note", "good", "same", "bad", "trouble", "effect"]
_MARKS: dict[Mood, tuple[str, str]] = {
    "note": ("·", "dim"),
    "good": ("✓", "green"),
    "same": ("=", "cyan"),
    "bad": ("✗", "red"),
    "trouble": ("!", "yellow"),
    "effect": ("→", "blue"),
}


class Line(msgspec.Struct, frozen=True):
    """Something happened.

    Attributes:
        text: what, in a sentence.
        verdict: what became of it, in a few words.
    """

    mood: Mood
    text: str
    verdict: str = ""


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the plant stands now.

    Attributes:
        items: received, accepted and so on, of all first sources.
        link: events that crossed the link.
        link_all: how many must.
        waiting: events on the way to a business system.
        in_doubt: sent, no answer.
        parked: set aside for a person.
        unaccounted: that no counter explains.
        done: effects of each system.
        wanted: how many each must have.
        last: the last effect of each system.
    """

    items: dict[str, int]
    link: int
    link_all: int
    waiting: int
    in_doubt: int
    parked: int
    unaccounted: int
    done: dict[str, int]
    wanted: dict[str, int]
    last: dict[str, str]


class Screen(ABC):
    """Shows lines and numbers; a context."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begun

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def line(self, line: Line) -> None:
        """Show what happened."""

    @abstractmethod
    def numbers(self, numbers: Numbers) -> None:
        """Show where the plant stands."""


class PlainScreen(Screen):
    """A line of text for each thing that happens."""

    def line(self, line: Line) -> None:
        """Print it."""
        what = f"      {line.text}" if line.mood == "effect" else line.text
        verdict = f": {line.verdict}" if line.verdict else ""
        self.console.print(Text(f"{self.elapsed_s:5.1f} s  {what}{verdict}"), soft_wrap=True, highlight=False)

    def numbers(self, numbers: Numbers) -> None:
        """Nothing: the balance comes at the end."""


class LiveScreen(Screen):
    """One picture that changes in place, and is gone when the story ends."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._rows = max(6, min(_ROWS, console.height - 16))
        self._lines: deque[Line] = deque(maxlen=self._rows)
        self._numbers: Numbers | None = None
        self._shown: tuple[int, tuple[Line, ...], Numbers | None] | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def line(self, line: Line) -> None:
        """Add it; effects show in the table of the systems only."""
        if line.mood != "effect":
            self._lines.append(line)
        self._draw()

    def numbers(self, numbers: Numbers) -> None:
        """Show them."""
        self._numbers = numbers
        self._draw()

    def _draw(self) -> None:
        """Draw what has changed; a terminal that can shows each picture whole, not half of it."""
        shown = (int(self.elapsed_s), tuple(self._lines), self._numbers)
        if shown == self._shown:
            return
        self._shown = shown
        parts: list[RenderableType] = [self._head(), Text(), self._story(), Text()]
        if self._numbers is not None:
            parts += [_systems(self._numbers), Text(), _counts(self._numbers)]
        self.console.file.write(_HOLD)
        self._live.update(Group(*parts), refresh=True)
        self.console.file.write(_SHOW)
        self.console.file.flush()

    def _head(self) -> RenderableType:
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        head = Table.grid(expand=False)
        head.width = min(COLUMNS, self.console.width)
        head.add_column(ratio=1)
        head.add_column(justify="right")
        head.add_row(
            Text.assemble(("mfgroute demo", "bold"), "   3 plants ─ edge ═ core ─ 6 systems"),
            Text(f"{minutes}:{seconds:02}", "dim"),
        )
        return head

    def _story(self) -> RenderableType:
        width = min(COLUMNS, self.console.width)
        rows = [_row(line, width) for line in self._lines]
        return Group(*rows, *[Text()] * (self._rows - len(rows)))


def _row(line: Line, width: int) -> Text:
    """A line of the story. Its text has all the room that its own verdict leaves."""
    mark, style = _MARKS[line.mood]
    verdict = Text(line.verdict, style)
    text = Text(line.text)
    text.truncate(width - verdict.cell_len - 4, overflow="ellipsis", pad=True)
    return Text.assemble((f"{mark} ", style), text, "  ", verdict, no_wrap=True, overflow="crop")


def _systems(numbers: Numbers) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(width=7)
    table.add_column(width=8)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(title, "dim") for title in ("system", "effects", "last effect")))
    for system in SYSTEMS:
        done, wanted = numbers.done[system], numbers.wanted[system]
        style = "green" if done == wanted else "red" if done > wanted else ""
        table.add_row(
            Text(system.upper() if len(system) < 5 else system, "bold"),
            Text(f"{done:2} of {wanted}", style),
            Text(numbers.last.get(system, "")),
        )
    return table


def _counts(numbers: Numbers) -> RenderableType:
    items = numbers.items
    parts = [
        f"{items[name]} {name}" for name in ("accepted", "rejected", "duplicates", "filtered", "dropped")
    ]
    return Group(
        Text.assemble(("received ", "dim"), f"{items['received']} = {' + '.join(parts)}"),
        Text.assemble(
            ("link ", "dim"),
            f"{numbers.link} of {numbers.link_all}   ",
            ("on the way ", "dim"),
            f"{numbers.waiting}   ",
            ("sent, no answer ", "dim"),
            f"{numbers.in_doubt}   ",
            ("parked ", "dim"),
            (f"{numbers.parked}", "yellow" if numbers.parked else ""),
            "   ",
            ("unaccounted ", "dim"),
            (f"{numbers.unaccounted}", "red" if numbers.unaccounted else "green"),
        ),
    )
