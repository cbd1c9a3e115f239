import asyncio
import os
import signal

import pytest
from fakes_runtime import NODE, QUICK, SMALL, BatchSink, FakeSink, FakeSource, intake, message, settled, until

from mfgroute.errors import AdapterError, Closed, ConfigError, Disconnected, Full, Locked, UnknownName
from mfgroute.events import Done, InDoubt, Intake, Refused, Retry
from mfgroute.runtime.daemon import serve

pytestmark = pytest.mark.usefixtures("fake_core")


def pulse(router, name):
    return next(one for one in router.pulses() if one.name == name)


async def test_what_a_source_reads_reaches_the_sink_and_is_acknowledged(router):
    async with router() as node:
        FakeSource.feed.put_nowait(intake("a", "b", meta={"topic": "t"}))
        read, receipt = await FakeSource.acked.get()
        assert receipt.accepted == 2
        assert sorted(await settled(node, 2)) == [("a", "done", None), ("b", "done", None)]
        assert node.engine.submits[0][2] == {"topic": "t"}
        assert read.messages == [message("a"), message("b")]
        assert {one.state for one in node.pulses()} == {"up"}
    assert len(FakeSource.closed) == 1


async def test_a_submit_of_the_router_is_delivered(router):
    async with router() as node:
        receipt = await node.submit("plant", [message("a")])
        assert receipt.accepted == 1
        await settled(node, 1)
    with pytest.raises(Closed):
        await node.submit("plant", [message("a")])


async def test_a_slab_is_submitted_in_pieces_and_acknowledged_once(router):
    slab = b"\n".join(message(f"n{number}") for number in range(8)) + b"\nbad\n"
    async with router() as node:
        FakeSource.feed.put_nowait(Intake(slab=slab))
        _, receipt = await FakeSource.acked.get()
        assert (receipt.accepted, receipt.rejected, receipt.resume) == (8, 1, None)
        assert [reject.code for reject in receipt.rejects] == ["bad_json"]
        assert len(node.engine.submits) > 2


async def test_a_lost_source_comes_back_after_its_last_position(router):
    async with router() as node:
        FakeSource.feed.put_nowait(intake("a", position=b"7"))
        FakeSource.feed.put_nowait(Disconnected("cable"))
        FakeSource.feed.put_nowait(intake("b"))
        await FakeSource.acked.get()
        await FakeSource.acked.get()
        assert FakeSource.opened == [None, b"7"]
        assert len(FakeSource.closed) == 1
        assert pulse(node, "plant").reconnects == 1


async def test_a_faulty_source_is_restarted_and_then_down_and_visible_while_the_sink_goes_on(router):
    async with router() as node:
        for _ in range(QUICK.faults_max):
            FakeSource.feed.put_nowait(KeyError("oops"))
        await until(lambda: pulse(node, "plant").state == "down")
        assert pulse(node, "plant").faults == QUICK.faults_max
        assert "KeyError" in node.health().problems[0]
        await node.submit("plant", [message("a")])
        await settled(node, 1)


async def test_metas_that_do_not_fit_are_a_fault_and_nothing_is_submitted(router):
    async with router() as node:
        FakeSource.feed.put_nowait(intake("a", "b", metas=[{}]))
        await until(lambda: pulse(node, "plant").faults == 1)
        assert node.engine.submits == []


async def test_an_empty_intake_is_acknowledged_and_not_submitted(router):
    async with router() as node:
        FakeSource.feed.put_nowait(Intake(position=b"1"))
        _, receipt = await FakeSource.acked.get()
        assert receipt.accepted == 0
        assert node.engine.submits == []


async def test_a_full_engine_holds_the_source_back_until_there_is_room(router):
    async with router() as node:
        node.engine.capacity = 0
        FakeSource.feed.put_nowait(intake("a"))
        await until(lambda: len(node.engine.submits) >= 2)
        assert FakeSource.acked.empty()
        node.engine.capacity = 10
        node.engine._wake()
        _, receipt = await FakeSource.acked.get()
        assert receipt.accepted == 1


async def test_a_submit_that_finds_no_room_raises_and_admits_nothing(router):
    async with router() as node:
        node.engine.capacity = 0
        with pytest.raises(Full):
            await node.submit("plant", [message("a")], wait_s=0.02)


