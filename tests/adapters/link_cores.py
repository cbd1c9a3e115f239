"""The core's side of a simulated link: a source around the real state machine, and an engine with a disk."""

from collections import deque

from mfgroute.adapters.zeromq.waiting import Waiting
from tests.adapters.link_edges import BUSINESS

CREDIT_BLOCKS, CREDIT_BYTES, BLOCK_MAX = 8, 2_000, 65_536


class Core:
    """A node whose durable part outlives it.

    Attributes:
        accepted: ids of the durable events, in their order on the disk.
        position: the mark on the disk.
        again: how many events were only recognised by their ids.
    """

    def __init__(self, day, *, window):
        self.day, self.clock, self.dice = day, day.clock, day.dice
        self.accepted, self.position, self.again, self.gaps = [], None, 0, 0
        self.ids = deque(maxlen=window)
        self.marks = self.marked = 0
        self.life, self.stalled, self._route = 0, 0, 0
        self.boot()

    def boot(self):
        """Start the process with what is on the disk."""
        self.life += 1
        self.link = self.day.link(
            credit_blocks=CREDIT_BLOCKS,
            credit_bytes=CREDIT_BYTES,
            block_max=BLOCK_MAX,
            position=self.position,
        )
        self.waiting, self.routes, self.opening = Waiting((BUSINESS,)), {}, self.link.unsealed()
        self.busy, self.live = False, set()
        self.kick()
        for edge in self.day.edges:
            edge.reach()

    def die(self, down_s):
        """The process is killed, and starts again after a while."""
        if self.life < 0:
            return
        self.day.history.say("core dies")
        self.life, self.live = -self.life, set()
        for edge in self.day.edges:
            edge.reach()
        self.clock.after(down_s, self._back, self.life)

    def _back(self, life):
        if self.life == life:
            self.life = -life
            self.boot()

    def stall(self, seconds):
        """Take nothing for a while: a stream is full."""
        self.stalled += 1
        self.clock.after(seconds, self.resume)

    def resume(self):
        """There is room again."""
        self.stalled = max(0, self.stalled - 1)
        self.kick()

    def connect(self):
        """A connection, by which it is known until either end dies."""
        self._route += 1
        self.live.add(self._route)
        return self._route

    def knows(self, route):
        """Whether the connection is still there."""
        return route in self.live

    def receive(self, data, name, sink, route):
        """From an edge."""
        if route not in self.live:
            return
        replies, block = self.link.receive(name, data)
        for reply in replies:
            sink.net.send("back", reply, sink.receive, route)
        if block is not None:
            self.routes[name, block.stream] = sink, route
            self.waiting.put(block)
            self.day.oracle.waits(self)
        self.kick()

    def kick(self):
        """Take the next intake, if the one before is done."""
        if self.busy or self.stalled or self.life <= 0:
            return
        taken, names = [], self.opening
        if self.opening:
            self.opening = []
        elif self.waiting:
            taken = self.waiting.take(events_max=self.dice.choice([1, 16, 256]), bytes_max=4 << 20)
            names = [(block.edge, block.stream, block.epoch, block.number) for block in taken]
        elif not self.link.changed:
            return
        for block in taken:
            self.link.note(block)
        self.busy = True
        self.marks += 1
        blocks, position = taken, (self.marks, self.link.position())
        if blocks and blocks[0].stream != BUSINESS:
            # The receipt of a stream in memory does not wait for the disk; its mark comes later, or never.
            self.clock.after(0.05 * self.dice.random(), self._mark, self.life, position)
            self.clock.after(0.001, self._sealed, self.life, blocks, names)
            return
        self.clock.after(0.02 * self.dice.random(), self._written, self.life, blocks, names, position)

    def _written(self, life, blocks, names, position):
        """The events are on the disk; the mark comes behind them."""
        if life != self.life:
            return
        for block in blocks:
            for event in block.events:
                self._admit(event.removeprefix(b'{"id":"').removesuffix(b'"}').decode())
        if self._gap():
            return
        self._mark(life, position)
        self.clock.after(0.01 * self.dice.random(), self._sealed, life, blocks, names)

    def _gap(self):
        """Perhaps the core dies between what it has taken and the mark of it."""
        gap = self.day.gap > 0 and self.dice.random() < self.day.gap
        if gap:
            self.gaps += 1
            self.die(self.dice.random() * 5)
        return gap

    def _mark(self, life, position):
        if life == self.life and position[0] > self.marked:
            self.marked, self.position = position
            self.day.oracle.marked(self)

    def _admit(self, name):
        if name in self.ids:
            self.again += 1
        else:
            self.ids.append(name)
            self.accepted.append(name)
            self.day.oracle.accepted(name)
            self.day.history.say("accepted", name)

    def _sealed(self, life, blocks, names):
        """The receipt: of what one stream took, or of a mark alone, which is durable like any."""
        if life != self.life:
            return
        level = "sealed" if all(block.stream == BUSINESS for block in blocks) else "memory"
        for edge, stream, epoch, number in names:
            reply = self.link.acknowledge(edge, stream, epoch, number, level)
            if reply is not None and (edge, stream) in self.routes:
                sink, route = self.routes[edge, stream]
                sink.net.send("back", reply, sink.receive, route)
        if level == "memory" and self._gap():
            return
        self.busy = False
        self.kick()
