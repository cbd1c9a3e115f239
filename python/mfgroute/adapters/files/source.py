"""Take files out of a folder, oldest first, each exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from mfgroute.adapter import Config, Context, Source
from mfgroute.adapters.files.inbox import Claim, Inbox, Stamp, TooLarge, Unsafe
from mfgroute.adapters.plain import excerpt
from mfgroute.errors import Disconnected
from mfgroute.events import Intake, Receipt
from mfgroute.observe.logs import get_logger
from mfgroute.units import Size

__all__ = ["FilesSource", "FilesSourceConfig"]

_LINES = {".csv", ".txt", ".tsv", ".jsonl", ".ndjson", ".json"}
_BATCH_FILES_MAX = 100
_BATCH_BYTES_MAX = 4 << 20
_CLAIM_MAX = 1000
_NAMED_MAX = 10_000

_log = get_logger(adapter="files")


class FilesSourceConfig(Config):
    """Which files are taken, when, and how."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="Folder and name pattern, such as `./inbox/*.csv`; relative to the project",
        ),
    ]
    ready: Annotated[
        Literal["stable", "rename"],
        Meta(
            description="When a file is complete. `stable`: size and time did not change for `settle_s`. "
            "`rename`: at once, but never a name that ends in .tmp, .part or ~"
        ),
    ] = "stable"
    settle_s: Annotated[
        float, Meta(ge=0.0, le=3600.0, description="Seconds without a change after which a file is complete")
    ] = 2.0
    split: Annotated[
        Literal["auto", "lines", "whole"],
        Meta(
            description="`lines`: each line is a message; `whole`: the file is one message; "
            "`auto`: lines for .csv .tsv .txt .jsonl .ndjson .json, else whole"
        ),
    ] = "auto"
    size_max: Annotated[
        Size,
        Meta(description="A larger file goes to `failed/`, such as `64MiB`"),
    ] = Size(64 << 20)
    done: Annotated[
        Literal["move", "delete"],
        Meta(description="What becomes of a file that was taken: to `done/`, or deleted"),
    ] = "move"
    watch: Annotated[
        Literal["auto", "poll"],
        Meta(description="`auto`: the operating system reports changes, and polling covers what it misses"),
    ] = "auto"
    poll_s: Annotated[
        float, Meta(ge=0.01, le=3600.0, description="Seconds between two looks into the folder")
    ] = 1.0

    def __post_init__(self) -> None:
        """Refuse patterns that would silently match nothing."""
        if any(sign in str(Path(self.path).parent) for sign in "*?["):
            raise ValueError("only the last part of `path` may hold a pattern")


class _Taken(NamedTuple):
    """A claimed file in an intake."""

    claim: Claim
    stamp: Stamp


class _Loaded(NamedTuple):
    claim: Claim
    stamp: Stamp
    content: bytes


