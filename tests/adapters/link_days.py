"""A day of outage: edges and a core over their links, what happens to them, and what must hold all the time."""

from dataclasses import replace

import msgspec

from mfgroute.adapters.zeromq.book import LEAP
from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import ERROR_FORK, Ack
from mfgroute.adapters.zeromq.lane import EdgeLane
from mfgroute.adapters.zeromq.marks import load
from tests.adapters.link_cores import CREDIT_BLOCKS, CREDIT_BYTES, Core
from tests.adapters.link_edges import BUSINESS, TELEMETRY, Edge, Folder
from tests.adapters.link_wires import Clock, History, Net, Weather, dice_of

WARM_S, CATCH_UP_S, DRAIN_S = 120.0, 120.0, 300.0
#: Bytes of the mark that a lane may take; what may come again is bounded by the credit and what is noted late.
MARK_MAX = 8_192


class Broken(AssertionError):  # noqa: N818 - says what happened
    """Something that must hold does not."""


class Oracle:
    """What must hold at every moment."""

    def __init__(self, day):
        self.day, self.seen, self._last, self._marks = day, set(), {}, {}
        self.keys = {}

    def accepted(self, name):
        """Once, and in the order of its key."""
        if name in self.seen:
            raise Broken(f"{name} was accepted twice")
        self.seen.add(name)
        key, number = self.keys[name]
        if self._last.get(key, -1) > number:
            raise Broken(f"{name} came after event {self._last[key]} of its key")
        self._last[key] = number

    def done(self, edge, events):
        """What an edge may forget is durable in the core."""
        for event in events:
            if event.id not in self.seen:
                raise Broken(f"{edge.name} was told that {event.id} is in the core, which does not have it")

    def heard(self, frame):
        """No level is named that a stream does not have."""
        if isinstance(frame, Ack) and frame.stream == TELEMETRY and frame.level != "memory":
            raise Broken(f"events in memory were said to be {frame.level}")

    def sent(self, lane):
        """No more is on its way than was granted."""
        if len(lane._unacked) > 1 and lane.flying > CREDIT_BYTES:
            raise Broken(f"{len(lane._unacked)} blocks and {lane.flying} bytes are on their way")

    def waits(self, core):
        """What waits in the core is bounded by the credit."""
        if len(core.waiting) > CREDIT_BLOCKS * len(core.link.lanes):
            raise Broken(f"{len(core.waiting)} blocks wait in the core")

    def marked(self, core):
        """Marks never go back, and do not grow."""
        if len(core.position) > MARK_MAX * max(1, len(core.link.lanes)):
            raise Broken(f"the mark has {len(core.position)} bytes")
        for edge, stream, epoch, _, number, _, told, _, forked, *_ in msgspec.msgpack.decode(core.position)[
            1
        ]:
            name, at = (edge, stream, epoch), (number, told, forked)
            before = self._marks.get(name, at)
            if stream == BUSINESS and any(now < then for now, then in zip(at, before, strict=True)):
                raise Broken(f"the mark of {name} went from {before} back to {at}")
            self._marks[name] = at

    def booked(self, edge, points):
        """An edge's book never goes back either."""
        for stream, point in points.items():
            before = edge.folder.points.get(stream)
            if before is not None and point.number <= before.number:
                raise Broken(f"the book of {edge.name} went from {before.number} back to {point.number}")


