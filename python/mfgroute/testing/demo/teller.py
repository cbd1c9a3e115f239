"""Tells the story: plays its steps, watches what the systems do, and waits until all is quiet."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from mfgroute.testing.demo.balance import Balance, balance
from mfgroute.testing.demo.scene import Scene
from mfgroute.testing.demo.screen import Line, Mood, Numbers, Screen
from mfgroute.testing.demo.wan import Wan
from mfgroute.testing.story import (
    SYSTEMS,
    Drop,
    Misbehave,
    Outcome,
    Post,
    Reopen,
    Signals,
    Step,
    Story,
    describe,
)

__all__ = ["Refused", "Snapshot", "Teller"]

_LOOK_S = 0.2
#: How often in a row the core must have counted nothing new to be at rest.
_RESTS = 3
#: How long nothing may change before the wait for quiet is given up.
_STILL_S = 10.0
#: As above, when a line has to be found again first.
_STILL_AFTER_OUTAGE_S = 45.0
#: With an outage: before which steps of the story something happens. From the cut on to its end only the
#: edge is posted to.
_CUT, _KILL, _START, _MEND = 9, 14, 26, 31
#: In the message whose quantity is converted by a factor of its material.
_CARTONS = b'"uom":"KAR"'
_ENDINGS = {"application/json": "json", "application/xml": "xml"}


class Refused(msgspec.Struct, frozen=True):
    """A message that was rejected, and why.

    Attributes:
        number: under which the node keeps it, if it does.
        sample: name of the file with the message.
    """

    source: str
    code: str
    pointer: str
    found: str
    expected: str
    number: int | None = None
    sample: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Counters of both nodes and ledgers of all systems, taken one after the other."""

    edge: dict[str, Any]
    core: dict[str, Any]
    ledgers: dict[str, dict[str, Any]]


