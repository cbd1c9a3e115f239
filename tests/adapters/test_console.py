import asyncio
import io
import json
import os
import re
import sys
import unicodedata

import msgspec
import pytest

from mfgroute.adapters.console import ConsoleSink, ConsoleSinkConfig
from mfgroute.errors import AdapterError
from mfgroute.events import Done

from .conftest import HOSTILE, make_event


async def printed(monkeypatch, config, *events, encoding="utf-8"):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline=""))
    sink = ConsoleSink(config, None)
    await sink.open()
    assert await sink.write(events) == [Done()] * len(events)
    await sink.close()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_an_event_holds_a_line_is_one_harmless_line(monkeypatch, context, form, text):
    # The engine writes other characters than quotes, backslashes and controls as they are; so do we here.
    data = json.dumps({"t": text}, ensure_ascii=False).encode("utf-8", "replace")
    event = make_event(data=data, key=text, kind=text.replace('"', "").replace("\\", "") or "x")
    out = await printed(monkeypatch, ConsoleSinkConfig(format=form), event)
    assert out.endswith("\n")
    assert out.count("\n") == 1
    bad = [c for c in out[:-1] if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]
    assert bad == []


async def test_escaped_json_is_the_same_json(monkeypatch, context):
    data = json.dumps({"t": "".join(HOSTILE)}, ensure_ascii=False).encode("utf-8", "replace")
    event = make_event(data=data)
    out = await printed(monkeypatch, ConsoleSinkConfig(format="json"), event)
    assert json.loads(out) == json.loads(event.json)


async def test_pretty_json_is_still_one_line(monkeypatch, context):
    event = make_event(data=b'{\r\n\t"a": 1\n}')
    out = await printed(monkeypatch, ConsoleSinkConfig(format="json"), event)
    assert out.count("\n") == 1
    assert json.loads(out)["data"] == {"a": 1}


async def test_a_terminal_without_unicode_gets_escapes(monkeypatch, context):
    out = await printed(
        monkeypatch, ConsoleSinkConfig(), make_event(data='"grün €"'.encode()), encoding="ascii"
    )
    assert "gr\\xfcn" in out


async def test_a_long_line_is_shortened(monkeypatch, context):
    out = await printed(
        monkeypatch, ConsoleSinkConfig(line_max=100), make_event(data=b'"' + b"x" * 500 + b'"')
    )
    assert re.fullmatch(r".{99}…\n", out)


async def test_closed_output_is_an_error_of_the_adapter(monkeypatch, context):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(AdapterError, match="standard output"):
        await ConsoleSink(ConsoleSinkConfig(), context).write([make_event()])


def test_an_unknown_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({"colour": True}, ConsoleSinkConfig)


async def test_a_pipe_that_nobody_reads_holds_no_thread_of_others(context, monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout, os.fdopen(reading, "rb") as other:
        monkeypatch.setattr(sys, "stdout", stdout)
        sink = ConsoleSink(ConsoleSinkConfig(), context)
        await sink.open()
        event = make_event(data=b'"' + b"x" * 900 + b'"')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.write([event] * 100), 0.05)
        for _ in range(40):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sink.write([event]), 0.001)
        assert await asyncio.wait_for(asyncio.to_thread(int), 5) == 0
        last = asyncio.create_task(sink.write([event]))
        read = 0
        while not last.done():
            read += await asyncio.to_thread(lambda: len(other.read1(65536)))
        assert last.result() == [Done()]
        await sink.close()
        assert read >= 65536