async def test_a_synchronous_sender_is_refused_after_a_second(router):
    async with router(SMALL.replace("plant: {adapter: fake}", "plant: {adapter: box}")) as node:
        await until(lambda: pulse(node, "plant").state == "up")
        node.engine.capacity = 0
        with pytest.raises(Full, match="business"):
            await node.inbox("plant").offer(intake("a"))
        node.engine.capacity = 9
        receipt = await node.inbox("plant").offer(intake("b", ack="memory"))
        assert receipt.accepted == 1
        assert node.engine.submits[-1][3:] == ("memory", True)
    with pytest.raises(UnknownName):
        node.inbox("erp")


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ([Done("4900012345")], ("done", "4900012345")),
        ([Refused("http_422", "no such order")], ("refused", "http_422: no such order")),
        ([InDoubt("timeout")], ("in_doubt", "timeout")),
        ([], ("in_doubt", "0 outcomes for 1 events")),
        ([Done(), Done()], ("in_doubt", "2 outcomes for 1 events")),
        (["nonsense"], ("in_doubt", "unknown outcome str")),
        (KeyError("x"), ("in_doubt", "KeyError: 'x'")),
        (TimeoutError(), ("in_doubt", "no answer within 30 s")),
        (Disconnected("reset", sent=True), ("in_doubt", "reset")),
        (AdapterError("odd"), ("in_doubt", "AdapterError: odd")),
    ],
)
async def test_an_outcome_is_settled_as_it_was_said(router, answer, how):
    async with router() as node:
        FakeSink.answers.append(answer)
        await node.submit("plant", [message("a")])
        assert (await settled(node, 1))[0] == ("a", *how)


async def test_a_retry_is_tried_again_after_a_bounded_pause(router):
    async with router() as node:
        FakeSink.answers.append([Retry(after_s=-5.0, judged=True)])
        FakeSink.answers.append([Retry(after_s=float("nan"))])
        await node.submit("plant", [message("a")])
        assert [how for _, how, _ in await settled(node, 3)] == ["retry", "retry", "done"]


async def test_a_sink_that_sent_nothing_retries_on_a_new_connection(router):
    async with router() as node:
        FakeSink.answers.append(Disconnected("refused", sent=False))
        await node.submit("plant", [message("a")])
        assert [how for _, how, _ in await settled(node, 2)] == ["retry", "done"]
        assert FakeSink.opened == 2


async def test_a_sink_that_cannot_open_keeps_trying(router):
    FakeSink.refuse_open = 4
    async with router() as node:
        await node.submit("plant", [message("a")])
        assert [how for _, how, _ in await settled(node, 1)] == ["done"]
        assert pulse(node, "erp").reconnects == 4


async def test_a_sink_that_fails_again_and_again_is_down_and_visible(router):
    async with router(SMALL.replace("in_flight: 4", "in_flight: 1")) as node:
        FakeSink.answers.extend(KeyError("x") for _ in range(9))
        await node.submit("plant", [message(f"n{n}") for n in range(9)])
        await until(lambda: pulse(node, "erp").state == "down")
        assert [how for _, how, _ in node.engine.settlements] == ["in_doubt"] * QUICK.faults_max
        assert not node.health().ready


async def test_a_sink_that_keeps_no_order_among_writes_has_one_at_a_time(router, monkeypatch):
    async def most():
        FakeSink.reset()
        FakeSink.answers.extend(slowly for _ in range(6))
        async with router() as node:
            await node.submit("plant", [message(f"n{n}") for n in range(6)])
            await settled(node, 6)
        return FakeSink.most

    async def slowly():
        for _ in range(20):
            await asyncio.sleep(0)
        return [Done()]

    assert await most() == 4
    monkeypatch.setattr(FakeSink, "writes_max", 1)
    assert await most() == 1


async def test_a_paused_sink_does_not_hold_up_a_stop_and_its_events_are_counted(router):
    node = router()
    async with node:
        node.engine.pause("erp")
        await node.submit("plant", [message("a")])
        async with asyncio.timeout(2):
            assert await node.stop() == 1


async def test_writes_run_side_by_side_up_to_the_limit_and_never_two_of_a_key(router):
    FakeSink.gate = asyncio.Event()
    async with router() as node:
        await node.submit("plant", [message(f"x{n}", "same") for n in range(3)])
        await FakeSink.seen.get()
        await node.submit("plant", [message(f"y{n}") for n in range(9)])
        await until(lambda: FakeSink.seen.qsize() == 3)
        FakeSink.gate.set()
        await settled(node, 12)
        assert FakeSink.most == 4
        assert [name for name in FakeSink.written if name.startswith("x")] == ["x0", "x1", "x2"]


async def test_a_sink_gets_as_many_events_at_once_as_it_can_take(router):
    async with router(SMALL.replace("erp: {adapter: fake,", "erp: {adapter: many,")) as node:
        node.engine.pause("erp")
        await node.submit("plant", [message(f"n{n}") for n in range(150)])
        node.engine.resume("erp")
        await settled(node, 150)
        assert [len(await BatchSink.seen.get()) for _ in range(2)] == [100, 50]


async def test_a_write_that_hangs_is_in_doubt_after_its_timeout(router):
    FakeSink.gate = asyncio.Event()
    async with router(SMALL.replace("in_flight: 4", "timeout: 20ms")) as node:
        await node.submit("plant", [message("a")])
        assert await settled(node, 1) == [("a", "in_doubt", "no answer within 0.02 s")]
        FakeSink.gate.set()