class Day:
    """One history: some warm minutes, 24 hours of outage with glimpses, a bad catch-up, and then calm.

    Args:
        seed: of everything that happens.
        lane: the edge's state machine, or a mutant of it.
        link: the core's.
        hours: how long the outage lasts.
        events: how many come in during the outage, to each edge.
        mends: what of the weather is not to be, as in `dataclasses.replace`.
    """

    def __init__(self, seed, *, lane=EdgeLane, link=CoreLink, hours=24.0, events=60, **mends):
        self.seed, self.lane, self.link, self.leap = seed, lane, link, LEAP
        self.clock, self.dice = Clock(), dice_of(seed)
        self.history, self.oracle = History(self.clock), Oracle(self)
        self.weather = replace(Weather.of(self.dice), **mends)
        self.gap, self.block_events = self.weather.gap, self.dice.choice([1, 4, 16])
        self.outage_s, self.events = hours * 3600.0, events
        self.edges = []
        # Without that fault nothing may need the engine's memory of ids.
        self.core = Core(self, window=10_000 if self.gap else 0)
        for number in range(self.dice.choice([1, 1, 2])):
            self.edges.append(Edge(self, f"edge-{number}", self.net(), Folder(self.dice.getrandbits(64) | 1)))
        self.mended_s = WARM_S + self.outage_s
        self.calm_s = self.mended_s + CATCH_UP_S
        for edge in list(self.edges):
            self.outage(edge)
            self.feed(edge)
        self.deaths()
        self.clock.after(self.calm_s, self.calm)

    def net(self):
        """A link of its own for an edge."""
        return Net(self.clock, self.dice, self.weather)

    def feed(self, edge):
        """Events come in all the time, most of them at the warm ends."""
        dice, after = self.dice, self.clock.after
        ends = [
            (0.0, WARM_S, 25),
            (WARM_S, self.mended_s, self.events),
            (self.mended_s, self.calm_s + 20, 25),
        ]
        times = sorted(dice.uniform(begin, end) for begin, end, count in ends for _ in range(count))
        for at in times:
            after(at - self.clock.now, edge.emit, TELEMETRY if dice.random() < 0.2 else BUSINESS)
        for at in [time for time in times if dice.random() < 0.03]:
            for _ in range(10):
                after(at, edge.emit, BUSINESS)

    def outage(self, edge):
        """When the link of an edge is cut, what is seen of it meanwhile, and how it comes back."""
        dice, weather = self.dice, self.weather
        cuts = [(WARM_S, None)]
        for _ in range(weather.seen):
            at = dice.uniform(WARM_S, self.mended_s)
            cuts.append((at, at + dice.random() ** 2 * 40))
        for _ in range(dice.choice([0, 3])):
            at = dice.uniform(self.mended_s, self.calm_s)
            cuts.append((at, None))
            self.clock.after(at + dice.random() * 20, lambda: edge.net.set(there=True, back=True))
        for seen, cut in cuts:
            if cut is not None:
                self.clock.after(seen, lambda: edge.net.set(there=True, back=True))
            one = dice.random() < weather.one_way
            way = dice.random() < 0.5
            state = {"there": one and way, "back": one and not way}
            self.clock.after(seen if cut is None else cut, lambda state=state: edge.net.set(**state))
        self.clock.after(self.mended_s, lambda: edge.net.set(there=True, back=True))
        self.lively = [seen for seen, _ in cuts] + [self.mended_s]

    def deaths(self):
        """When nodes die: at any time, and more often where something is going on."""
        dice, after = self.dice, self.clock.after

        def at():
            if dice.random() < 0.2:
                return dice.uniform(0, self.calm_s)
            return min(self.calm_s - 1, max(0.0, dice.choice([*self.lively, 0.0]) + dice.uniform(-2, 60)))

        for _ in range(self.weather.edge_deaths):
            after(at(), lambda: dice.choice(self.edges).die(dice.random() ** 2 * 60))
        for _ in range(self.weather.core_deaths):
            after(at(), lambda: self.core.die(dice.random() ** 2 * 60))
        for _ in range(self.weather.stalls):
            after(at(), lambda: self.core.stall(dice.random() * 90))

    def calm(self):
        """The last mend: from now on nothing goes wrong."""
        self.gap = 0.0
        for edge in self.edges:
            edge.net.weather, edge.log_s = None, 0.005
            edge.net.set(there=True, back=True)

    def drained(self):
        """Whether everything that came in is done."""
        if self.clock.now < self.calm_s + 20:
            return False
        return all(
            edge.why is not None
            or (
                edge.life > 0
                and len(edge.folder.done) == len(edge.folder.events)
                and not edge.queues[TELEMETRY]
            )
            for edge in self.edges
        )

    def run(self):
        """Live through it.

        Raises:
            Broken: something that must hold does not.
        """
        if not self.clock.run(self.calm_s + DRAIN_S, self.drained):
            left = {edge.name: len(edge.folder.events) - len(edge.folder.done) for edge in self.edges}
            raise Broken(f"{DRAIN_S:.0f} s after the last mend these are not done: {left}")
        return self

    def rest(self):
        """Nobody stops an honest edge; what was granted is given back; nothing is remembered for nothing."""
        self.run()
        for edge in self.edges:
            edge.emit(BUSINESS)
            edge.emit(TELEMETRY)
        # A core may have begun to stand still just before the last mend, for a minute and a half.
        self.clock.run(self.clock.now + 100, self.drained)
        self.clock.run(self.clock.now + 20)
        for edge in self.edges:
            if edge.why is not None:
                raise Broken(f"{edge.name} was stopped: {edge.why}")
            if len(edge.folder.done) != len(edge.folder.events):
                raise Broken(f"{edge.name} began anew")
            wanted = {event.id for event in edge.folder.events}
            if not wanted <= set(self.core.accepted):
                raise Broken(f"of {edge.name} the core lacks {sorted(wanted - set(self.core.accepted))}")
        self._given_back()
        return self

    def _given_back(self):
        for edge in self.edges:
            for lane in edge.sink.lanes.values():
                credit = (lane.flying, lane._limit - lane.acked.number, len(lane._places), len(lane._points))
                if credit != (0, CREDIT_BLOCKS, 0, 0):
                    raise Broken(f"{edge.name} {lane.stream}: credit {credit}, settled {lane.settled}")
        for lane in self.core.link.lanes:
            if lane.pending or lane.done:
                raise Broken(f"{lane.edge} {lane.stream} waits for {lane.pending}")
        if self.core.again and not self.core.gaps:
            raise Broken(f"{self.core.again} events were only recognised by their ids")


