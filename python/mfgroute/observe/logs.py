"""Logs: one JSON object per line, safe to show in a terminal, without secrets and without payloads."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

from mfgroute.observe.text import safe

_DEPTH_MAX = 4
_ITEMS_MAX = 64
_FRAMES_MAX = 16
_SECRET_WORDS = ("token", "password", "passwd", "secret", "authorization", "api_key", "apikey", "private_key")
_MASK = "********"


class _Writer:
    """Where finished lines go: the configured stream, or the logger ``mfgroute`` of an embedding program."""

    def __init__(self) -> None:
        self.stream: BinaryIO | None = None
        self.level = logging.DEBUG

    def log(self, level: int, line: bytes) -> None:
        """Write one line."""
        if self.stream is None:
            logging.getLogger("mfgroute").log(level, "%s", line.decode())
            return
        try:
            self.stream.write(line + b"\n")
            self.stream.flush()
        except (OSError, ValueError):
            # Whoever read our log is gone, or the stream is closed. Events must flow all the same, and
            # there is nobody to tell.
            return

    def debug(self, line: bytes) -> None:
        """Write one line, as the following do."""
        self.log(logging.DEBUG, line)

    def info(self, line: bytes) -> None:
        self.log(logging.INFO, line)

    def warning(self, line: bytes) -> None:
        self.log(logging.WARNING, line)

    def error(self, line: bytes) -> None:
        self.log(logging.ERROR, line)

    def critical(self, line: bytes) -> None:
        self.log(logging.CRITICAL, line)


_WRITER = _Writer()


def get_logger(**context: Any) -> Any:
    """A structlog logger with our processors, whatever an embedding program does with structlog."""
    return structlog.wrap_logger(
        _WRITER,
        processors=[_drop, structlog.processors.add_log_level, _stamp, _exception, _clean, _render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind(**context)


def configure(*, level: str = "info", stream: BinaryIO | None = None) -> None:
    """Send our logs and those of the libraries to `stream` (standard error if not given) from `level` on.

    Without this call our lines go to the logger ``mfgroute`` of the standard library.
    """
    _WRITER.level = logging.getLevelNamesMapping()[level.upper()]
    _WRITER.stream = stream or sys.stderr.buffer
    root = logging.getLogger()
    if not any(isinstance(handler, _Bridge) for handler in root.handlers):
        root.addHandler(_Bridge())
    root.setLevel(max(_WRITER.level, logging.WARNING))


def unconfigure() -> None:
    """Undo `configure`."""
    _WRITER.stream = None
    _WRITER.level = logging.DEBUG
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)


def _drop(_logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if logging.getLevelNamesMapping()[name.upper()] < _WRITER.level:
        raise structlog.DropEvent
    return event


class _Bridge(logging.Handler):
    """Brings the logs of libraries into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a record that cannot be formatted is written without its arguments."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        _LIBRARIES.log(record.levelno, message, logger=record.name, exc_info=record.exc_info)


def _stamp(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return event


def _exception(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Type, message and places of an exception; no values of variables."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
        event["error"] = f"{type(error).__name__}: {error}"
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _clean(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {safe(str(key), 64): _value(str(key), value, 0) for key, value in event.items()}


def _value(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if any(word in key.lower() for word in _SECRET_WORDS):
        return _MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, dict) and depth < _DEPTH_MAX:
        items = list(value.items())[:_ITEMS_MAX]
        return {safe(str(name), 64): _value(str(name), child, depth + 1) for name, child in items}
    if isinstance(value, list | tuple) and depth < _DEPTH_MAX:
        return [_value("", child, depth + 1) for child in value[:_ITEMS_MAX]]
    return safe(str(value))


def _render(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> bytes:
    ordered = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS)


_LIBRARIES = get_logger()
