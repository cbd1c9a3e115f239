"""Shared pieces of the adapter tests."""

import asyncio
import time
from pathlib import Path

import pytest

from mfgroute.adapter import Context
from mfgroute.events import Event


def make_event(
    n: int = 1, *, kind="com.example.test.happened.v1", data: bytes = b'{"n":1}', key=None, stream="business"
):
    id_ = f"00000000-0000-8000-8000-{n:012d}"
    body = b'{"specversion":"1.0","id":"%s","source":"//DE04/mes-a","type":"%s","data":%s}' % (
        id_.encode(), kind.encode(), data,
    )  # fmt: skip
    return Event(id=id_, type=kind, key=key or f"order/DE04/{n}", offset=n, json=body, stream=stream)


async def until(condition, timeout_s: float = 5.0):
    """Wait for something that is seen only by looking; not a pause, a deadline."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(name="it", node="node-1", site="DE04", project_dir=tmp_path, data_dir=tmp_path / "data")


HOSTILE = [
    "",
    "\x00\x01\x07\x08\x1b[31mred\x1b[0m\x7f",
    "a\r\nb\nc\u2028d\u2029e\x85f",
    "\u202eevil\u202c \u2066x\u2069 \u200b\u200d\ufeff",
    "\x9b31mC1",
    "../../etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
    "$(touch /tmp/pwned) `id` ${HOME} %s%n {0} {type}",
    "<script>alert(1)</script>",
    "'; DROP TABLE x; --",
    "\U000e0041\U000e0042 \U0001f469\u200d\U0001f469 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "ﷺ" * 50,
    "." * 300,
    "CON",
    "\ufffe\uffff",
]


@pytest.fixture
async def erp():
    """A target that answers as it is told."""
    from .http_target import serving

    async with serving() as target:
        yield target
