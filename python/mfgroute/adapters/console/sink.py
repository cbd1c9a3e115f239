"""Print events, for a first look and for demos."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink
from mfgroute.adapters.plain import escaped, excerpt
from mfgroute.adapters.worker import Worker
from mfgroute.errors import AdapterError
from mfgroute.events import Done, Event, Outcome

__all__ = ["ConsoleSink", "ConsoleSinkConfig"]


class ConsoleSinkConfig(Config):
    """How events are shown."""

    format: Annotated[
        Literal["line", "json"],
        Meta(description="`line`: stream, offset, type, key and data; `json`: the whole CloudEvent"),
    ] = "line"
    line_max: Annotated[
        int, Meta(ge=80, le=1_000_000, description="Most characters of a `line`; the rest is shown as `…`")
    ] = 2000


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class ConsoleSink(Sink):
    r"""Write one line per event to standard output.

    Whatever an event holds, a line is one line: control, bidi and invisible characters are shown as
    ``\uXXXX`` and never reach the terminal.
    """

    Config = ConsoleSinkConfig
    refuses_single = False
    writes_max = 1
    batch_max = 500

    def __init__(self, config: ConsoleSinkConfig, context: Context) -> None:
        del context
        self._config = config
        self._worker = Worker("console sink")

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Print the events.

        Raises:
            AdapterError: standard output is closed.
        """
        text = "".join(self._line(event) + "\n" for event in events)
        # In a thread of its own: a terminal or pipe that nobody reads must not stop the node.
        await self._worker.call(_print, text)
        return [Done()] * len(events)

    async def close(self) -> None:
        """Let the thread end."""
        self._worker.end()

    def _line(self, event: Event) -> str:
        if self._config.format == "json":
            # Outside of strings JSON has no other control characters than these, and there they are space.
            return escaped(event.json.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\t", b" "))
        try:
            data = bytes(_ENVELOPE.decode(event.json).data)
        except msgspec.DecodeError:
            data = event.json
        head = f"{event.stream}/{event.offset} {event.type} {event.key} "
        return excerpt(escaped(head) + escaped(data), self._config.line_max)


def _print(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        raise AdapterError(f"cannot write to standard output: {error}") from error