class Copied(Day):
    """A folder is copied while its node runs or is down, and both go on: two histories under one name."""

    def __init__(self, seed, **more):
        super().__init__(seed, **more)
        self.clock.after(self.dice.uniform(1.0, self.calm_s), self._copy, self.edges[0])

    def _copy(self, edge):
        other = Edge(self, edge.name, self.net(), edge.folder.copy(), sign="x")
        self.edges.append(other)
        for delay_s in (0.0, self.mended_s, self.calm_s + 30 - self.clock.now):
            # Both have something to say that the other one has not.
            self.clock.after(max(0.0, delay_s), edge.emit, BUSINESS)
            self.clock.after(max(0.0, delay_s), other.emit, BUSINESS)

    def drained(self):
        """Whether each has nothing left, or was stopped."""
        return self.clock.now > self.calm_s + 60 and super().drained()

    def rest(self):
        """At least one of the two is stopped, and by nothing but that."""
        self.run()
        codes = {edge.why.code for edge in self.edges if edge.why is not None}
        if codes != {ERROR_FORK}:
            raise Broken(f"two histories were taken for one: {codes or 'nobody was stopped'}")
        return self


class PutBack(Day):
    """A node dies, and its folder is put back to what it was some time before."""

    def __init__(self, seed, **more):
        # What the core has without a mark it knows by its id alone, and nobody would notice a fork in that.
        super().__init__(seed, gap=0.0, **more)
        first, then = sorted(self.dice.uniform(1.0, self.calm_s) for _ in range(2))
        self.clock.after(first, self._keep, self.edges[0])
        self.clock.after(then, self._put_back, self.edges[0])
        self.lost = set()

    def _keep(self, edge):
        self.old = edge.folder.copy()

    def _put_back(self, edge):
        edge.die(0.5)
        self.lost = {event.id for event in edge.folder.events[len(self.old.events) :]}
        edge.folder, edge.sign = self.old, "x"
        self.clock.after(max(1.0, self.calm_s + 1 - self.clock.now), edge.emit, BUSINESS)

    def drained(self):
        """Whether each has nothing left, or was stopped."""
        return self.clock.now > self.calm_s + 60 and super().drained()

    def rest(self):
        """What the core has and the folder lost is not overwritten by what came after."""
        self.run()
        edge = self.edges[0]
        if edge.why is None and self.lost & self.oracle.seen:
            raise Broken(
                f"{len(self.lost & self.oracle.seen)} events were lost by the edge, and nobody noticed"
            )
        if edge.why is not None and edge.why.code != ERROR_FORK:
            raise Broken(f"stopped for another reason: {edge.why}")
        return self


class Renewed(Day):
    """A person gives a folder a new epoch. Later somebody starts the old folder."""

    def __init__(self, seed, **more):
        super().__init__(seed, **more)
        # What the old epoch had under way comes again under the new one; only the memory of ids knows it.
        self.core = Core(self, window=10_000)
        self.other = None
        at_s = self.dice.choice([self.dice.uniform(1.0, self.calm_s), 0.1])
        self.clock.after(at_s, self._renew, self.edges[0])

    def _renew(self, edge):
        known = [] if self.core.position is None else load(self.core.position)
        if edge.folder.epoch not in {lane.epoch for lane in known}:
            # Nothing was ever said under it: no core can know that it was given up.
            self.clock.after(0.1 if self.clock.now < WARM_S else 60.0, self._renew, edge)
            return
        edge.die(0.5)
        old = edge.folder.copy()
        edge.folder.epoch, edge.folder.lives, edge.folder.points = self.dice.getrandbits(64) | 1, 0, {}
        self.clock.after(max(30.0, self.calm_s + 30 - self.clock.now), self._return, edge, old)

    def _return(self, edge, folder):
        if edge.folder.epoch not in {lane.epoch for lane in load(self.core.position)}:
            # The new one has not been heard of: no core can know that the old one was given up.
            self.clock.after(10.0, self._return, edge, folder)
            return
        self.other = Edge(self, edge.name, self.net(), folder, sign="x")
        self.other.net.weather = None
        self.edges.append(self.other)
        self.other.emit(BUSINESS)

    def drained(self):
        """Whether the old folder was tried, and each has nothing left or was stopped."""
        return self.other is not None and self.clock.now > self.calm_s + 60 and super().drained()

    def rest(self):
        """The new epoch goes on, the old one is refused."""
        self.run()
        whys = [None if edge.why is None else edge.why.code for edge in self.edges]
        if whys != [None] * (len(self.edges) - 1) + [ERROR_FORK]:
            raise Broken(f"an epoch that was given up came back: {whys}")
        if any("-x-" in name for name in self.oracle.seen):
            raise Broken("events of an epoch that was given up were accepted")
        return self


SCENES = {"day": Day, "copied": Copied, "put-back": PutBack, "renewed": Renewed}
