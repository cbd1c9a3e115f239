"""The two state machines of the edge link over bad networks, with ends that die; every event has to arrive once.

`MFGROUTE_LINK_SEEDS` says how many histories are simulated; a failing one names its seed.
"""

import os
import random

import pytest

from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import Ack, BadFrame, Error, Welcome, decode
from mfgroute.adapters.zeromq.lane import EdgeLane, LaneLost, LinkError, Point

SEEDS = int(os.environ.get("MFGROUTE_LINK_SEEDS", "150"))
FAULTS = ("lose", "repeat", "reorder", "cut", "garble")
STEPS = 6_000


class Wire:
    """One way of one connection: loses, repeats, reorders, cuts and garbles frames, by a seed."""

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


class Edge:
    """An edge: its log, what of it is done, and what of that survives a crash."""

    def __init__(self, world, ids):
        self.world, self.ids = world, ids
        self.done, self.kept, self.book = set(), set(), Point()
        self.lives = 0
        self.why = None
        self.live()

    def copy(self, ids):
        """Another edge that starts from what is on the disk of this one."""
        other = Edge(self.world, ids)
        other.done, other.kept, other.book = set(self.kept), set(self.kept), self.book
        other.lives = self.lives
        other.live()
        return other

    def live(self):
        """Start anew with what survived."""
        self.lives += 1
        self.world.sessions += 1
        self.session = self.lives << 32 | self.world.sessions
        self.lane = EdgeLane("e", "s", 7, session=self.session, settled=self.book)
        self.done = set(self.kept)
        self.sent, self.blocks, self.answers, self.noted = {}, {}, 0, 0
        self.there, self.back = self.world.connect(self.session)
        self.there.put(self.lane.hello())

    def waiting(self):
        return [n for n in range(len(self.ids)) if n not in self.done and n not in self.sent]

    def step(self, now):
        if self.why is not None:
            return
        rng, waiting = self.world.rng, self.waiting()
        if waiting and self.lane.room(10) and rng.random() < 0.5:
            taken = waiting[: rng.randint(1, 4)]
            number, frame = self.lane.add(taken, [b'{"id":"%s"}' % self.ids[n].encode() for n in taken])
            self.blocks[number] = taken
            self.sent.update(dict.fromkeys(taken, number))
            self.there.put(frame)
        for frame in self.lane.tick(now, quiet_max_s=1.0, wanting=bool(waiting)):
            self.there.put(frame)
        data = self.back.take()
        if data is not None:
            self.hear(data)
        if rng.random() < 0.1:
            self.kept, self.noted = self.kept | self.done, self.answers
        if rng.random() < 0.1 and (point := self.lane.checkpoint(self.noted)) is not None:
            self.book = point
            if rng.random() < 0.9:
                self.lane.settle(point)

    def hear(self, data):
        try:
            frame = decode(data)
        except BadFrame:
            return
        if not isinstance(frame, Welcome | Ack | Error):
            return
        try:
            for answer in self.lane.receive(frame):
                self.there.put(answer)
        except LaneLost:
            self.live()
            return
        except LinkError as error:
            if error.code == 7:
                self.live()
            else:
                self.why = error
            return
        for number in [number for number in self.blocks if number <= self.lane.acked.number]:
            self.answers += 1
            self.lane.answered(self.blocks[number], self.answers)
            self.done.update(self.blocks.pop(number))


