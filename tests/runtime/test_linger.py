"""Fuller requests: by number, by bytes, and by the time that an event may wait."""

import asyncio
from datetime import time

import pytest
from fakes_runtime import NODE, QUICK, BatchSink, FakeSource
from test_real_engine import CONTRACT, MAPPING, message
from virtual import Rig, run

from mfgroute._core import Event
from mfgroute.config.calendar import Calendar, Window
from mfgroute.config.model import BatchSection
from mfgroute.errors import ConfigError
from mfgroute.events import Done, Retry
from mfgroute.project import load_project
from mfgroute.runtime.app import Router
from mfgroute.runtime.group import Group
from mfgroute.units import Duration, Size


async def well(event):
    return Done()


def rig(answer=well, **batch):
    given = {"linger": Duration(0.5), **batch}
    return Rig(answer, batch_max=100, batch=BatchSection(**given))


def test_an_event_alone_is_sent_when_it_has_lingered_and_no_later():
    async def main():
        async with rig() as one:
            await asyncio.sleep(1)
            began = one.now()
            one.engine.add("a")
            await asyncio.sleep(2)
            ((at, events),) = one.sent
            assert (at - began, events) == (pytest.approx(0.5, abs=0.001), ["a"])

    run(main)


def test_events_that_come_meanwhile_go_along_and_none_waits_longer():
    async def main():
        async with rig() as one:
            came = {}
            for number in range(100):
                came[f"e{number}"] = one.now()
                one.engine.add(f"e{number}")
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            assert [len(events) for _, events in one.sent[:-1]] == [pytest.approx(10, abs=1)] * (
                len(one.sent) - 1
            )
            sent = {event: at for at, events in one.sent for event in events}
            assert list(sent) == list(came)
            assert max(sent[event] - came[event] for event in came) <= 0.501

    run(main)


def test_a_full_request_goes_at_once():
    async def main():
        async with rig(events=4) as one:
            began = one.now()
            one.engine.add("a", "b", "c")
            await asyncio.sleep(0.1)
            assert one.sent == []
            one.engine.add("d", "e")
            await asyncio.sleep(0.1)
            assert [(pytest.approx(at - began, abs=0.001), events) for at, events in one.sent] == [
                (0.1, ["a", "b", "c", "d"])
            ]
            one.engine.add("f", "g", "h", "i")
            await asyncio.sleep(0.1)
            assert one.sent[1:] == [(pytest.approx(began + 0.2, abs=0.001), ["e", "f", "g", "h"])]

    run(main)


def test_a_request_holds_no_more_bytes_than_it_may():
    async def main():
        async with rig(bytes=Size(350)) as one:
            one.engine.add("a", "b", size=100)
            await asyncio.sleep(0.1)
            one.engine.add("c", "d", size=100)
            await asyncio.sleep(0.1)
            assert [events for _, events in one.sent] == [["a", "b", "c"]]
            one.engine.add("e", size=300)
            await asyncio.sleep(0.1)
            assert [events for _, events in one.sent[1:]] == [["d"]]
            await asyncio.sleep(1)
            assert [events for _, events in one.sent[2:]] == [["e"]]

    run(main)


def test_without_a_linger_nothing_waits():
    async def main():
        async with rig(linger=Duration(0.0)) as one:
            began = one.now()
            one.engine.add("a", "b")
            await asyncio.sleep(0.1)
            assert one.sent == [(pytest.approx(began, abs=0.001), ["a", "b"])]

    run(main)


def test_a_stop_sends_what_lingers_and_a_window_gives_it_back():
    async def main():
        one = rig()
        async with one:
            one.engine.add("a")
            await asyncio.sleep(0.1)
            assert one.sent == []
        assert [events for _, events in one.sent] == [["a"]]
        always = Calendar(
            (Window(place="c:1", zone="UTC", since=time(), until=time(), days=tuple(range(7))),)
        )
        two = rig()
        async with two:
            two.engine.add("a")
            await asyncio.sleep(0.1)
            two.deliver.follow(always)
            await asyncio.sleep(5)
            assert two.sent == []
            assert [how for _, _, how in two.engine.history] == ["released"]
            assert len(two.engine.queue) == 1

    run(main)


def test_each_event_of_a_request_has_its_own_outcome():
    async def main():
        async def answer(event):
            return Done("4900") if event.id != "b" else Retry(reason="500", after_s=3600.0)

        async with rig(answer) as one:
            one.engine.add("a")
            await asyncio.sleep(0.1)
            one.engine.add("b")
            await asyncio.sleep(0.1)
            one.engine.add("c")
            await asyncio.sleep(1)
            assert [events for _, events in one.sent] == [["a", "b", "c"]]
            assert [(event, how) for _, event, how in one.engine.history] == [
                ("a", "done"),
                ("b", "retry"),
                ("c", "done"),
            ]

    run(main)


def test_requests_are_written_down_in_the_batches_that_their_events_came_with():
    class Batch:
        def __init__(self, *events):
            self.events, self.rows, self.accepts = list(events), [], []

        def intend(self, rows):
            self.rows.append(rows)

        def accepted(self, event, reference):
            self.accepts.append((event.id, reference))

    a, b, c = (
        Event(id=name, type="t.v1", key=name, offset=number, json=b"{}")
        for number, name in enumerate("abc", 1)
    )
    one, two = Batch(a, b), Batch(c)
    group = Group([one, two])
    group.intend([(b, "key b", b"", b""), (c, "key c", b"", b"")])
    group.accepted(c, "4711")
    assert [event.id for event in group.events] == ["a", "b", "c"]
    assert (one.rows, two.rows) == ([[(b, "key b", b"", b"")]], [[(c, "key c", b"", b"")]])
    assert (one.accepts, two.accepts) == ([], [("c", "4711")])


PROJECT = (
    NODE
    + """\
streams: {business: {durability: memory, capacity: 64MiB}}
sources:
  plant: {adapter: fake, mappings: [done]}
sinks:
  erp: {adapter: many, limits: {in_flight: 1}, batch: {events: 3, linger: 20s}}
routes:
  - {name: all, match: {type: ">"}, to: erp}
"""
)


async def test_the_engine_hands_out_a_request_in_pieces_and_settles_each_event(project, registry):
    folder = project(PROJECT)
    for name, text in (("contracts/production.done.v1.yaml", CONTRACT), ("mappings/done.yaml", MAPPING)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    FakeSource.reset()
    BatchSink.reset()
    BatchSink.answers.append([Done("4900"), Retry(reason="503"), Done()])
    async with Router(folder, adapters=registry, tempo=QUICK) as router:
        for number in range(3):
            await router.submit("plant", [message(number, f"order-{number}")])
        async with asyncio.timeout(10):
            assert len(await BatchSink.seen.get()) == 3
        await router.submit("plant", [message(number, f"order-{number}") for number in (3, 4)])
        async with asyncio.timeout(10):
            again = await BatchSink.seen.get()
        assert len(again) == 3
        assert BatchSink.written[1] in again
        assert await router.stop() == 0
        assert len(set(BatchSink.written)) == 5


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("{adapter: fake, batch: {events: 3}}", "the adapter takes one event at a time"),
        ("{adapter: many, batch: {events: 101}}", "is 101, expected at most 100"),
    ],
)
def test_a_batch_that_the_adapter_cannot_take_is_refused(project, registry, sink, message):
    with pytest.raises(ConfigError, match=message):
        load_project(
            project(NODE + f"streams: {{b: {{durability: memory}}}}\nsinks: {{erp: {sink}}}\n"),
            adapters=registry,
        )
