"""Calendar files: when a target is not to be sent anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mfgroute import _core
from mfgroute.config import zones
from mfgroute.config.convert import Notes, close, convert_struct, escape
from mfgroute.errors import ConfigError, Problem

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_BYTES_MAX = 1 << 20
_WINDOWS_MAX = 1000
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2})")
_DAY = timedelta(days=1)


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a calendar file."""


class WindowSection(_Section, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """A maintenance window, as written."""

    since: Annotated[
        str, Meta(description="When it begins: `02:00` of a weekly one, else `2026-12-24 18:00`")
    ]
    until: Annotated[
        str,
        Meta(description="When it ends: `06:00` of a weekly one, of the next day if not later; or `24:00`"),
    ]
    weekly: Annotated[
        str | list[str] | None, Meta(description="On which days a weekly one begins: `sunday`, or a list")
    ] = None
    zone: Annotated[str | None, Meta(description="Its time zone, if not that of the file")] = None
    why: Annotated[str, Meta(max_length=200, description="What is maintained")] = ""


class CalendarSection(_Section, frozen=True, kw_only=True):
    """A calendar file."""

    zone: Annotated[str, Meta(description="Time zone of the windows, such as `Europe/Berlin`")]
    windows: Annotated[list[WindowSection], Meta(max_length=_WINDOWS_MAX, description="When nothing is sent")]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A maintenance window.

    Attributes:
        place: ``calendar.yaml:3``.
        zone: IANA name.
        since: local time of the beginning: of each of `days`, or of a day.
        until: local time of the end.
        days: weekdays on which it begins, 0 for Monday; none for a single one.
        why: what is maintained.
    """

    place: str
    zone: str
    since: time | datetime
    until: time | datetime
    days: tuple[int, ...] = ()
    why: str = ""

    def around(self, at: float) -> tuple[float, float] | None:
        """Begin and end, in seconds since 1970, of the occurrence that `at` lies in."""
        rules = zones.zone(self.zone)
        assert rules is not None
        for since, until in self._local(datetime.fromtimestamp(at, rules).date()):
            begin = zones.instant(since, rules, last=False)
            end = zones.instant(until, rules, last=True)
            if begin <= at < end:
                return begin, end
        return None

    def over_at(self) -> float | None:
        """When a single window is over for good, in seconds since 1970; `None` for a weekly one."""
        if not isinstance(self.until, datetime):
            return None
        rules = zones.zone(self.zone)
        assert rules is not None
        return zones.instant(self.until, rules, last=True)

    def _local(self, today: date) -> Iterator[tuple[datetime, datetime]]:
        """Local begins and ends of occurrences near a day."""
        if isinstance(self.since, datetime) and isinstance(self.until, datetime):
            yield self.since, self.until
            return
        assert isinstance(self.since, time)
        assert isinstance(self.until, time)
        for day in (today - _DAY, today):
            if day.weekday() in self.days:
                ends = day if self.until > self.since else day + _DAY
                yield datetime.combine(day, self.since), datetime.combine(ends, self.until)


class Span(msgspec.Struct, frozen=True):
    """A window that is on, with those that join it.

    Attributes:
        until: when it ends, in seconds since 1970.
        window: the one that ends last.
    """

    until: float
    window: Window

    def words(self, at: float) -> str:
        """For a sentence: ``in a maintenance window until 14:00 (calendar.yaml:3)``."""
        rules = zones.zone(self.window.zone)
        ends, now = (datetime.fromtimestamp(one, rules) for one in (self.until, at))
        shown = ends.strftime("%H:%M" if ends.date() == now.date() else "%Y-%m-%d %H:%M")
        why = f" for {self.window.why}" if self.window.why else ""
        return f"in a maintenance window until {shown}{why} ({self.window.place})"


class Calendar(msgspec.Struct, frozen=True):
    """The windows of a calendar file; two of the same content are equal."""

    windows: tuple[Window, ...] = ()

    def at(self, now: float) -> Span | None:
        """The window that is on at a moment, in seconds since 1970."""
        span = None
        until = now
        for _ in range(_WINDOWS_MAX):
            found = [(around[1], one) for one in self.windows if (around := one.around(until)) is not None]
            if not found:
                break
            until, window = max(found, key=lambda pair: pair[0])
            span = Span(until, window)
        return span


def read(
    document: Any, root: Path, notes: Notes, *, today: date | None = None
) -> tuple[dict[str, Calendar], list[Problem]]:
    """The calendars of the sinks of a project, by the sink's name, and what is wrong with their files.

    Args:
        document: of ``mfgroute.yaml``.
        root: the project folder.
        notes: of ``mfgroute.yaml``.
        today: the day (UTC) before which windows are over; now if not given.
    """
    now = datetime.combine(today, time(), UTC) if today else datetime.now(UTC)
    sinks = document.get("sinks") if isinstance(document, dict) else None
    made: dict[str, Calendar] = {}
    files: dict[str, tuple[Calendar | None, list[Problem]]] = {}
    for name, sink in sinks.items() if isinstance(sinks, dict) else ():
        file = sink.get("calendar") if isinstance(sink, dict) else None
        if not isinstance(file, str):
            continue
        if file not in files:
            try:
                files[file] = _file(root, file, now.timestamp())
            except OSError as error:
                pointer = f"/sinks/{escape(str(name))}/calendar"
                notes.error(pointer, f"cannot read the calendar `{file}`: {error.strerror or error}")
                continue
        calendar, _ = files[file]
        if calendar is not None:
            made[str(name)] = calendar
    return made, [problem for _, problems in files.values() for problem in problems]


def _file(root: Path, file: str, now: float) -> tuple[Calendar | None, list[Problem]]:
    """The calendar of a file, or `None`, and its problems.

    Raises:
        OSError: it cannot be read.
    """
    with (root / file).open("rb") as stream:
        text = stream.read(_BYTES_MAX + 1)
    if len(text) > _BYTES_MAX:
        raise OSError(f"it has more than {_BYTES_MAX} bytes")
    try:
        document, places, _ = _core.parse_yaml(text, file)
    except ConfigError as error:
        return None, [
            one if isinstance(one, Problem) else msgspec.convert(one, Problem) for one in error.problems
        ]
    notes = Notes(file, places, frozenset())
    reader = _Reader(notes, file, places, now)
    calendar = reader.calendar(document)
    return calendar, notes.problems


class _Reader:
    """Reads one calendar file."""

    def __init__(self, notes: Notes, file: str, places: Mapping[str, tuple[int, int]], now: float) -> None:
        self._notes = notes
        self._file = file
        self._places = places
        self._now = now

    def calendar(self, document: Any) -> Calendar | None:
        section = convert_struct(CalendarSection, document, "", self._notes)
        if section is None:
            return None
        if not section.windows:
            self._notes.warn("/windows", "the calendar has no windows")
        self._check_zone(section.zone, "/zone")
        windows = [
            self._window(one, section.zone, f"/windows/{index}") for index, one in enumerate(section.windows)
        ]
        known = [one for one in windows if one is not None]
        if any(problem.severity == "error" for problem in self._notes.problems):
            return None
        return Calendar(tuple(known))

    def _check_zone(self, name: str, pointer: str) -> None:
        if zones.zone(name) is None:
            hint = close(name, zones.names())
            self._notes.error(pointer, f"`{name}` is no time zone, expected an IANA name", hint)

    def _window(self, one: WindowSection, zone: str, pointer: str) -> Window | None:
        if one.zone is not None:
            self._check_zone(one.zone, f"{pointer}/zone")
        read = self._single if one.weekly is None else self._weekly
        bounds = read(one, pointer)
        if bounds is None:
            return None
        line = self._places.get(pointer, (0, 0))[0]
        window = Window(
            place=f"{self._file}:{line}",
            zone=one.zone or zone,
            since=bounds[0],
            until=bounds[1],
            days=self._days(one, pointer),
            why=one.why,
        )
        over_at = window.over_at() if zones.zone(window.zone) is not None else None
        if over_at is not None and over_at <= self._now:
            self._notes.warn(pointer, f"the window is over since {one.until}", "take it out")
        return window

    def _days(self, one: WindowSection, pointer: str) -> tuple[int, ...]:
        if one.weekly is None:
            return ()
        found = [one.weekly] if isinstance(one.weekly, str) else one.weekly
        if not found:
            self._notes.error(f"{pointer}/weekly", "`weekly` is empty, expected days such as `sunday`")
        for index, day in enumerate(found):
            if day not in DAYS:
                place = f"{pointer}/weekly" if isinstance(one.weekly, str) else f"{pointer}/weekly/{index}"
                self._notes.error(place, f"`{day}` is no day of the week", close(day, list(DAYS)))
        return tuple(sorted({DAYS.index(day) for day in found if day in DAYS}))

    def _weekly(self, one: WindowSection, pointer: str) -> tuple[time, time] | None:
        hint = 'quote it, such as `"02:00"`'
        for key, text in (("from", one.since), ("to", one.until)):
            if not _CLOCK.fullmatch(text) or (key == "from" and text == "24:00"):
                self._notes.error(
                    f"{pointer}/{key}",
                    f"`{key}` of a weekly window is `{text}`, expected a time of day",
                    hint,
                )
                return None
        since, until = (time.fromisoformat(text.replace("24:00", "00:00")) for text in (one.since, one.until))
        if one.since == one.until:
            said = f"the window begins and ends at {one.since}"
            self._notes.error(pointer, said, 'write `from: "00:00", to: "24:00"` for a whole day')
        return since, until

    def _single(self, one: WindowSection, pointer: str) -> tuple[datetime, datetime] | None:
        bounds = []
        for key, text in (("from", one.since), ("to", one.until)):
            try:
                found = _MOMENT.fullmatch(text)
                bounds.append(datetime.fromisoformat(f"{found[1]}T{found[2]}" if found else "no"))
            except ValueError:
                said = f"`{key}` is `{text}`, expected a day and a time such as `2026-12-24 18:00`"
                hint = "a window that comes again says `weekly`" if _CLOCK.fullmatch(text) else None
                self._notes.error(f"{pointer}/{key}", said, hint)
        if len(bounds) < 2:
            return None
        since, until = bounds
        if until <= since:
            said = f"the window ends at {one.until}, before it begins at {one.since}"
            self._notes.error(f"{pointer}/to", said)
            return None
        return since, until
