"""Run one simulated system as a process until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.testing.simulators import SIMULATORS, S4Simulator, Simulator


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m mfgroute.testing.simulators", description=__doc__)
    parser.add_argument("system", choices=sorted((*SIMULATORS, S4Simulator.system)), help="which system")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written when the server listens: system, url, pid")
    parser.add_argument("--setup", type=Path, help="master data as JSON")
    parser.add_argument("--kept-s", type=float, default=86_400.0, help="how long idempotency keys are kept")
    parser.add_argument("--journal", type=Path, help="of s4: keeps what it has done over a kill")
    arguments = parser.parse_args()
    if arguments.journal is not None and arguments.system != S4Simulator.system:
        parser.error(f"--journal is of {S4Simulator.system}, not of {arguments.system}")
    asyncio.run(_serve(arguments))


def _simulator(arguments: argparse.Namespace) -> Simulator | S4Simulator:
    if arguments.system == S4Simulator.system:
        return S4Simulator(kept_s=arguments.kept_s, journal=arguments.journal)
    return SIMULATORS[arguments.system](kept_s=arguments.kept_s)


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    simulator = await asyncio.to_thread(_simulator, arguments)
    if arguments.setup is not None:
        content = await asyncio.to_thread(arguments.setup.read_bytes)
        document = msgspec.json.decode(content, type=dict[str, Any])
        if isinstance(simulator, S4Simulator):
            simulator.open(document)
        else:
            simulator.setup(document)
    await simulator.start(arguments.host, arguments.port)
    try:
        if arguments.ready_file is not None:
            ready = {"system": simulator.system, "url": simulator.url, "pid": os.getpid()}
            await asyncio.to_thread(_write_whole, arguments.ready_file, msgspec.json.encode(ready))
        await stopped.wait()
    finally:
        await simulator.stop()


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that readers see whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    main()
