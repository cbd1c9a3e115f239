"""``mfgroute replay``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, IO, USAGE, Failure
from mfgroute.cli.moments import moment

Answer = dict[str, Any]


@click.command("replay", cls=Command)
@click.option("--sink", help="Events that this sink was given, or that the routes of today give it.")
@click.option("--from", "begin", help="From here on: a time, how long ago (`24h`), or `STREAM@OFFSET`.")
@click.option("--until", "end", help="Before this: as --from.")
@click.option("--key", help="Only this order, lot, …: `order/DE04/4711`.")
@click.option("--filter", "condition", help="Only events for which this holds, in CEL as `where` of routes.")
@click.option("--to", help="Send them to this sink.")
@click.option("--effects", is_flag=True, help="Send them to the sink itself, with their original ids.")
@click.option("--file", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write them here.")
@click.option("--rate", help="At most so many, such as `200/s`.")
@click.option("--reason", help="Why; it is recorded.")
@click.option("--dry-run", is_flag=True, help="Say how many, where to, and what the target has of them.")
@click.option("--status", is_flag=True, help="Show replays under way.")
@click.option("--stop", metavar="SINK", help="Stop the replay to SINK; what is at the sink goes on.")
def command(*, status: bool, stop: str | None, **options: Any) -> int:
    """Send events of the past once more, or write them to a file.

    They are those that are still in their streams (`keep`), as they were admitted: with their ids, in order
    per order or lot, and nothing is mapped again. Without --effects or --to nothing is sent: they are written
    to a file. While an order is replayed, its new events wait at that sink.

    Examples:
      mfgroute replay --sink sap --from 24h --dry-run
      mfgroute replay --sink sap --from 2026-11-21T06:00:00Z --effects --reason "ERP restored from backup"
      mfgroute replay --sink sap --from business@0 --to archive --rate 200/s --reason "new archive"
      mfgroute replay --status
    """
    if status:
        return _status()
    if stop is not None:
        return _stop(stop, options["reason"])
    return _Replay(**options).run()


class _Replay:
    """What was asked for, and what is done about it."""

    def __init__(self, **options: Any) -> None:
        if options["sink"] is None:
            raise Failure("`--sink` is missing: whose events?", code=USAGE)
        self.path: Path | None = options["path"]
        self.to: str | None = options["to"]
        self.effects: bool = options["effects"]
        chosen = [
            name
            for name, given in (("--to", self.to), ("--effects", self.effects), ("--file", self.path))
            if given
        ]
        if len(chosen) > 1:
            raise Failure(f"{' and '.join(chosen)} exclude each other", code=USAGE)
        if self.to == options["sink"]:
            hint = "`--effects` sends events to their own sink, if that is what you want"
            raise Failure(f"`--to {self.to}` is the sink itself", code=USAGE, hint=hint)
        self.dry: bool = options["dry_run"]
        self.reason: str | None = options["reason"]
        self.asked = _asked(options)

    @property
    def sends(self) -> bool:
        """Whether a sink gets the events, and not a file."""
        return self.effects or self.to is not None

    def run(self) -> int:
        """Look, send or write."""
        if self.dry:
            return self._look()
        if not self.sends:
            return self._write()
        if not self.reason:
            raise Failure("a replay to a sink needs `--reason`", code=USAGE)
        about = {name: value for name, value in self.asked.items() if name not in ("to", "rate") and value}
        answer = _ask("start", **self.asked, effects=self.effects, why=self.reason, about=json.dumps(about))
        if session().json:
            show.document(answer)
            return 0
        self._tell(answer, ("goes to {}", "go to {}"))
        if answer["sent"]:
            show.line("see `mfgroute replay --status`")
        return 0

    def _look(self) -> int:
        answer = _ask("preview", **self.asked)
        if not self.sends:
            answer["file"] = str(self.path or _default(self.asked["sink"], answer))
        if session().json:
            show.document(answer)
            return 0
        goes = "would be sent to {}" if self.sends else "would be written to {}"
        self._tell(answer, (goes, goes))
        return 0

    def _tell(self, answer: Answer, goes: tuple[str, str]) -> None:
        number = answer["sent"] if self.sends else answer["events"]
        place = goes[number != 1].format(answer.get("file", answer["to"]))
        show.line(f"{number} event{'s' * (number != 1)} of {answer['sink']} {place}")
        if not answer["events"]:
            return
        first, last = answer["first"], answer["last"]
        new = answer["events"] - answer["given"]
        rows = [
            ("  first", f"{first['stream']}@{first['offset']}, admitted {first['admitted']}"),
            ("  last", f"{last['stream']}@{last['offset']}, admitted {last['admitted']}"),
            ("  seen", f"{answer['seen']} of them {answer['to']} has delivered before"),
        ]
        more = (
            (new, f"{new} the routes of today give to {answer['sink']}; those of then did not"),
            (answer["queued"], f"{answer['queued']} wait for {answer['to']} anyway, and are left alone"),
            (answer["parked"], f"{answer['parked']} are parked there, and are left alone"),
            (answer["decided"], f"{answer['decided']} were edited or booked by hand: left out"),
            (answer["other_version"], f"{answer['other_version']} would need another version: left out"),
            (answer["unreadable"], f"{answer['unreadable']} the filter or a route cannot judge: left out"),
        )  # fmt: skip
        show.table([*rows, *(("  also", text) for count, text in more if count)])
        if self.sends and answer["sent"] > answer["most"]:
            show.line(
                f"hint: one replay has at most {answer['most']} events; take a shorter range", error=True
            )

    def _write(self) -> int:
        preview = _ask("preview", **self.asked)
        path = self.path or _default(self.asked["sink"], preview)
        written, last = 0, time.monotonic()
        with _new(path) as out:
            for event in _events({**self.asked, "ends": preview["ends"]}):
                out.write(event + "\n")
                written += 1
                if time.monotonic() - last > 5:
                    last = time.monotonic()
                    show.line(f"{written} events so far", error=True)
        if session().json:
            show.document({"sink": self.asked["sink"], "file": str(path), "events": written})
        else:
            show.line(f"{written} event{'s' * (written != 1)} of {self.asked['sink']} written to {path}")
        return 0


def _ask(verb: str, **request: Any) -> Any:
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    return ask(
        "replay",
        request={"verb": verb, **{name: value for name, value in request.items() if value is not None}},
    )


def _asked(options: dict[str, Any]) -> Answer:
    """The request that the options mean.

    Raises:
        Failure: one of them cannot be read.
    """
    from mfgroute.units import Rate  # noqa: PLC0415 - not for --help

    asked: Answer = {
        "sink": options["sink"],
        "to": options["to"],
        "key": options["key"],
        "filter": options["condition"],
    }
    if options["rate"] is not None:
        try:
            asked["rate"] = max(round(Rate.parse(options["rate"]) * 1000), 1)
        except ValueError as error:
            raise Failure(f"`--rate {options['rate']}`: {error}", code=USAGE) from error
    offsets: dict[str, list[int | None]] = {}
    for index, (name, value) in enumerate((("from", options["begin"]), ("until", options["end"]))):
        if value is None:
            continue
        stream, at, offset = value.rpartition("@")
        if at:
            if not offset.isdecimal():
                raise Failure(f"`--{name} {value}`: {offset!r} is no offset", code=USAGE)
            offsets.setdefault(stream, [None, None])[index] = int(offset)
        else:
            asked[f"{name}_ms"] = moment(name, value, ", or an offset such as business@1200")
    if len(offsets) > 1:
        raise Failure("`--from` and `--until` name two streams, expected one", code=USAGE)
    return {**asked, "offsets": offsets} if offsets else asked


def _default(sink: str, preview: Answer) -> Path:
    """The file that events go to when none is named."""
    if not preview["events"]:
        return Path(f"replay-{sink}.jsonl")
    return Path(f"replay-{sink}-{preview['first']['ordinal']}-{preview['last']['ordinal']}.jsonl")


@contextlib.contextmanager
def _new(path: Path) -> Iterator[Any]:
    """A file that did not exist, whole and on the disk when the context ends."""
    try:
        out = path.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise Failure(f"`{path}` exists already", code=IO, hint="name another with `--file`") from error
    except OSError as error:
        raise Failure(f"`{path}` cannot be written: {error.strerror}", code=IO) from error
    try:
        with out:
            yield out
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise Failure(f"`{path}` is not whole: {error.strerror}", code=IO) from error


def _events(asked: Answer) -> Iterator[str]:
    """All CloudEvents that are asked for, in order of admission."""
    after: Answer | None = None
    while True:
        page = _ask("read", **asked, after=after)
        yield from page["events"]
        after = page["after"]
        if after is None:
            return


def _status() -> int:
    found = _ask("list")
    if session().json:
        show.document(found)
        return 0
    if not found:
        show.line("no replay is under way")
        return 0
    header = ("to", "age", "of", "delivered", "parked", "gone", "left")
    counts = header[3:]
    rows = [
        (one["to"], show.age(one["since"]), one["about"].get("sink", ""), *(one[name] for name in counts))
        for one in found
    ]
    show.table(rows, header=header)
    return 0


def _stop(sink: str, reason: str | None) -> int:
    if not reason:
        raise Failure("`--stop` needs `--reason`", code=USAGE)
    running = [one["to"] for one in _ask("list")]
    if sink not in running:
        raise Failure(
            f"no replay to `{sink}` is under way", code=FAILED, hint="see `mfgroute replay --status`"
        )
    seen = _ask("stop", to=sink, why=reason)
    if session().json:
        show.document(seen)
        return 0
    show.line(f"the replay to {sink} is stopped: {seen['delivered']} delivered, {seen['left']} were left")
    return 0