class Teller:
    """Plays a story on a scene.

    Args:
        pace_s: pause after each step.

    Attributes:
        refused: what was rejected, in the order of the story.
        samples: source -> name of a file with a message of it that was taken; the most telling one.
        surprises: steps that were not answered as the story says.
    """

    def __init__(self, scene: Scene, story: Story, screen: Screen, *, pace_s: float) -> None:
        self.refused: list[Refused] = []
        self.samples: dict[str, str] = {}
        self.surprises: list[str] = []
        self._scene = scene
        self._story = story
        self._screen = screen
        self._pace_s = pace_s
        self._shown = dict.fromkeys(SYSTEMS, 0)

    async def tell(self) -> tuple[Balance, Snapshot]:
        """Play all steps, wait until all is quiet, and add up."""
        watching = asyncio.create_task(self._watch())
        try:
            for number, step in enumerate(self._story.steps, 1):
                if self._scene.wan is not None:
                    await self._outage(number, self._scene.wan)
                await self._play(number, step)
                await asyncio.sleep(self._pace_s)
            await self._settle()
            if watching.done():
                watching.result()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        last = await self._look()
        self._show(last)
        await self._add_kept()
        added = balance(self._story, last.edge, last.core, last.ledgers)
        differences = [*self.surprises, *added.differences]
        return msgspec.structs.replace(added, differences=differences), last

    async def _look(self) -> Snapshot:
        edge, core, ledgers = await asyncio.gather(
            self._scene.stats("edge"), self._scene.stats("core"), self._scene.ledgers()
        )
        return Snapshot(edge, core, ledgers)

    async def _outage(self, number: int, wan: Wan) -> None:
        """What happens to the line and the core before a step."""
        if number == _CUT:
            wan.cut()
            self._screen.line(Line("trouble", "the line between edge and core is cut", "the edge goes on"))
        elif number == _KILL:
            await self._until_core_rests()
            await self._scene.kill_core()
            self._screen.line(Line("trouble", "the core is killed", "kill -9"))
        elif number == _START:
            await self._scene.start_core()
            self._screen.line(Line("good", "the core is back", "from its log"))
        elif number == _MEND:
            waits = (await self._scene.stats("edge"))["sinks"]["core"]
            wan.mend()
            count = waits["queued"] + waits["in_flight"]
            self._screen.line(Line("good", "the line is back", f"{count} events waited"))

    async def _until_core_rests(self) -> None:
        """Wait until the core does nothing, since its counters of now stand for it once it is killed.

        What it had received when the line was cut may not have been counted yet when it is asked first.
        """
        before: Any = None
        same = 0
        while same < _RESTS:
            now = await self._scene.stats("core")
            counted = (now["sources"], now["sinks"])
            waits = any(map(_waiting, now["sinks"].values()))
            same = same + 1 if counted == before and not waits else 0
            before = counted
            await asyncio.sleep(_LOOK_S)

    async def _play(self, number: int, step: Step) -> None:
        match step:
            case Post():
                await self._post(number, step)
            case Drop():
                await asyncio.to_thread(self._drop, step)
                self._screen.line(Line("good", step.says, "a file"))
            case Signals():
                for signal in step.changes:
                    await self._scene.change(signal)
                    await asyncio.sleep(min(self._pace_s / 8, 0.15))
                self._screen.line(Line("good", step.says, "OPC UA"))
            case Misbehave():
                await self._scene.misbehave(step)
                often = "once" if step.times == 1 else f"{step.times} times"
                self._screen.line(Line("trouble", f"from now on {step.says}", often))
            case Reopen():
                await self._reopen(step)

    async def _reopen(self, step: Reopen) -> None:
        retried = await self._scene.reopen(step)
        if retried is None:
            self.surprises.append(f"{step.system} refused nothing of {step.key} as {step.code}")
        else:
            self._screen.line(Line("good", step.says, f"{retried} event{'s' * (retried != 1)}"))

    async def _post(self, number: int, step: Post) -> None:
        sample = f"{number:02}-{step.source}.{_ENDINGS[step.content_type]}"
        await asyncio.to_thread((self._scene.folder.samples / sample).write_bytes, step.body)
        status, answer = await self._scene.post(step)
        errors = answer.get("errors", [])
        codes = tuple(error["code"] for error in errors)
        self.refused += [_refused(step.source, error, sample) for error in errors]
        counted = {name: int(answer.get(name, 0)) for name in ("accepted", "duplicates", "filtered")}
        found = Outcome(**counted, rejects=codes)
        if found.accepted and (step.source not in self.samples or _CARTONS in step.body):
            self.samples[step.source] = sample
        if found != step.outcome:
            self.surprises.append(
                f"{step.says}: answered {status} {_words(found)}, expected {_words(step.outcome)}"
            )
        mood: Mood = "bad" if codes else "good" if found.accepted else "same"
        self._screen.line(Line(mood, step.says, _words(found)))

    def _drop(self, step: Drop) -> None:
        (self._scene.folder.samples / step.name).write_bytes(step.body)
        self.samples.setdefault(step.source, step.name)
        inbox = self._scene.folder.edge / "inbox"
        part = inbox / f"{step.name}.part"
        part.write_bytes(step.body)
        part.rename(inbox / step.name)

    async def _watch(self) -> None:
        while True:
            self._show(await self._look())
            await asyncio.sleep(_LOOK_S)

    async def _settle(self) -> None:
        """Wait until all sources were read and all sinks are empty, or nothing has changed for long."""
        self._screen.line(Line("note", "all is said; waiting until every system has done its part"))
        loop = asyncio.get_running_loop()
        before, since, quiet = None, loop.time(), 0
        still_s = _STILL_S if self._scene.wan is None else _STILL_AFTER_OUTAGE_S
        while quiet < 2 and loop.time() - since < still_s:
            now = await self._look()
            if now != before:
                before, since = now, loop.time()
            quiet = quiet + 1 if self._quiet(now) else 0
            await asyncio.sleep(_LOOK_S)

    def _quiet(self, now: Snapshot) -> bool:
        first = {**now.edge["sources"], **now.core["sources"]}
        arrived = all(
            first[name]["received"] >= outcome.received for name, outcome in self._story.sources.items()
        )
        crossed = now.core["sources"]["edges"]["accepted"] >= self._story.link
        sinks = (*now.edge["sinks"].values(), *now.core["sinks"].values())
        return arrived and crossed and not any(_waiting(sink) for sink in sinks)

    def _show(self, now: Snapshot) -> None:
        for system in SYSTEMS:
            effects = now.ledgers[system]["effects"]
            for effect in effects[self._shown[system] :]:
                self._screen.line(Line("effect", f"{system}: {_said(effect)}", effect["document"]))
            self._shown[system] = len(effects)
        self._screen.numbers(self._numbers(now))

    def _numbers(self, now: Snapshot) -> Numbers:
        added = balance(self._story, now.edge, now.core, now.ledgers)
        totals = added.totals
        effects = {system: now.ledgers[system]["effects"] for system in SYSTEMS}
        return Numbers(
            items=totals,
            link=added.link["accepted"],
            link_all=self._story.link,
            waiting=totals["queued"] + totals["in_flight"],
            in_doubt=totals["in_doubt"],
            parked=totals["parked"],
            unaccounted=now.edge["unaccounted"] + now.core["unaccounted"],
            done={system: len(done) for system, done in effects.items()},
            wanted={system: sum(kinds.values()) for system, kinds in self._story.effects.items()},
            last={system: _said(done[-1]) for system, done in effects.items() if done},
        )

    async def _add_kept(self) -> None:
        """Rejects without anybody to answer: they are kept by the edge, under a number."""
        known = {(one.source, one.code, one.pointer, one.found) for one in self.refused}
        for kept in await self._scene.rejects("edge"):
            for error in kept["rejects"]:
                refused = _refused(
                    kept["source"], error, self.samples.get(kept["source"], ""), kept["number"]
                )
                if (refused.source, refused.code, refused.pointer, refused.found) not in known:
                    self.refused.append(refused)


def _refused(source: str, error: dict[str, Any], sample: str, number: int | None = None) -> Refused:
    return Refused(
        source=source,
        code=error["code"],
        pointer=error.get("pointer", ""),
        found=error.get("found", ""),
        expected=error.get("expected", ""),
        number=number,
        sample=sample,
    )


def _said(effect: dict[str, Any]) -> str:
    return f"{effect['what'].replace('_', ' ')} {effect['key']} ({describe(effect)})"


def _waiting(sink: dict[str, Any]) -> bool:
    return bool(sink["queued"] + sink["in_flight"] + sink["in_doubt"])


def _words(outcome: Outcome) -> str:
    parts = [
        f"{outcome.accepted} event{'s' if outcome.accepted > 1 else ''}" if outcome.accepted else "",
        f"{outcome.duplicates} known already" if outcome.duplicates else "",
        f"{outcome.filtered} ignored" if outcome.filtered else "",
        ", ".join(outcome.rejects),
    ]
    return ", ".join(part for part in parts if part) or "nothing"
