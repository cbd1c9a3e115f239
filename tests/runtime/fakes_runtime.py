"""Fakes for tests of the runtime: an engine in memory, a source that is fed, a sink that records."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter, deque

from mfgroute._core import Event, Receipt, Reject
from mfgroute.adapter import Config, Inbox, Secret, Sink, Source
from mfgroute.errors import Closed, ConfigError, Disconnected, Full, Problem
from mfgroute.events import Done, Intake
from mfgroute.runtime.tempo import Tempo

NODE = """\
apiVersion: mfgroute/v1
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
"""
SMALL = (
    NODE
    + """\
streams:
  business: {durability: memory, capacity: 1GiB}
sources:
  plant: {adapter: fake}
sinks:
  erp: {adapter: fake, limits: {in_flight: 4}}
routes:
  - {name: all, match: {type: ">"}, to: erp}
"""
)

QUICK = Tempo(
    backoff_first_s=0.001,
    backoff_max_s=0.005,
    faults_max=5,
    breaker_s=30.0,
    room_timeout_s=0.05,
    poll_s=0.05,
    drain_timeout_s=5.0,
)


class FakePlan:
    """Compiles everything but a contract called `bad`."""

    summary = {"contracts": [], "mappings": [], "sources": [], "routes": []}  # noqa: RUF012 - nobody changes it

    problems = ()

    def __init__(self, config):
        self.config = config

    @staticmethod
    def compile(root, config, places, *, today=None):
        document = json.loads(config)
        if document.get("routes") and document["routes"][0].get("name") == "bad":
            place = places["/routes/0"]
            raise ConfigError(
                [
                    Problem(
                        severity="error",
                        file="mfgroute.yaml",
                        line=place[0],
                        column=place[1],
                        message="bad route",
                    )
                ]
            )
        return FakePlan(document)


class FakeBatch:
    def __init__(self, engine, sink, events):
        self._engine, self._sink, self.events, self._open = (
            engine,
            sink,
            events,
            {e.offset: e for e in events},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def release(self):
        for event in list(self._open.values()):
            self._engine.settled(self._sink, event, "released", None, 0)

    def __len__(self):
        return len(self.events)

    def done(self, event, *, reference=None):
        self._settle(event, "done", reference)

    def done_all(self):
        for event in list(self._open.values()):
            self._settle(event, "done", None)

    def refused(self, event, code, reason=""):
        self._settle(event, "refused", f"{code}: {reason}")

    def retry_all(self, **more):
        for event in list(self._open.values()):
            self.retry(event, **more)

    def retry(self, event, *, after_s=None, reason="", judged=False):
        self._settle(event, "retry", reason, after_s or 0.0)

    def in_doubt(self, event, reason="", *, code=""):
        self._settle(event, "in_doubt", reason)

    def _settle(self, event, how, note, after_s=0.0):
        del self._open[event.offset]
        self._engine.settled(self._sink, event, how, note, after_s)


class FakeEngine:
    """Every message `{"id", "key"}` becomes an event for every sink. One event per key is in flight."""

    capacity = 1_000_000
    piece = 3

    def __init__(self, plan, *, data_dir=None):
        self._fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self.settlements = []
        self.submits = []
        self.paused = set()
        self.closed = self.draining = False
        self._offset = 0
        self.opened = []
        self.positions = {}
        self._sinks = {}
        self._received = Counter()
        self._rejected = Counter()
        self.install(plan)

    def install(self, plan, *, discard=()):
        self.plan = plan
        self.discarded = list(discard)
        for name in plan.config.get("sinks", {}):
            self._sinks.setdefault(name, {"queue": deque(), "busy": set(), "due": [], "counts": Counter()})
        self._wake()

    def position(self, source):
        return self.positions.get(source)

    def submit(
        self,
        source,
        messages,
        *,
        meta=None,
        metas=None,
        ack=None,
        wait_s=None,
        synchronous=False,
        position=None,
    ):
        if self.draining:
            raise Closed("draining")
        self.submits.append((source, list(messages), meta, ack, synchronous))
        rejects, events = [], []
        for index, message in enumerate(messages):
            try:
                events.append(json.loads(message))
            except ValueError:
                rejects.append(Reject(index, "bad_json", found="x", expected="JSON"))
        with self._lock:
            if sum(len(one["queue"]) for one in self._sinks.values()) + len(events) > self.capacity:
                raise Full("stream business is full", what="stream business", held_by="erp")
            for event in events:
                self._offset += 1
                made = Event(
                    id=event["id"],
                    type="t.v1",
                    key=event.get("key", event["id"]),
                    offset=self._offset,
                    json=json.dumps(event).encode(),
                )
                for one in self._sinks.values():
                    one["queue"].append(made)
        self._received[source] += len(messages)
        self._rejected[source] += len(rejects)
        self._wake()
        return Receipt(accepted=len(events), rejected=len(rejects), rejects=rejects)

    def submit_lines(
        self, source, slab, *, meta=None, resume=None, ack=None, wait_s=None, synchronous=False, position=None
    ):
        at, line = resume or (0, 0)
        rest = slab[at:].split(b"\n")
        some = rest[: self.piece]
        receipt = self.submit(
            source, [one for one in some if one], meta=meta, ack=ack, synchronous=synchronous
        )
        if len(rest) <= self.piece:
            return receipt
        after = at + sum(len(one) + 1 for one in some)
        return Receipt(
            accepted=receipt.accepted,
            rejected=receipt.rejected,
            rejects=receipt.rejects,
            resume=(after, line + self.piece),
        )

    def poll(self, sink, *, events_max=500, bytes_max=1 << 20, wait_s=0.0):
        if self.closed:
            raise Closed("closed")
        one = self._sinks[sink]
        taken = []
        with self._lock:
            now = time.monotonic()
            due = [event for at, event in one["due"] if at <= now]
            one["due"] = [(at, event) for at, event in one["due"] if at > now]
            one["queue"].extendleft(reversed(due))
            waiting = {event.key for _, event in one["due"]}
            for event in list(one["queue"]):
                if sink in self.paused or len(taken) >= events_max:
                    break
                if event.key not in one["busy"] and event.key not in waiting:
                    one["queue"].remove(event)
                    one["busy"].add(event.key)
                    taken.append(event)
                waiting.add(event.key)
        return FakeBatch(self, sink, taken)

    def settled(self, sink, event, how, note, after_s):
        one = self._sinks[sink]
        with self._lock:
            self.settlements.append((event.id, how, note))
            one["busy"].discard(event.key)
            one["counts"][how] += 1
            if how == "retry":
                one["due"].append((time.monotonic() + after_s, event))
            if how == "released":
                one["queue"].appendleft(event)
        self._wake()

    def next_due_s(self, sink):
        due = self._sinks[sink]["due"]
        return max(0.0, min(at for at, _ in due) - time.monotonic()) if due else None

    def wake_fd(self):
        return self._fd

    def stats(self):
        sinks = [
            {
                "name": name,
                "present": name in self.plan.config.get("sinks", {}),
                "queued": len(one["queue"]) + len(one["due"]),
                "in_flight": len(one["busy"]),
                "delivered": one["counts"]["done"],
                "parked_total": {"refused": one["counts"]["refused"], "in_doubt": one["counts"]["in_doubt"]},
                "paused": name in self.paused,
                "stopped": False,
            }
            for name, one in self._sinks.items()
        ]
        sources = [
            {"name": name, "received": count, "accepted": {"t.v1": count - self._rejected[name]}}
            for name, count in self._received.items()
        ]
        return {"sources": sources, "sinks": sinks, "streams": [], "unaccounted": 0}

    def dead_letters(self, request):
        return json.dumps({"asked": json.loads(request)}).encode()

    def find(self, query):
        return json.dumps({"query": query}).encode()

    def pause(self, sink, *, who="unknown", why=""):
        self.paused.add(sink)

    def resume(self, sink, *, who="unknown", why=""):
        self.paused.discard(sink)
        self._wake()

    def drain(self):
        self.draining = True

    def close(self):
        self.closed = True
        os.close(self._fd)

    def _wake(self):
        os.eventfd_write(self._fd, 1)


class FakeSourceConfig(Config):
    url: str = ""
    password: Secret | None = None
    size: int = 1


class FakeSource(Source):
    """Reads what a test puts into `feed`; an exception there is raised."""

    Config = FakeSourceConfig
    feed: asyncio.Queue
    acked: asyncio.Queue
    opened: list
    closed: list
    hold: asyncio.Event | None

    def __init__(self, config, context):
        self.config, self.context = config, context

    @classmethod
    def reset(cls):
        cls.feed, cls.acked, cls.opened, cls.closed = asyncio.Queue(), asyncio.Queue(), [], []
        cls.hold = None

    async def open(self, resume):
        type(self).opened.append(resume)

    async def read(self):
        found = await self.feed.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def ack(self, intake, receipt):
        if self.hold is not None:
            await self.hold.wait()
        await self.acked.put((intake, receipt))

    async def close(self):
        type(self).closed.append(self)


class FakeSinkConfig(Config):
    url: str = ""
    in_flight: int = 1


class FakeSink(Sink):
    """Records what is written; `answers` decides what becomes of it."""

    Config = FakeSinkConfig
    batch_max = 1
    written: list
    answers: deque
    seen: asyncio.Queue
    gate: asyncio.Event | None
    refuse_open: int
    opened: int
    most: int

    def __init__(self, config, context):
        self.config = config
        self.now = 0

    @classmethod
    def reset(cls):
        cls.written, cls.answers, cls.seen, cls.gate = [], deque(), asyncio.Queue(), None
        cls.refuse_open = cls.opened = cls.most = 0

    async def open(self):
        cls = type(self)
        cls.opened += 1
        if cls.opened <= cls.refuse_open:
            raise Disconnected("no route to host")

    async def write(self, events):
        cls = type(self)
        self.now += 1
        cls.most = max(cls.most, self.now)
        cls.written.extend(event.id for event in events)
        cls.seen.put_nowait([event.id for event in events])
        try:
            if cls.gate is not None:
                await cls.gate.wait()
            answer = cls.answers.popleft() if cls.answers else None
            if isinstance(answer, BaseException):
                raise answer
            if callable(answer):
                answer = await answer()
            return [Done() for _ in events] if answer is None else answer
        finally:
            self.now -= 1


class BatchSink(FakeSink):
    batch_max = 100
    refuses_single = False


class FakeInboxConfig(Config):
    token: Secret | None = None


class FakeInbox(Inbox):
    Config = FakeInboxConfig
    synchronous = True

    def __init__(self, config, context):
        self._token = config.token.reveal() if config.token else None
        self._offers = asyncio.Queue()

    def authorized(self, authorization):
        return self._token is None or authorization == f"Bearer {self._token}"

    async def offer(self, intake):
        answer = asyncio.get_running_loop().create_future()
        self._offers.put_nowait((intake, answer))
        return await answer

    async def read(self):
        intake, self._answer = await self._offers.get()
        return intake

    async def ack(self, intake, receipt):
        self._answer.set_result(receipt)

    async def refuse(self, intake, full):
        self._answer.set_exception(full)


def message(name, key=None):
    return json.dumps({"id": name, "key": key or name}).encode()


def intake(*names, **fields):
    return Intake(messages=[message(name) for name in names], **fields)


async def until(condition, seconds=10):
    """Wait for something that the loop will do, for so long."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the loop does it between two turns
            await asyncio.sleep(0)


async def settled(router, count):
    await until(lambda: len(router.engine.settlements) >= count)
    return router.engine.settlements
