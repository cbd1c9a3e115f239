"""Hours in milliseconds: an event loop whose time jumps to the next thing to do, and an engine in it."""

import asyncio
import heapq
import selectors
from collections import deque
from itertools import count
from random import Random

from mfgroute._core import Event
from mfgroute.adapter import Config, Context, Sink
from mfgroute.config.model import Limits, RetrySection, SinkSection
from mfgroute.events import Done
from mfgroute.observe.health import Pulse
from mfgroute.runtime.deliver import Deliver
from mfgroute.runtime.tempo import Tempo


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: when no file is ready, the time of the loop goes on at once."""

    jump = staticmethod(lambda seconds: None)

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a time of its own, which begins at 1000 s."""

    def __init__(self):
        selector = _Jump()
        selector.jump = self._jump
        self._at = 1000.0
        super().__init__(selector)

    def time(self):
        return self._at

    def _jump(self, seconds):
        self._at += seconds


def run(main):
    """Run `main()` in a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class Wakes:
    """Wakes the one sink when the engine has something."""

    def __init__(self):
        self.event = asyncio.Event()

    def subscribe(self):
        return self

    def __enter__(self):
        return self.event

    def __exit__(self, *_):
        pass

    def wake(self):
        self.event.set()


class VirtualBatch:
    def __init__(self, engine, events):
        self._engine, self.events, self._open = engine, events, {event.offset for event in events}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def __len__(self):
        return len(self.events)

    def _settle(self, event, how, after_s=0.0):
        self._open.remove(event.offset)
        self._engine.settled(event, how, after_s)

    def done(self, event, *, reference=None):
        self._settle(event, "done")

    def done_all(self):
        for event in self.events:
            if event.offset in self._open:
                self._settle(event, "done")

    def refused(self, event, code, reason=""):
        self._settle(event, "refused")

    def in_doubt(self, event, reason="", *, code=""):
        self._settle(event, "in_doubt")

    def retry_all(self, *, after_s=None, reason="", judged=False):
        self._engine.settled_together([event for event in self.events if event.offset in self._open], after_s)
        self._open.clear()

    def retry(self, event, *, after_s=None, reason="", judged=False):
        self._settle(event, "retry", after_s or 0.0)

    def release(self):
        for event in reversed(self.events):
            if event.offset in self._open:
                self._settle(event, "released")


class VirtualEngine:
    """Hands out events as the engine does: what is due again first, then what is new; full jitter."""

    def __init__(self, wakes, random, delay_max_s=300.0):
        self.queue, self.due, self.attempts, self.history = deque(), [], {}, []
        self.bytes_max = None
        self._wakes, self._random, self._delay_max_s, self._numbers = wakes, random, delay_max_s, count(1)
        self._loop = asyncio.get_running_loop()

    def add(self, *names, size=2):
        for name in names:
            number = next(self._numbers)
            self.queue.append(Event(id=name, type="t.v1", key=name, offset=number, json=b" " * size))
        self._wakes.wake()

    def poll(self, sink, *, events_max=500, bytes_max=1 << 20, wait_s=0.0):
        self.bytes_max = bytes_max
        taken = []
        size = 0
        while len(taken) < events_max and self.due and self.due[0][0] <= self._loop.time():
            taken.append(heapq.heappop(self.due)[2])
        while len(taken) < events_max and self.queue:
            size += len(self.queue[0].json)
            if taken and size > bytes_max:
                break
            taken.append(self.queue.popleft())
        return VirtualBatch(self, taken)

    def settled(self, event, how, after_s):
        self.history.append((self._loop.time(), event.id, how))
        if how == "released":
            self.queue.appendleft(event)
        elif how == "retry":
            tries = self.attempts[event.id] = self.attempts.get(event.id, 0) + 1
            ceiling_s = min(self._delay_max_s, 0.1 * 2 ** min(tries, 30))
            delay_s = max(self._random.uniform(0.0, ceiling_s), after_s)
            heapq.heappush(self.due, (self._loop.time() + delay_s, event.offset, event))
        self._wakes.wake()

    def settled_together(self, events, after_s):
        """All of them are due at the time of the first."""
        self.settled(events[0], "retry", after_s or 0.0)
        due = next(at for at, _, event in self.due if event.id == events[0].id)
        for event in events[1:]:
            self.history.append((self._loop.time(), event.id, "retry"))
            self.attempts[event.id] = self.attempts.get(event.id, 0) + 1
            heapq.heappush(self.due, (due, event.offset, event))

    def next_due_s(self, sink):
        return max(0.0, self.due[0][0] - self._loop.time()) if self.due else None

    @property
    def left(self):
        return len(self.queue) + len(self.due)


class Target(Sink):
    """Asks `answer` about each event; notes when each was sent."""

    Config = Config
    batch_max = 1
    refuses_single = True

    def __init__(self, config, context):
        pass

    async def write(self, events):
        return [await self.answer(event) for event in events]

    async def answer(self, event):
        return Done()


class Rig:
    """One sink task over a virtual engine.

    Attributes:
        sent: when which events were written.
    """

    def __init__(
        self, answer, *, limits=None, tempo=None, batch_max=1, seed=1, calendar=None, wall=None, **section
    ):
        loop = asyncio.get_running_loop()
        self.now, self.sent, random = loop.time, [], Random(seed)
        rig = self

        class One(Target):
            async def write(self, events):
                rig.sent.append((loop.time(), [event.id for event in events]))
                return [await answer(event) for event in events]

        One.batch_max = batch_max
        self.wakes = Wakes()
        self.engine = VirtualEngine(self.wakes, random)
        self.pulse = Pulse("sink", "erp", "fake", clock=loop.time)
        self.deliver = Deliver(
            "erp",
            kind=One,
            config=Config(),
            context=Context(name="erp"),
            section=SinkSection(adapter="fake", limits=limits or Limits(), retry=RetrySection(), **section),
            sent={},
            engine=self.engine,
            wakes=self.wakes,
            pulse=self.pulse,
            tempo=tempo or Tempo(),
            random=random,
            calendar=calendar,
            clock=loop.time,
            wall=wall or loop.time,
        )

    async def __aenter__(self):
        self._task = self.deliver.start()
        return self

    async def __aexit__(self, *_):
        self.deliver.stop()
        await self._task

    async def feed(self, per_s, seconds):
        """Add fresh events at a steady rate."""
        for number in range(round(per_s * seconds)):
            self.engine.add(f"{self.now():.3f}-{number}")
            await asyncio.sleep(1 / per_s)

    def most_in(self, window_s, since, until, chosen=lambda event: True):
        """Most events sent in any window of a time."""
        times = deque()
        most = 0
        for at, events in self.sent:
            if not since <= at < until:
                continue
            times.extend(at for event in events if chosen(event))
            while times and times[0] <= at - window_s:
                times.popleft()
            most = max(most, len(times))
        return most
