"""Questions to a running node through its control socket, without holding up the story."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["ask"]

_ANSWER_BYTES_MAX = 16 << 20
_ANSWER_S = 10.0


async def ask(data_dir: Path, verb: str, **arguments: Any) -> Any:
    """Ask the node that runs on `data_dir`.

    Raises:
        OSError: none runs there.
        ValueError: it does not answer, or refuses.
    """
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # The address of a socket holds 107 bytes; folders of tests have longer names.
        address = f"/proc/self/fd/{folder}/control.sock"
        reader, writer = await asyncio.open_unix_connection(address, limit=_ANSWER_BYTES_MAX)
    finally:
        os.close(folder)
    try:
        async with asyncio.timeout(_ANSWER_S):
            writer.write(msgspec.json.encode({"verb": verb, **arguments}) + b"\n")
            line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ValueError(f"the node on {data_dir} closed the connection")
    answer = msgspec.json.decode(line)
    if not answer["ok"]:
        raise ValueError(answer["error"]["message"])
    return answer["result"]
