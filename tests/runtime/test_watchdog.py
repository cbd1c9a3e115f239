"""A node that hangs: told by the log, and ended so that it is started again."""

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from fakes_runtime import NODE
from test_real_engine import CONTRACT, MAPPING, message

import mfgroute
from mfgroute.observe import logs
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.watchdog import Watchdog

TICK_S = 0.01
SHORT = Tempo(hang_told_s=0.05, hang_ended_s=0.2)


@pytest.fixture
def told():
    stream = io.BytesIO()
    logs.configure(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.unconfigure()


async def test_a_loop_that_turns_is_left_alone(told):
    # A hang is 100 turns of its thread in which the loop does not turn once.
    with Watchdog(Tempo(hang_told_s=1.0, hang_ended_s=60.0), tick_s=TICK_S, end=pytest.fail):
        for _ in range(150):
            await asyncio.sleep(TICK_S)
    assert told() == []


async def test_a_loop_that_hangs_is_told_with_its_task_and_ended(told):
    ended = threading.Event()
    codes = []

    def end(code):
        codes.append(code)
        ended.set()

    async def stuck():
        assert ended.wait(20)

    with Watchdog(SHORT, tick_s=TICK_S, end=end):
        await asyncio.create_task(stuck(), name="sink erp")
    hangs, over = told()
    assert (hangs["event"], hangs["level"], hangs["task"]) == ("the node hangs", "error", "sink erp")
    assert any("test_watchdog.py" in place and place.endswith(" stuck") for place in hangs["at"])
    assert (over["event"], over["level"], codes) == ("ended, since the node hangs", "critical", [70])


async def test_a_loop_that_goes_on_in_time_is_not_ended(told):
    said = threading.Event()

    async def slow():
        while not any(one["event"] == "the node hangs" for one in told()):
            assert not said.wait(0.001)

    tempo = Tempo(hang_told_s=0.05, hang_ended_s=60.0)
    with Watchdog(tempo, tick_s=TICK_S, end=lambda code: pytest.fail("ended")):
        await slow()
        async with asyncio.timeout(10):
            while len(told()) < 2:  # noqa: ASYNC110 - the thread does it
                await asyncio.sleep(TICK_S)
    assert [one["event"] for one in told()] == ["the node hangs", "the node goes on"]


NODE_WITH_DEADLOCK = """
import asyncio, sys, threading
from mfgroute.adapter import Config, Inbox, Sink, Source
from mfgroute.adapters.files import FilesSource
from mfgroute.observe import logs
from mfgroute.registry import Registry
from mfgroute.runtime.app import Router
from mfgroute.runtime.daemon import serve
from mfgroute.runtime.tempo import Tempo

lock = threading.Lock()
lock.acquire()

class Deadlock(Sink):
    Config = Config
    def __init__(self, config, context): pass
    async def write(self, events):
        lock.acquire()

logs.configure()
tempo = Tempo(hang_told_s=1.0, hang_ended_s=2.0)
router = Router(sys.argv[1], adapters=Registry({"files": FilesSource}, {"deadlock": Deadlock}), tempo=tempo)
asyncio.run(serve(router))
"""


def test_a_process_with_a_deadlocked_sink_ends_with_70_and_has_lost_nothing_acknowledged(tmp_path):
    files = {
        "mfgroute.yaml": NODE
        + "streams: {business: {durability: fsync, capacity: 16MiB}}\n"
        + 'sources: {plant: {adapter: files, path: "./in/*.json", mappings: [done]}}\n'
        + "sinks: {erp: {adapter: deadlock}}\n"
        + 'routes: [{name: all, match: {type: ">"}, to: erp}]\n',
        "contracts/production.done.v1.yaml": CONTRACT,
        "mappings/done.yaml": MAPPING,
        "in/a.json": message(1).decode(),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", NODE_WITH_DEADLOCK, str(tmp_path)],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 70, done.stderr.decode()
    said = [json.loads(line) for line in done.stderr.splitlines()]
    hangs = next(one for one in said if one["event"] == "the node hangs")
    assert hangs["task"] == "sink erp: a write"
    (tmp_path / "mfgroute.yaml").write_text(files["mfgroute.yaml"].replace("deadlock", "console"))
    engine = mfgroute.Engine(mfgroute.load_plan(tmp_path), data_dir=str(tmp_path / "data"))
    with closing(engine), engine.poll("erp", wait_s=20) as batch:
        assert [event.key for event in batch.events] == ["order/4711"]
        batch.done_all()