class World:
    """A core with its disk, edges, and the wires between them."""

    def __init__(self, seed, *, faults, crashes):
        self.rng = random.Random(seed)
        self.faults = {one: faults * self.rng.choice([0, 0, 1, 3]) for one in FAULTS}
        self.crashes = crashes
        self.sessions, self.wires = 0, {}
        self.admitted, self.position = [], None
        self.restart_core()

    def connect(self, session):
        self.wires[session] = Wire(self.rng, self.faults), Wire(self.rng, self.faults)
        return self.wires[session]

    def restart_core(self):
        self.core = CoreLink(credit_blocks=4, credit_bytes=1 << 20, block_max=1 << 16, position=self.position)
        self.queue, self.routes = [], {}
        for wires in self.wires.values():
            for wire in wires:
                wire.frames.clear()  # Connections end with the process.
        self.opening = self.core.unsealed()

    def step_core(self):
        there, back = self.wires[self.rng.choice(list(self.wires)[-3:])]
        data = there.take()
        if data is not None:
            replies, block = self.core.receive("e", data)
            for reply in replies:
                back.put(reply)
            if block is not None:
                self.routes["s"] = back
                self.queue.append(block)
        if (self.queue or self.opening or self.core.changed) and self.rng.random() < 0.4:
            self.admit()

    def admit(self):
        """One intake: written whole or not at all, and then acknowledged, unless the core dies in between."""
        taken = [self.queue.pop(0) for _ in range(self.rng.randint(0, len(self.queue)))]
        names = [*self.opening, *(("e", "s", block.epoch, block.number) for block in taken)]
        self.opening = []
        for block in taken:
            self.core.note(block)
        position = self.core.position()
        if self.rng.random() < self.crashes:
            self.restart_core()
            return
        self.position = position
        self.admitted += [decode_id(event) for block in taken for event in block.events]
        if self.rng.random() < self.crashes:
            self.restart_core()
            return
        for name in names:
            reply = self.core.acknowledge(*name, "sealed")
            if reply is not None and "s" in self.routes:
                self.routes["s"].put(reply)

    def calm(self):
        """From now on nothing goes wrong."""
        self.crashes = 0
        for wires in self.wires.values():
            for wire in wires:
                wire.faults = dict.fromkeys(FAULTS, 0)
        self.faults = dict.fromkeys(FAULTS, 0)


def decode_id(event):
    return event.removeprefix(b'{"id":"').removesuffix(b'"}').decode()


def run(world, edges, over):
    for step in range(2 * STEPS):
        if over():
            return
        if step == STEPS:
            world.calm()
        for edge in edges:
            edge.step(step / 10)
            if edge.why is None and world.rng.random() < world.crashes / 10:
                edge.live()
        world.step_core()


@pytest.mark.parametrize("crashes", [0.0, 0.05])
@pytest.mark.parametrize("faults", [0.0, 0.05])
def test_every_event_is_admitted_once_and_in_order_whatever_dies(faults, crashes):
    for seed in range(SEEDS):
        world = World(seed, faults=faults, crashes=crashes)
        edge = Edge(world, [f"e{n}" for n in range(40)])
        run(world, [edge], lambda edge=edge: len(edge.done) == 40)
        assert edge.why is None, (seed, edge.why)
        assert len(edge.done) == 40, seed
        assert world.admitted == edge.ids, seed


def test_of_two_copies_of_an_edge_none_loses_an_event_that_was_acknowledged():
    for seed in range(SEEDS):
        world = World(seed, faults=0.02, crashes=0.01)
        one = Edge(world, [f"e{n}" for n in range(20)])
        steps = world.rng.randint(1, 300)
        run_for(world, [one], steps)
        one.ids = [f"e{n}" for n in range(20)] + [f"one{n}" for n in range(20)]
        other = one.copy([f"e{n}" for n in range(20)] + [f"other{n}" for n in range(20)])
        both = [one, other]
        run(world, both, lambda both=both: all(edge.why or len(edge.done) == 40 for edge in both))
        assert len(set(world.admitted)) == len(world.admitted), (seed, "twice")
        for edge in both:
            assert {edge.ids[n] for n in edge.done} <= set(world.admitted), (seed, "lost")
        stopped = [edge for edge in both if edge.why is not None]
        assert stopped, (seed, "two histories were taken for one")


def run_for(world, edges, steps):
    for step in range(steps):
        for edge in edges:
            edge.step(step / 10)
        world.step_core()