class FilesSource(Source):
    """Read a folder of files.

    A file is claimed by a rename, so of two nodes one gets it. It stays in the work folder until its
    intake is acknowledged, and a new source takes it again from there; dedup absorbs what had been
    admitted.
    """

    Config = FilesSourceConfig

    def __init__(self, config: FilesSourceConfig, context: Context) -> None:
        self._config = config
        self._size_max = config.size_max
        path = context.project_dir / config.path
        self._inbox = Inbox(path, f"{context.node}.{context.name}")
        self._ready: deque[Claim] = deque()
        self._growing: dict[Claim, float] = {}
        self._seen: dict[str, tuple[Stamp, float]] = {}
        self._named: set[str] = set()
        self._changed = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    async def open(self, resume: bytes | None) -> None:
        """Take the work folder; what an earlier run left in it comes first.

        Raises:
            Disconnected: the folder is not there or not readable.
            AdapterError: another process works in the same work folder.
        """
        del resume  # The work folder is the position.
        try:
            left = await asyncio.to_thread(self._inbox.open)
        except OSError as error:
            raise Disconnected(f"cannot read {self._inbox.folder}: {error}", sent=False) from error
        self._ready.extend(left)
        _log.info(
            "files_source_open", folder=str(self._inbox.folder), ready=self._config.ready, left_over=len(left)
        )
        if self._config.watch == "auto":
            self._watcher = asyncio.create_task(self._watch())

    async def read(self) -> Intake:
        """Wait for a file: one intake per file of lines, or one for many whole files.

        Raises:
            Disconnected: the folder went away.
        """
        try:
            while True:
                if not self._ready:
                    await self._look()
                while self._ready:
                    intake = await self._next()
                    if intake is not None:
                        return intake
                await self._pause()
        except OSError as error:
            raise Disconnected(f"lost {self._inbox.folder}: {error}") from error

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Move the files on: to ``failed/`` if the slab could not be taken apart, else to ``done/``."""
        taken: tuple[_Taken, ...] = intake.token  # type: ignore[assignment]
        for file in taken:
            if not await asyncio.to_thread(self._inbox.unchanged, file.claim, file.stamp):
                # Written to after it was complete: take it again, dedup absorbs the part we had.
                self._growing[file.claim] = time.monotonic()
                self._tell("file_changed_after_reading", file.claim.name)
            elif receipt.unsplittable:
                reject = receipt.rejects[0] if receipt.rejects else None
                code = reject.code if reject else "unsplittable"
                found = excerpt(f"{reject.found}; expected {reject.expected}") if reject else ""
                await self._fail(file.claim, code, found)
            else:
                await asyncio.to_thread(self._inbox.finish, file.claim, keep=self._config.done == "move")

    async def close(self) -> None:
        """Stop watching and give the work folder free."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._inbox.close()

    async def _look(self) -> None:
        """Claim what is complete, oldest first."""
        now = time.monotonic()
        for claim, since in list(self._growing.items()):
            if now - since >= self._config.settle_s:
                del self._growing[claim]
                self._ready.append(claim)
        rename = self._config.ready == "rename"
        files, refused = await asyncio.to_thread(self._inbox.waiting, finished_names_only=rename)
        for name in refused:
            self._tell("file_refused", name, reason="not a regular file")
        complete = files if rename else self._settled(files, now)
        oldest_first = sorted(complete, key=lambda name: (files[name].mtime_ns, name))
        for name in oldest_first[:_CLAIM_MAX]:
            ours = await asyncio.to_thread(self._inbox.claim, name, files[name])
            self._seen.pop(name, None)
            if ours is not None:
                self._ready.append(ours)

    def _settled(self, files: dict[str, Stamp], now: float) -> list[str]:
        seen = {}
        for name, stamp in files.items():
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == stamp else (stamp, now)
        self._seen = seen
        return [name for name, (_, since) in seen.items() if now - since >= self._config.settle_s]

    async def _next(self) -> Intake | None:
        """Make an intake of the next file, or of several whole ones."""
        first = await self._load(self._ready.popleft())
        if first is None:
            return None
        if self._by_lines(first.claim.name):
            return Intake(slab=first.content, meta=self._meta(first), token=(_Taken(*first[:2]),))
        batch, size = [first], len(first.content)
        while self._ready and len(batch) < _BATCH_FILES_MAX and size < _BATCH_BYTES_MAX:
            if self._by_lines(self._ready[0].name):
                break
            more = await self._load(self._ready.popleft())
            if more is not None:
                batch.append(more)
                size += len(more.content)
        return Intake(
            messages=[file.content for file in batch],
            metas=[self._meta(file) for file in batch],
            token=tuple(_Taken(*file[:2]) for file in batch),
        )

    async def _load(self, claim: Claim) -> _Loaded | None:
        try:
            loaded = await asyncio.to_thread(self._inbox.load, claim, self._size_max)
        except TooLarge as error:
            await self._fail(claim, "file_too_large", str(error))
            return None
        except Unsafe as error:
            await self._fail(claim, "file_unsafe", str(error))
            return None
        if loaded is None:
            self._growing[claim] = time.monotonic()
            return None
        content, stamp = loaded
        if not content:
            await asyncio.to_thread(self._inbox.finish, claim, keep=self._config.done == "move")
            return None
        return _Loaded(claim, stamp, content)

    async def _fail(self, claim: Claim, code: str, reason: str) -> None:
        target = await asyncio.to_thread(self._inbox.fail, claim, code, reason)
        _log.error("file_failed", file=excerpt(str(target)), code=code, reason=reason)

    async def _pause(self) -> None:
        waiting = self._seen or self._growing
        wait_s = (
            min(self._config.poll_s, max(self._config.settle_s, 0.01)) if waiting else self._config.poll_s
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), wait_s)
        self._changed.clear()

    async def _watch(self) -> None:
        """Wake `read` early. The folder itself is the truth, so a change that is missed costs `poll_s`."""
        from watchfiles import awatch  # noqa: PLC0415 - only where it is used

        try:
            async for _ in awatch(
                self._inbox.folder,
                watch_filter=None,
                debounce=50,
                step=10,
                rust_timeout=1000,
                recursive=False,
            ):
                self._changed.set()
        except (OSError, RuntimeError) as error:
            _log.warning("files_source_polls", folder=str(self._inbox.folder), reason=str(error))

    def _meta(self, file: _Loaded) -> dict[str, str]:
        """Attributes of a message from `file`: where it was dropped, and its time in UTC to the second."""
        name = file.claim.name
        mtime = time.gmtime(file.stamp.mtime_ns // 1_000_000_000)
        return {
            "file.name": _text(name),
            "file.path": _text(str(self._inbox.folder / name)),
            "file.mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", mtime),
        }

    def _by_lines(self, name: str) -> bool:
        split = self._config.split
        return Path(name).suffix.lower() in _LINES if split == "auto" else split == "lines"

    def _tell(self, event: str, name: str, **more: str) -> None:
        """Say it once per name, and not for ever more names."""
        if name not in self._named and len(self._named) < _NAMED_MAX:
            self._named.add(name)
            _log.warning(event, file=excerpt(name), **more)


def _text(name: str) -> str:
    """Names are bytes to the kernel; what is not UTF-8 is replaced."""
    return name.encode("utf-8", "replace").decode()