async def test_a_rate_is_kept(router):
    loop = asyncio.get_running_loop()
    async with router(SMALL.replace("in_flight: 4", "rate: 100/s")) as node:
        began = loop.time()
        await node.submit("plant", [message(f"n{n}") for n in range(40)])
        await settled(node, 40)
        assert loop.time() - began >= 0.28


async def test_a_stop_delivers_what_is_queued(router):
    node = router()
    async with node:
        FakeSink.gate = asyncio.Event()
        await node.submit("plant", [message(f"n{n}") for n in range(20)])
        await FakeSink.seen.get()
        stopping = asyncio.create_task(node.stop())
        await until(lambda: node.draining)
        FakeSink.gate.set()
        assert await stopping == 0
    assert len(FakeSink.written) == 20
    assert node.engine.closed


async def test_a_stop_that_is_out_of_time_says_how_many_are_left(router):
    node = router()
    async with node:
        FakeSink.gate = asyncio.Event()
        await node.submit("plant", [message(f"n{n}") for n in range(10)])
        await FakeSink.seen.get()
        assert await node.stop(drain_timeout_s=0.05) == 6
    assert [how for _, how, _ in node.engine.settlements] == ["in_doubt"] * 4


async def test_what_was_read_before_a_stop_is_still_submitted_and_acknowledged(router):
    node = router()
    async with node:
        FakeSource.feed.put_nowait(intake("a"))
        await FakeSource.acked.get()
        FakeSink.gate = None
        slow = FakeSource.hold = asyncio.Event()
        FakeSource.feed.put_nowait(intake("b"))
        await until(lambda: len(node.engine.submits) == 2)
        stopping = asyncio.create_task(node.stop())
        await until(lambda: node.draining)
        slow.set()
        assert await stopping == 0
        read, _ = FakeSource.acked.get_nowait()
        assert read.messages == [message("b")]


async def test_a_hurry_ends_a_source_that_is_stuck(router):
    node = router()
    async with node:
        FakeSource.hold = asyncio.Event()
        FakeSource.feed.put_nowait(intake("a"))
        await until(lambda: len(node.engine.submits) == 1)
        stopping = asyncio.create_task(node.stop())
        await until(lambda: node.draining)
        node.hurry()
        async with asyncio.timeout(5):
            await stopping


async def test_a_second_router_on_one_data_folder_is_refused(router):
    async with router():
        with pytest.raises(Locked, match=f"process {os.getpid()}"):
            await router().start()
    async with router():
        pass


async def test_a_reload_touches_only_what_changed(router, project):
    async with router() as node:
        await until(lambda: pulse(node, "erp").state == "up" and FakeSource.opened)
        project(SMALL.replace("sinks:\n", "sinks:\n  wms: {adapter: many}\n"))
        assert await node.reload() == []
        await until(lambda: pulse(node, "wms").state == "up")
        assert len(FakeSource.opened) == 1
        assert FakeSink.opened == 1
        project(SMALL.replace("plant: {adapter: fake}", "plant: {adapter: fake, url: x}"))
        await node.reload()
        await until(lambda: len(FakeSource.opened) == 2)
        assert sorted(one.name for one in node.pulses()) == ["erp", "plant"]
        assert len(FakeSource.closed) == 1


async def test_a_bad_reload_keeps_the_old_plan_and_says_so(router, project):
    async with router() as node:
        plan = node.engine.plan
        project(SMALL.replace("to: erp", "to: nobody"))
        with pytest.raises(ConfigError, match="nobody"):
            await node.reload()
        assert node.engine.plan is plan
        project(SMALL.replace("data_dir: ./data", "data_dir: ./other"))
        with pytest.raises(ConfigError, match="cannot change while the node runs"):
            await node.reload()
        project(SMALL)
        await node.reload()
        assert node.engine.plan is not plan


async def test_a_node_that_cannot_start_leaves_nothing_behind(router, registry):
    node = router(NODE)
    node.services = (Refusing,)
    with pytest.raises(RuntimeError, match="no"):
        await node.start()
    assert node.engine.closed
    async with router(NODE):
        pass


class Refusing:
    def __init__(self, router):
        pass

    async def __aenter__(self):
        raise RuntimeError("no")

    async def __aexit__(self, *_):
        pass


async def test_sigterm_drains_sighup_reloads_and_a_second_sigterm_stops(router, project):
    ready = asyncio.Event()
    node = router()
    FakeSink.gate = asyncio.Event()
    served = asyncio.create_task(serve(node, on_ready=ready.set))
    await ready.wait()
    plan = node.engine.plan
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: node.engine.plan is not plan)
    await node.submit("plant", [message(f"n{n}") for n in range(10)])
    await FakeSink.seen.get()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: node.draining)
    assert not served.done()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await served > 0
    assert node.engine.closed


async def test_a_lone_event_leaves_at_once_a_hundred_times(router):
    loop = asyncio.get_running_loop()
    async with router(tempo=QUICK) as node:
        for number in range(100):
            began = loop.time()
            await node.submit("plant", [message(f"n{number}")])
            await settled(node, number + 1)
            assert loop.time() - began < 1.0
