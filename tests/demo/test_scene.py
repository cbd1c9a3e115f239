"""Counters of a core that is killed while it is asked for them."""

import asyncio
import contextlib
import os

import aiohttp
import pytest

from mfgroute.testing.demo.folder import Folder
from mfgroute.testing.demo.processes import Processes
from mfgroute.testing.demo.scene import Scene

COUNTED = {"sinks": {"erp": {"delivered": 3}}}
NOW = b'{"ok": true, "result": {"sinks": {"erp": {"delivered": 2}}}}\n'


@contextlib.asynccontextmanager
async def core(folder, answer):
    """A control socket that answers as told."""
    data = folder.core / "data"
    data.mkdir(parents=True)

    async def serve(reader, writer):
        await reader.readline()
        writer.write(answer())
        writer.close()

    handle = os.open(data, os.O_PATH | os.O_DIRECTORY)  # The address of a socket is short.
    try:
        async with await asyncio.start_unix_server(serve, f"/proc/self/fd/{handle}/control.sock"):
            yield
    finally:
        os.close(handle)


@pytest.fixture
async def scene(tmp_path):
    async with aiohttp.ClientSession() as http, Processes(tmp_path) as processes:
        with Folder(tmp_path / "demo") as folder:
            found = Scene(folder, processes, http)
            found._core = object()
            yield found


async def test_a_core_that_is_killed_while_it_is_asked_has_counted_what_it_had(scene):
    def die():
        scene._gone, scene._core = COUNTED, None
        return b""

    async with core(scene.folder, die):
        assert await scene.stats("core") == COUNTED


async def test_what_is_answered_just_before_the_end_is_not_counted_twice(scene):
    def die():
        scene._gone, scene._core = COUNTED, None
        return NOW

    async with core(scene.folder, die):
        assert (await scene.stats("core"))["sinks"]["erp"]["delivered"] == 2


async def test_a_core_that_says_nothing_though_it_runs_is_an_error(scene):
    async with core(scene.folder, lambda: b""):
        with pytest.raises(ValueError, match="closed the connection"):
            await scene.stats("core")


async def test_two_lives_are_added_up(scene):
    scene._gone = COUNTED
    async with core(scene.folder, lambda: NOW):
        assert (await scene.stats("core"))["sinks"]["erp"]["delivered"] == 5
