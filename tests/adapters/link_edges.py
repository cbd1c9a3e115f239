"""The edge's side of a simulated link: a node with a log, a sink that comes and goes, and its real lanes."""

from bisect import insort
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from mfgroute.adapters.zeromq.frames import (
    ERROR_OTHER_LIFE,
    Ack,
    BadFrame,
    Error,
    Ping,
    Welcome,
    decode,
    encode,
)
from mfgroute.adapters.zeromq.lane import LaneLost, LinkError, Point
from mfgroute.runtime.backoff import Backoff

BUSINESS, TELEMETRY = "business", "telemetry"
HEARTBEAT_S, ANSWER_S, KEEP_S, KEEP_BLOCKS = 5.0, 20.0, 0.25, 16
FAULT_S, FAULTS_MAX = 60.0, 4


class Event(NamedTuple):
    """An event in the log of an edge."""

    offset: int
    stream: str
    key: int
    id: str
    json: bytes


@dataclass
class Folder:
    """What an edge has on its disk.

    Attributes:
        epoch: of the folder.
        lives: how often a sink was opened.
        points: the book.
        events: of the durable stream.
        done: the offsets of those that the log has durably noted as done.
    """

    epoch: int
    lives: int = 0
    points: dict[str, Point] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    done: set[int] = field(default_factory=set)

    def copy(self):
        """The same again, as with `cp -r`."""
        return deepcopy(self)


class Edge:
    """A node: events come in, a sink sends them, and what is done is noted in the log, a little later.

    Attributes:
        sign: of the events that it makes; a copy of an edge has another one.
        why: what stopped the link for good.
    """

    def __init__(self, day, name, net, folder, *, sign="e"):
        self.day, self.name, self.net, self.folder, self.sign = day, name, net, folder, sign
        self.clock, self.dice = day.clock, day.dice
        self.why, self.faults, self.made = None, 0, 0
        self.life, self.sink, self.alone_s = 0, None, None
        self.log_s = day.weather.log_s
        self.connect_s = self.dice.choice([30.0] + 9 * [120.0])
        self.writes_max, self.batch_max = self.dice.choice([1, 2, 4]), self.dice.choice([3, 8, 32])
        net.calls.append(self.reach)
        self.boot()

    def boot(self):
        """Start with what is on the disk."""
        self.life += 1
        self.backoff = Backoff(first_s=0.2, max_s=30.0, random=self.dice)
        events = [event for event in self.folder.events if event.offset not in self.folder.done]
        self.queues = {BUSINESS: events, TELEMETRY: []}
        self.held, self.pending, self.due, self.telemetry = set(), 0, 0.0, 0
        self.begin()

    def die(self, down_s):
        """The process is killed, and starts again after a while."""
        if self.life < 0:
            return  # It is dead already.
        self.day.history.say("edge dies", self.name, self.sign)
        self.life = -self.life
        if self.sink is not None:
            self.sink.over = True
        self.sink = None
        self._count_tries()
        self.clock.after(down_s, self._back, self.life)

    def _back(self, life):
        if self.life == life:
            self.life = -life
            self.boot()

    def begin(self):
        """A new sink, unless the node is down."""
        if self.life > 0 and self.sink is None and self.faults < FAULTS_MAX:
            if self.reachable():
                self.sink = SinkLife(self)
            elif self.alone_s is None:
                self.alone_s = self.clock.now

    def reachable(self):
        """Whether the core is there, and both ways to it."""
        return self.day.core.life > 0 and all(self.net.passes.values())

    def _count_tries(self):
        """Count the sinks that nobody answered all at once."""
        if self.alone_s is not None:
            self.folder.lives += int((self.clock.now - self.alone_s) / (self.connect_s + 0.1))
            self.alone_s = None

    def ended(self, *, pause_s):
        """The sink's connection has ended."""
        self.sink = None
        life = self.life
        self.clock.after(pause_s, lambda: self.begin() if self.life == life else None)

    def reach(self):
        """The network has changed, or the core."""
        if self.alone_s is not None and self.reachable():
            self._count_tries()
            self.begin()
        if self.sink is not None:
            self.sink.reach()

    def emit(self, stream):
        """An event comes in."""
        if stream == BUSINESS:
            offset = len(self.folder.events)
        elif self.life > 0:
            offset = self.telemetry
            self.telemetry += 1
        else:
            return
        self.made += 1
        key = self.dice.randrange(3)
        name = f"{self.name}-{self.sign}-{stream[0]}{self.made}"
        event = Event(offset, stream, key, name, b'{"id":"%s"}' % name.encode())
        self.day.oracle.keys[name] = (self.name, self.sign, key), self.made
        if stream == BUSINESS:
            self.folder.events.append(event)
        if self.life > 0:
            self.queues[stream].append(event)
            self.poll()

    def poll(self):
        """Hand events to the sink: none of a key of which another write has some."""
        while (
            self.sink is not None
            and self.sink.up
            and not self.sink.over
            and len(self.sink.writes) < self.writes_max
        ):
            taken = []
            for queue in self.queues.values():
                found = [event for event in queue if (event.stream, event.key) not in self.held]
                taken += found[: self.batch_max - len(taken)]
            if not taken:
                return
            for event in taken:
                self.queues[event.stream].remove(event)
            self.held |= {(event.stream, event.key) for event in taken}
            self.sink.write(taken)

    def settle(self, done, again):
        """A write has ended: some events are done, others come again. The log notes it a little later."""
        for event in again:
            insort(self.queues[event.stream], event)
        free = {(event.stream, event.key) for event in again}
        business = [event for event in done if event.stream == BUSINESS]
        free |= {(event.stream, event.key) for event in done if event.stream != BUSINESS}
        self.held -= free - {(event.stream, event.key) for event in business}
        self.day.oracle.done(self, business)
        if business:
            self.pending += len(business)
            self.due = max(self.due, self.clock.now + self.dice.random() ** 2 * self.log_s)
            self.clock.after(self.due - self.clock.now, self._noted, self.life, business)
        self.poll()

    def _noted(self, life, events):
        if life != self.life:
            return
        self.folder.done |= {event.offset for event in events}
        self.pending -= len(events)
        self.held -= {(event.stream, event.key) for event in events}
        self.poll()


