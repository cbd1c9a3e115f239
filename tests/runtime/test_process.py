import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from fakes_runtime import NODE, message

from mfgroute.api.client import Control

HERE = Path(__file__).parent
PROJECT = (
    NODE
    + """\
http: {listen: "127.0.0.1:0"}
streams: {business: {durability: memory}}
sources: {mes: {adapter: box, token: "${TOKEN}"}}
sinks: {erp: {adapter: fake}}
"""
)
TOKEN = "canary-token-4711"


@pytest.fixture
async def start(project):
    running = []

    async def of(text=PROJECT, *arguments):
        environ = {**os.environ, "TOKEN": TOKEN, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "node_process.py"),
            str(project(text)),
            *arguments,
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(process)
        return process, (await process.stdout.readline()).decode().split()

    yield of
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_taken(port):
    async with aiohttp.ClientSession() as http:
        for _ in range(200):
            async with http.post(
                f"http://127.0.0.1:{port}/v1/sources/mes",
                data=message("a"),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
            ) as answer:
                if answer.status == 202:
                    return
                await asyncio.sleep(0.01)  # The inbox opens a moment after the listener.
    raise AssertionError("never taken")


async def test_a_node_runs_on_uvloop_takes_messages_and_ends_with_its_log_in_json(start, tmp_path):
    process, (word, port, loop) = await start()
    assert (word, loop) == ("ready", "uvloop")
    await until_taken(port)
    process.send_signal(signal.SIGTERM)
    out, errors = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["event"] for line in lines] == ["listening", "started", "stopped"]
    assert b"canary" not in out + errors
    assert not (tmp_path / "data" / "control.sock").exists()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_events_that_a_stop_leaves_behind_are_an_error_with_their_number(start, tmp_path):
    process, (_, port, _) = await start()
    with Control(tmp_path / "data") as control:
        control.ask("pause", sink="erp")
    await until_taken(port)
    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert process.returncode == 1
    last = json.loads(errors.splitlines()[-1])
    assert (last["level"], last["events"]) == ("error", 1)


async def test_a_second_node_on_one_data_folder_says_who_has_it(start):
    first, _ = await start()
    second, words = await start()
    assert await second.wait() == 75
    assert words[-1] == str(first.pid)


async def test_a_bad_reload_by_signal_is_logged_and_the_node_goes_on(start, project):
    process, (_, port, _) = await start()
    project(PROJECT.replace("sinks:", "sink:"))
    process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while b"the old one goes on" not in (line := await process.stderr.readline()):
            assert line
    assert "unknown key `sink`" in json.loads(line)["problems"]
    await until_taken(port)


async def test_a_watched_project_is_reloaded_when_it_changes(start, project):
    process, _ = await start(PROJECT, "--watch")
    async with asyncio.timeout(20):
        while b'"watching"' not in await process.stderr.readline():
            pass
        project(PROJECT.replace("sinks: {erp:", "sinks: {wms: {adapter: fake}, erp:"))
        while b'"reloaded"' not in await process.stderr.readline():
            pass
