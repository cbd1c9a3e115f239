"""Every exception of mfgroute.

An *outcome* of an event (reject, duplicate, refusal) is a value; an *error* is an exception and means
that the program or its surroundings failed::

    MfgrouteError
    ├── ConfigError          the project has problems; each with file, line and column
    ├── Full                 a stream or a source's reject store has no room
    ├── TooLarge             what is to be admitted at once is more than a stream can hold
    ├── Closed               the engine is closed or draining
    ├── Locked               another process runs on this data folder
    ├── LogFailed            the disk refused a log: nothing of the call may count as safe
    │   ├── FolderUnfit      the data folder is a symbolic link, or a later version wrote it
    │   └── FolderDenied     this user may not read or write the data folder
    ├── LogDamaged           what was durable in the data folder is damaged or missing
    ├── DatabaseDown         the database of effects cannot be used now
    ├── DatabaseUnfit        the database of effects is none that this version or node can use
    │   └── SchemaNewer      a later version wrote it, or it belongs to another node
    ├── CannotListen         the address of the listener is taken or not ours
    ├── UnknownName          no source, sink or stream has this name
    ├── Disconnected         an adapter lost or could not get its connection
    │   └── Quarantined      it could, but a person must approve a certificate or key first
    ├── AdapterError         an adapter failed in a way that a new connection will not mend
    │   └── Unprotected      it found that it would let strangers in
    └── SettingError         a setting of an adapter cannot be meant; is reported at its line
"""

from __future__ import annotations

from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in one place of a project.

    Attributes:
        severity: ``error`` stands in the way of an installation, ``warning`` does not.
        file: path relative to the project folder.
        line: counted from 1; 0 when not known.
        column: counted from 1; 0 when not known.
        message: one lowercase sentence: the thing, what was found, what was expected.
        hint: what to do, where that is known.
    """

    severity: str
    file: str
    line: int
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class MfgrouteError(Exception):
    """Root of the tree."""


class ConfigError(MfgrouteError):
    """The project has problems; all of them are listed.

    Attributes:
        problems: in the order of files and lines.
        partial: what could be read all the same (document, places, replaced), so that a caller can go on
            and report everything at once; `None` when nothing could.
    """

    partial: tuple[Any, dict[str, tuple[int, int]], list[str]] | None = None

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Full(MfgrouteError):  # noqa: N818 - the name of the interface
    """There is no room, and nothing of the call was admitted.

    Attributes:
        what: the stream or source without room, as ``stream business`` or ``source mes-a``.
        held_by: the sink whose backlog holds the room, or ``None``.
    """

    def __init__(self, message: str, what: str = "", held_by: str | None = None) -> None:
        self.what = what
        self.held_by = held_by
        super().__init__(message)


class TooLarge(MfgrouteError):  # noqa: N818 - as `Full`
    """What is to be admitted at once is more than its stream can ever hold; nothing of it was admitted."""


class Closed(MfgrouteError):  # noqa: N818 - the name of the interface
    """The engine is closed or draining and admits nothing."""


class UnknownName(MfgrouteError):  # noqa: N818 - the name of the interface
    """No source, sink or stream has this name."""


class Locked(MfgrouteError):  # noqa: N818 - as `Closed`
    """Another process runs on this data folder."""


class LogFailed(MfgrouteError):  # noqa: N818 - as `Closed`
    """The disk refused a write, or a log of the data folder does not open.

    Nothing of the call may count as safe.
    """


class NobodyFollows(MfgrouteError):  # noqa: N818 - as `Closed`
    """What became of effects at a sink is read by nobody, so no more begin there. Try again later."""


class RequestUnfit(MfgrouteError):  # noqa: N818 - as `Closed`
    """A request is too large to be recorded, or what is told about it is no JSON object in one line."""


class FolderUnfit(LogFailed):
    """The data folder is a symbolic link or a file, or a later version wrote it. Nothing was changed."""


class FolderDenied(LogFailed):
    """This user may not read or write the data folder, or a part of it."""


class LogDamaged(MfgrouteError):  # noqa: N818 - as `Closed`
    """Records that were durable are damaged or missing.

    The message names file, offset and numbers. Nothing was deleted.
    """


class DatabaseDown(MfgrouteError):  # noqa: N818 - as `Closed`
    """The database of effects cannot be used now, and nothing of the call was done. Trying again may help."""


class DatabaseUnfit(MfgrouteError):  # noqa: N818 - as `Closed`
    """The database of effects cannot be used by this version or node as it is configured."""


class SchemaNewer(DatabaseUnfit):
    """A later version wrote the database of effects, or it belongs to another node. Nothing was changed."""


class CannotListen(MfgrouteError):  # noqa: N818 - as `Closed`
    """The address of the listener is taken or not ours.

    Attributes:
        denied: the system does not let us, as for a port below 1024.
    """

    def __init__(self, message: str, *, denied: bool = False) -> None:
        self.denied = denied
        super().__init__(message)


class Disconnected(MfgrouteError):  # noqa: N818 - the name of the interface
    """An adapter lost its connection or could not get one; the runtime makes a new object.

    Attributes:
        sent: for a sink, whether anything of the batch may have reached the target. ``False`` makes
            every event of the batch a retry; ``True`` makes it in doubt.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message)


class Quarantined(Disconnected):
    """A person must approve something before the adapter connects: the peer's certificate, or our key there.

    The runtime goes on trying, and says in its health who waits for what.
    """


class AdapterError(MfgrouteError):
    """An adapter failed in a way that a new connection will not mend."""


class Unprotected(AdapterError):  # noqa: N818 - says what it is
    """An adapter tried its own door and would let strangers in; it stays closed.

    The runtime calls it down at once, and tries again as seldom as after repeated faults.
    """


class SettingError(MfgrouteError, ValueError):
    """A setting cannot be meant; raised by a configuration while it is made, reported at its line.

    Attributes:
        pointer: place of the mistake, seen from the struct that raises it.
        hint: what to do, where that is known.
    """

    def __init__(self, message: str, pointer: str = "", *, hint: str | None = None) -> None:
        self.pointer = pointer
        self.hint = hint
        super().__init__(message)
