"""The scene of the story: all processes, up and connected, and how to speak to each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from mfgroute.testing.demo.control import ask
from mfgroute.testing.demo.folder import Folder, free_ports
from mfgroute.testing.demo.openings import Change, Fault, MachinesOpening, SystemsOpening
from mfgroute.testing.demo.processes import Child, ChildDied, Processes
from mfgroute.testing.demo.wan import Wan
from mfgroute.testing.story import SYSTEMS, Misbehave, Post, Reopen, Signal, Signals, Story
from mfgroute.testing.story.postings import told

__all__ = ["TOKENS", "Scene"]

#: As the two projects have them.
TOKENS = {
    "mes-a": "demo-token-of-mes-a",
    "mes-b": "demo-token-of-mes-b",
    "erp-orders": "demo-token-of-the-erp",
    "qms": "demo-token-of-the-qms",
}
#: Long, for machines with much else to do; without load it takes a tenth.
_READY_S = 100.0
_LOOK_S = 0.05
#: How long a refusal is waited for, the end of an outage included.
_PARKED_S = 90.0


class Scene:
    """Everything that runs.

    Args:
        folder: to work in.
        processes: where to start them.
        http: for everything that is posted.
    """

    def __init__(self, folder: Folder, processes: Processes, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.http = http
        self.urls: dict[str, str] = {}
        self._processes = processes
        self._nodes: dict[str, str] = {}
        self._base = datetime.now(UTC)
        self._machines: Child | None = None
        self._core: Child | None = None
        self._gone: dict[str, Any] | None = None
        self.wan: Wan | None = None

    async def open(
        self,
        story: Story,
        faults: dict[str, Fault],
        say: Callable[[str, int], None],
        *,
        outage: bool = False,
    ) -> None:
        """Start all processes and wait until each is ready and connected.

        Args:
            story: gives master data and what stands on the machines.
            faults: of systems.
            say: told the name and the id of each process when it is ready.
            outage: put a line that can be cut between edge and core.

        Raises:
            ChildDied: one ended.
            TimeoutError: one does not become ready.
        """
        core, edge, link, machines_port, line = free_ports(5)
        if outage:
            self.wan = Wan(link)
            await self.wan.open(line)
        self._nodes = {"core": f"http://127.0.0.1:{core}", "edge": f"http://127.0.0.1:{edge}"}
        async with asyncio.timeout(_READY_S):
            plant = await self._start("machines", self._opening(story, machines_port))
            business = await self._start("systems", SystemsOpening(story.setup, faults))
            self.urls = msgspec.json.decode((await business.read()).strip(), type=dict[str, str])
            say("systems", business.process.pid)
            self.folder.write_projects(
                {
                    "MFGROUTE_CORE_PORT": str(core),
                    "MFGROUTE_EDGE_PORT": str(edge),
                    "MFGROUTE_LINK_PORT": str(link),
                    "OPCUA_URL": f"opc.tcp://127.0.0.1:{machines_port}",
                    **{f"{name.upper()}_URL": url for name, url in self.urls.items()},
                },
                link_of_edge=line if outage else link,
            )
            self._core = await self._run("core")
            nodes = {"core": self._core}
            await plant.read()
            self._machines = plant
            say("machines", plant.process.pid)
            nodes["edge"] = await self._run("edge")
            for name, node in nodes.items():
                await self._ready(node)
                say(name, node.process.pid)

    async def post(self, post: Post) -> tuple[int, dict[str, Any]]:
        """Post a message to its inbox; status and answer."""
        headers = {"Content-Type": post.content_type, "Authorization": f"Bearer {TOKENS[post.source]}"}
        url = f"{self._nodes[post.node]}/v1/sources/{post.source}"
        async with self.http.post(url, data=post.body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def misbehave(self, wish: Misbehave) -> None:
        """Let a system misbehave."""
        body = {"kind": wish.kind, "times": wish.times, "after_s": wish.after_s, **wish.more}
        async with self.http.post(f"{self.urls[wish.system]}/misbehave", json=body) as answer:
            answer.raise_for_status()

    async def reopen(self, step: Reopen) -> int | None:
        """Wait until a refusal is parked, take its cause away, and try again all that waits with it.

        Returns:
            How many events are tried again; `None` if nothing was parked in time.
        """
        try:
            async with asyncio.timeout(_PARKED_S):
                while not await self._parked(step):  # noqa: ASYNC110 - another process parks it
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return None
        async with self.http.post(f"{self.urls[step.system]}/setup", json=step.setup) as answer:
            answer.raise_for_status()
        asked = {"kind": "parked", "verb": "retry-key", "key": step.key, "sink": step.system}
        done = await ask(self._data("core"), "dead_letters", request=asked)
        return int(done["retried"])

    async def _parked(self, step: Reopen) -> bool:
        asked = {"kind": "parked", "verb": "list", "sink": step.system}
        found = await ask(self._data("core"), "dead_letters", request=asked)
        return any((one["key"], one["code"]) == (step.key, step.code) for one in found)

    async def change(self, signal: Signal) -> None:
        """Change a node of a machine."""
        assert self._machines is not None, "the scene is not open"
        await self._machines.write(msgspec.json.encode(self._change(signal)))
        await self._machines.read()

    async def ledgers(self) -> dict[str, dict[str, Any]]:
        """What each system did until now."""

        async def ledger(system: str) -> dict[str, Any]:
            async with self.http.get(f"{self.urls[system]}/ledger") as answer:
                found: dict[str, Any] = await answer.json()
                return found

        found = dict(zip(SYSTEMS, await asyncio.gather(*map(ledger, SYSTEMS)), strict=True))
        return {**found, "erp": told(found["erp"])}

    async def stats(self, node: str) -> dict[str, Any]:
        """The counters of a node."""
        if node == "core" and self._core is None:
            assert self._gone is not None, "what it had counted was kept"
            return self._gone
        gone = self._gone
        try:
            found: dict[str, Any] = await ask(self._data(node), "stats")
        except (OSError, ValueError):
            if node == "core" and self._core is None and self._gone is not None:
                return self._gone  # It was killed while it was asked.
            raise
        return _both(gone, found) if node == "core" and gone else found

    async def kill_core(self) -> None:
        """Kill the core; what it has counted until now stays known."""
        assert self._core is not None, "it runs"
        gone, child = await self.stats("core"), self._core
        self._gone, self._core = gone, None
        await self._processes.kill(child)

    async def start_core(self) -> None:
        """Start the core again, and wait until it is ready."""
        child = await self._run("core")
        async with asyncio.timeout(_READY_S):
            await self._ready(child)
        self._core = child

    async def rejects(self, node: str) -> Any:
        """The kept rejects of a node."""
        asked = {"kind": "rejects", "verb": "list"}
        return await ask(self._data(node), "dead_letters", request=asked)

    async def _start(self, name: str, opening: msgspec.Struct) -> Child:
        child = await self._processes.start(name, ["-m", f"{__package__}.{name}"], talks=True)
        await child.write(msgspec.json.encode(opening))
        return child

    async def _ready(self, node: Child) -> None:
        """Wait until all parts of a node are connected and it says that it is ready."""
        while not await self._connected(node.name):
            if node.process.returncode is not None:
                raise ChildDied(node.name, node.process.returncode, node.log)
            await asyncio.sleep(_LOOK_S)
        async with self.http.get(f"{self._nodes[node.name]}/readyz") as answer:
            answer.raise_for_status()

    async def _connected(self, node: str) -> bool:
        try:
            parts = await ask(self._data(node), "adapters")
        except OSError:
            return False
        return all(part["state"] == "up" for part in parts)

    def _project(self, node: str) -> Path:
        return self.folder.edge if node == "edge" else self.folder.core

    def _data(self, node: str) -> Path:
        return self._project(node) / "data"

    async def _run(self, node: str) -> Child:
        return await self._processes.start(node, ["-m", "mfgroute", "run", "-c", str(self._project(node))])

    def _opening(self, story: Story, port: int) -> MachinesOpening:
        before = [signal for step in story.steps if isinstance(step, Signals) for signal in step.before]
        names = dict.fromkeys(signal.node.partition(".")[0] for signal in before)
        return MachinesOpening(port, list(names), [self._change(signal) for signal in before])

    def _change(self, signal: Signal) -> Change:
        return Change(signal.node, signal.value, self._base + timedelta(seconds=signal.at_s))


def _both(before: Any, now: Any) -> Any:
    """Counters of two lives of a node, added up; of anything else what is true now."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: _both(before.get(name), value) for name, value in now.items()}
    if isinstance(before, int) and isinstance(now, int) and not isinstance(now, bool):
        return before + now
    return now
