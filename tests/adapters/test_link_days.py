"""24 hours of outage in virtual time: both state machines of the link under everything that happens to links.

`MFGROUTE_LINK_DAYS` says how many histories are simulated, and `MFGROUTE_LINK_FIRST` which seed is the first. One that
fails names its scene and its seed: they go into `link_days.seeds`, with what was wrong.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mfgroute.adapters.zeromq import core as core_module
from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.lane import EdgeLane
from mfgroute.adapters.zeromq.marks import CoreLane, load, save
from tests.adapters.link_days import SCENES, Broken
from tests.adapters.link_edges import BUSINESS

HERE = Path(__file__).parent
DAYS = int(os.environ.get("MFGROUTE_LINK_DAYS", "100"))
FIRST = int(os.environ.get("MFGROUTE_LINK_FIRST", "0"))
#: In so many histories each mistake must be found.
MUTANT_DAYS = 60
KEPT = [
    tuple(line.split(maxsplit=2)[:2])
    for line in (HERE / "link_days.seeds").read_text().splitlines()
    if not line.startswith("#")
]


def live(scene, seed, **more):
    """One history; what fails says how it can be repeated."""
    try:
        return SCENES[scene](seed, **more).rest()
    except Broken as broken:
        raise Broken(f"scene {scene}, seed {seed}: {broken}") from broken


@pytest.mark.timeout(60 + DAYS)
def test_after_24_hours_of_outage_everything_has_arrived_once_and_in_order():
    for seed in range(FIRST, FIRST + DAYS):
        live("day", seed)


@pytest.mark.timeout(60 + DAYS)
@pytest.mark.parametrize(("scene", "share"), [("copied", 20), ("put-back", 5), ("renewed", 10)])
def test_of_a_folder_that_exists_twice_nothing_is_merged(scene, share):
    for seed in range(FIRST, FIRST + DAYS // share):
        live(scene, seed)


@pytest.mark.parametrize(("scene", "seed"), KEPT)
def test_histories_that_failed_once(scene, seed):
    live(scene, int(seed))


def test_a_seed_gives_the_same_history_in_every_process():
    found = {seed: live("day", seed).history.hex() for seed in (3, 4)}
    assert len(set(found.values())) == 2
    code = (
        "import tests.adapters.test_link_days as t; print(*(t.live('day', s).history.hex() for s in (3, 4)))"
    )
    paths = os.pathsep.join([str(HERE.parents[1]), *sys.path])
    for number in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": number}
        told = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=HERE, capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == list(found.values())


def test_a_history_has_an_outage_a_catch_up_and_what_it_says():
    days = [live("day", seed) for seed in range(8)]
    assert all(day.calm_s > 24 * 3600 for day in days)
    assert min(len(edge.folder.events) for day in days for edge in day.edges) > 60
    # Sinks were opened all the time, and the same events did not go once only.
    assert min(edge.folder.lives for day in days for edge in day.edges) > 500
    counts = sum((day.core.link.counts for day in days), start=days[0].core.link.counts.__class__())
    assert counts["repeated_blocks"] + counts["gaps"] > 0


class AcknowledgesAtOnce(CoreLink):
    """Does not wait for the receipt."""

    def receive(self, edge, data):
        found = super().receive(edge, data)
        block = found.block
        if block is None:
            return found
        name = (block.edge, block.stream, block.epoch, block.number)
        level = "sealed" if block.stream == BUSINESS else "memory"
        return found._replace(replies=[*found.replies, self.acknowledge(*name, level)])


class GoesOnAtTheWrongBlock(CoreLink):
    """After a restart it expects the last block that it has once more."""

    def __init__(self, **more):
        super().__init__(**more)
        for lane in self.lanes:
            if lane.expected > lane.told + 1:
                lane.expected -= 1
                lane.hashes.pop(lane.expected, None)
                lane.pending.pop(lane.expected, None)


class TakesOldEpochs(CoreLink):
    """Has forgotten which epochs were given up."""

    def _begin(self, hello, before):
        if before is not None:
            before.retired.clear()
        return super()._begin(hello, before)


class DropsTheMark(CoreLink):
    """Keeps nothing."""

    def position(self):
        self.changed = False
        return save([])


class KeepsOldMarks(CoreLink):
    """What it keeps is what it was opened with."""

    def __init__(self, **more):
        super().__init__(**more)
        self._old = more["position"]

    def position(self):
        new = super().position()
        return new if self._old is None or not load(self._old) else self._old


class SeesNoFork(CoreLink):
    """Shuts its eyes."""

    def _fork(self, lane):
        pass


class ForgetsWhatMayComeAgain(CoreLane):
    """Recognises no event of an earlier life."""

    def adopt(self, session):
        self.session = session


class OverstatesLevels(CoreLane):
    """Takes the receipt for a mark for one for events."""

    fleeting = property(lambda _: 0, lambda _, value: None)


class NotesTooEarly(EdgeLane):
    """Lets the core forget what is acknowledged, whether the log knows it or not."""

    def _is_noted(self, number, noted):
        return True


class ForgetsLateAnswers(EdgeLane):
    """Sends an event again whose acknowledgement came after its write had ended."""

    def where(self, offset):
        number = super().where(offset)
        return None if number is None or number <= self.acked.number else number


class LeaksCredit(EdgeLane):
    """Counts what is acknowledged as if it were still on its way."""

    def _on_ack(self, ack):
        before, acked = self._unacked_bytes, self.acked
        super()._on_ack(ack)
        if self.acked != acked:
            self._unacked_bytes = before


#: A scene that finds each, and where it is not the first seed, the one that does now.
MUTANTS = [
    ("day", AcknowledgesAtOnce),
    ("day", GoesOnAtTheWrongBlock),
    ("renewed", TakesOldEpochs),
    ("day", DropsTheMark),
    ("day", KeepsOldMarks),
    ("copied", SeesNoFork, 4),
    ("day", ForgetsWhatMayComeAgain),
    ("day", OverstatesLevels),
    ("day", NotesTooEarly, 40),
    ("day", ForgetsLateAnswers),
    ("day", LeaksCredit),
]


@pytest.mark.parametrize(
    ("scene", "mutant", "first"),
    [(*one, 0)[:3] for one in MUTANTS],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_each_mistake_is_found(scene, mutant, first, monkeypatch):
    more = {}
    if issubclass(mutant, EdgeLane):
        more["lane"] = mutant
    elif issubclass(mutant, CoreLink):
        more["link"] = mutant
    else:
        monkeypatch.setattr(core_module, "CoreLane", mutant)
        monkeypatch.setattr("mfgroute.adapters.zeromq.marks.CoreLane", mutant)
    with pytest.raises(Broken):
        for seed in range(first, first + MUTANT_DAYS):
            live(scene, seed, **more)