class Write:
    """Events that the runtime has handed to the sink, and the blocks that they are in."""

    def __init__(self, events):
        self.todo = {
            stream: found
            for stream in (BUSINESS, TELEMETRY)
            if (found := [event for event in events if event.stream == stream])
        }
        self.events, self.sent = events, {}


class SinkLife:
    """One connection of the sink, as `connection.py` and `sink.py` make it, around real lanes."""

    def __init__(self, edge):
        self.edge, self.clock, self.dice, self.net = edge, edge.clock, edge.dice, edge.net
        self.over, self.up, self.route, self.asked = False, False, 0, False
        self.lanes, self.writes, self.answers, self.keeping = {}, [], 0, False
        self.began = self.heard = self.clock.now
        folder = edge.folder
        folder.lives += 1
        self.session = folder.lives << 32 | self.dice.getrandbits(32)
        self.clock.after(edge.connect_s, lambda: self.up or self.fail())
        self.reach()

    def reach(self):
        """Shake hands when there is somebody to do it with."""
        if self.route and not self.edge.day.core.knows(self.route):
            self.route = 0
        if self.route or self.asked or self.over or not self.edge.reachable():
            return
        self.asked = True
        self.clock.after(0.01 + 2 * self.dice.random() ** 2, self._shake)

    def _shake(self):
        self.asked = False
        if self.over or not self.edge.reachable():
            return
        self.route = self.edge.day.core.connect()
        self.send(encode(Ping(1)))
        for lane in self.lanes.values():
            self.send(lane.hello())

    def send(self, frame):
        """To the core, if there is a connection."""
        if self.route:
            core = self.edge.day.core
            self.net.send("there", frame, core.receive, self.edge.name, self, self.route)

    def receive(self, data, route):
        """From the core."""
        if self.over or route != self.route:
            return
        self.heard = self.clock.now
        try:
            frame = decode(data)
        except BadFrame:
            return
        if not self.up:
            self.up = True
            self.clock.after(HEARTBEAT_S, self._beat)
        if isinstance(frame, Welcome | Ack | Error) and frame.stream in self.lanes:
            self._take(self.lanes[frame.stream], frame)
        if not self.over:
            self.pump()
            self.edge.poll()

    def _take(self, lane, frame):
        self.edge.day.oracle.heard(frame)
        try:
            for reply in lane.receive(frame):
                self.send(reply)
        except LaneLost:
            self.fail()
        except LinkError as error:
            if error.code == ERROR_OTHER_LIFE:
                self.edge.folder.lives += self.edge.day.leap
            else:
                self.edge.day.history.say("stopped", self.edge.name, self.edge.sign, str(error))
                self.edge.why = error
                self.edge.faults += 1
            self.fail(pause_s=None if error.code == ERROR_OTHER_LIFE else FAULT_S)
        else:
            self.keep()

    def write(self, events):
        """Send events, and wait for what becomes of them; not for ever."""
        write = Write(events)
        self.writes.append(write)
        self.clock.after(ANSWER_S, self._late, write)
        self.pump()

    def _late(self, write):
        if not self.over and write in self.writes:
            self.finish(write)

    def pump(self):
        """Send what there is credit for, and end the writes that have all their answers."""
        for write in list(self.writes):
            for stream in write.todo:
                self._post(write, stream)
            acked = all(number <= lane.acked.number for lane, number in write.sent.values())
            if acked and not any(write.todo.values()) and write in self.writes:
                self.finish(write)

    def _post(self, write, stream):
        lane = self.lanes.get(stream)
        if lane is None:
            lane = self.lanes[stream] = self._lane(stream)
            self.send(lane.hello())
        todo = write.todo[stream]
        while todo and lane.welcomed:
            number = lane.where(todo[0].offset)
            if number is not None:
                write.sent[todo.pop(0)] = lane, number
                continue
            chunk = [
                event for event in todo[: self.edge.day.block_events] if lane.where(event.offset) is None
            ]
            if not lane.room(lane.size([event.json for event in chunk])):
                return
            number, frame = lane.add([event.offset for event in chunk], [event.json for event in chunk])
            self.edge.day.oracle.sent(lane)
            write.sent.update(dict.fromkeys(chunk, (lane, number)))
            todo[:] = [event for event in todo if event not in chunk]
            self.send(frame)

    def _lane(self, stream):
        make, edge = self.edge.day.lane, self.edge
        if stream == TELEMETRY:
            epoch, session = self.dice.getrandbits(63) + 1, self.dice.getrandbits(63) + 1
            return make(edge.name, stream, epoch, session=session)
        settled = edge.folder.points.get(stream)
        return make(edge.name, stream, edge.folder.epoch, session=self.session, settled=settled)

    def finish(self, write):
        """Say what became of the events: done where the core has acknowledged them, else they come again."""
        self.writes.remove(write)
        done = [event for event, (lane, number) in write.sent.items() if number <= lane.acked.number]
        self.answers += sum(event.stream == BUSINESS for event in done)
        for stream, lane in self.lanes.items():
            lane.answered([event.offset for event in done if event.stream == stream], self.answers)
        self.edge.settle(done, [event for event in write.events if event not in done])
        self.keep()

    def keep(self):
        """Soon, or at once after many blocks, the core may forget something."""
        behind = max((lane.acked.number - lane.settled.number for lane in self.lanes.values()), default=0)
        if behind and not self.keeping and not self.over:
            self.keeping = True
            self.clock.after(0.001 if behind >= KEEP_BLOCKS else KEEP_S, self._kept)

    def _kept(self):
        self.keeping = False
        if self.over:
            return
        noted = self.answers - self.edge.pending
        points = {}
        for stream, lane in self.lanes.items():
            if stream == TELEMETRY:
                if (point := lane.checkpoint(self.answers)) is not None:
                    lane.settle(point)
            elif (point := lane.checkpoint(noted)) is not None:
                points[stream] = point
        if points:
            # It is on the disk, and the process may die before it says so to anybody.
            self.edge.day.oracle.booked(self.edge, points)
            self.edge.folder.points.update(points)
            self.keeping = True
            self.clock.after(0.02 * self.dice.random(), self._settle, points)
        else:
            self.keep()

    def _settle(self, points):
        self.keeping = False
        for stream, point in {} if self.over else points.items():
            self.lanes[stream].settle(point)
        self.keep()

    def _beat(self):
        if self.over:
            return
        now = self.clock.now
        if now - self.heard > 3 * HEARTBEAT_S:
            self.fail()
            return
        self.send(encode(Ping(2)))
        for stream, lane in self.lanes.items():
            wanting = any(write.todo.get(stream) for write in self.writes)
            for frame in lane.tick(now, quiet_max_s=0.6 * HEARTBEAT_S, wanting=wanting):
                self.send(frame)
        self.clock.after(HEARTBEAT_S, self._beat)

    def fail(self, *, pause_s=None):
        """The connection has ended; what is not acknowledged comes again with the next one."""
        if self.over:
            return
        self.over = True
        for write in list(self.writes):
            self.finish(write)
        if self.clock.now - self.began >= 10.0:
            self.edge.backoff.reset()
        self.edge.ended(pause_s=self.edge.backoff.next_s() if pause_s is None else pause_s)
