"""Errors as one sentence, a hint and an exit code.

Exit codes are those of ``sysexits.h``, so that scripts and service managers can tell what to do.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from mfgroute.cli import show

if TYPE_CHECKING:
    from mfgroute.errors import Problem

OK = 0
FAILED = 1
USAGE = 2
DATA = 65
UNAVAILABLE = 69
INTERNAL = 70
CANNOT_CREATE = 73
IO = 74
TRY_AGAIN = 75
PERMISSION = 77
CONFIGURATION = 78


class Failure(Exception):  # noqa: N818 - it is what a command ends with
    """A command cannot do what it is for.

    Args:
        message: one lowercase sentence.
        code: the exit code.
        hint: what to do.
    """

    def __init__(self, message: str, *, code: int = FAILED, hint: str | None = None) -> None:
        self.message = message
        self.code = code
        self.hint = hint
        super().__init__(message)


class _Told(NamedTuple):
    kind: str
    message: str
    code: int
    hint: str | None = None
    problems: list[Problem] | None = None


def tell(error: BaseException, *, output: str, verbose: bool) -> int:
    """Say what went wrong on standard error and return the exit code."""
    told = _known(error) or _internal(error, verbose=verbose)
    if output == "json":
        document: dict[str, Any] = {"kind": told.kind, "message": told.message, "exit_code": told.code}
        if told.hint:
            document["hint"] = told.hint
        if told.problems is not None:
            import msgspec  # noqa: PLC0415 - only needed here

            document["problems"] = msgspec.to_builtins(told.problems)
        show.document({"error": document}, error=True)
        return told.code
    if told.problems is not None:
        _tell_problems(told.problems)
        return told.code
    first, *rest = told.message.split("\n")
    show.line(f"error: {first}", error=True)
    for one in rest:
        show.line(f"  {one}", error=True)
    if told.hint:
        show.line(f"hint: {told.hint}", error=True)
    return told.code


def tell_problems(problems: list[Problem]) -> None:
    """Print problems of a project and how many they are, to standard error."""
    _tell_problems(problems)


def _tell_problems(problems: list[Problem]) -> None:
    from mfgroute.config.report import as_text, count  # noqa: PLC0415 - only needed here

    for one in as_text(problems).splitlines():
        show.line(one, error=True)
    found = count(problems)
    parts = [f"{number} {name}{'s' * (number != 1)}" for name, number in found.items() if number]
    if parts:
        show.line(", ".join(parts), error=True)


def _known(error: BaseException) -> _Told | None:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of error
    import click  # noqa: PLC0415 - loaded already

    if isinstance(error, Failure):
        return _Told("Failure", error.message, error.code, error.hint)
    if isinstance(error, click.ClickException):
        return _usage(error)
    from mfgroute import errors  # noqa: PLC0415 - not for --help
    from mfgroute.api.client import NotRunning, Refused  # noqa: PLC0415

    name = type(error).__name__
    match error:
        case errors.ConfigError():
            many = f"the project has {len(error.problems)} problem{'s' * (len(error.problems) != 1)}"
            return _Told(name, many, CONFIGURATION, None, error.problems)
        case NotRunning():
            return _Told(name, str(error), UNAVAILABLE, "start one with `mfgroute run`")
        case errors.CannotListen():
            hint = None if error.denied else "end what listens there, or change `http.listen`"
            return _Told(name, str(error), PERMISSION if error.denied else UNAVAILABLE, hint)
        case errors.Locked():
            return _Told(name, str(error), TRY_AGAIN, "end it, or name another folder in $MFGROUTE_DATA_DIR")
        case errors.FolderUnfit():
            hint = "name the folder itself in `node.data_dir`, or run the version that wrote it"
            return _Told(name, str(error), CONFIGURATION, hint)
        case errors.FolderDenied():
            hint = "run as the user who owns the data folder, or give it back to that user"
            return _Told(name, str(error), PERMISSION, hint)
        case errors.LogFailed():
            return _Told(name, str(error), IO, "see that the disk of the data folder works, then start again")
        case errors.LogDamaged():
            hint = "nothing was deleted; `mfgroute log salvage` reads what is whole, or restore a backup"
            return _Told(name, str(error), DATA, hint)
        case errors.DatabaseDown():
            return _Told(
                name, str(error), UNAVAILABLE, "see that the database runs; nothing is lost meanwhile"
            )
        case errors.DatabaseUnfit():
            message, _, hint = str(error).partition("\n")
            return _Told(
                name, message, CONFIGURATION, hint or "change `effects.url`, or run the version that wrote it"
            )
        case errors.Full() | errors.Closed():
            return _Told(name, str(error), TRY_AGAIN, "try again later")
        case errors.UnknownName():
            message, _, hint = str(error).partition("\n")
            return _Told(name, message, USAGE, hint or None)
        case Refused():
            return _refused(error)
        case errors.MfgrouteError():
            message, _, hint = str(error).partition("\n")
            return _Told(name, message, FAILED, hint or None)
        case TimeoutError():
            return _Told(name, "the node did not answer in time", UNAVAILABLE, "it may be busy; try again")
        case OSError():
            return _system(error)
    return None


def _usage(error: Any) -> _Told:
    message = error.format_message().strip().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context is not None else None
    return _Told("Usage", message, error.exit_code, hint)


def _refused(error: Any) -> _Told:
    codes = {
        "Closed": TRY_AGAIN,
        "Full": TRY_AGAIN,
        "BadRequest": USAGE,
        "Internal": INTERNAL,
        "DatabaseDown": UNAVAILABLE,
        "DatabaseUnfit": CONFIGURATION,
        "SchemaNewer": CONFIGURATION,
    }
    message, _, hint = str(error).partition("\n")
    if error.kind == "Internal":
        hint = "the node's log says more"
    return _Told(error.kind, message, codes.get(error.kind, FAILED), hint or None)


def _system(error: OSError) -> _Told | None:
    if error.errno is None:
        return None
    what = f" `{error.filename}`" if error.filename else ""
    words = (error.strerror or "input/output error").lower()
    if isinstance(error, PermissionError):
        return _Told("PermissionError", f"no permission for{what}: {words}" if what else words, PERMISSION)
    if isinstance(error, FileExistsError) or error.errno in {errno.EROFS, errno.ENOSPC}:
        return _Told(type(error).__name__, f"cannot create{what}: {words}", CANNOT_CREATE)
    return _Told(type(error).__name__, f"cannot use{what}: {words}" if what else words, IO)


def _internal(error: BaseException, *, verbose: bool) -> _Told:
    """A mistake of ours: one line, and the traceback where a bug report can find it."""
    import tempfile  # noqa: PLC0415 - only when it went wrong
    import traceback  # noqa: PLC0415

    text = "".join(traceback.format_exception(error))
    hint: str | None
    if verbose:
        for one in text.splitlines():
            show.line(one, error=True)
        hint = "this is a mistake of mfgroute; please report the lines above"
    else:
        try:
            handle, name = tempfile.mkstemp(prefix="mfgroute-", suffix=".traceback")
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            hint = f"this is a mistake of mfgroute; the traceback is in {name} (or use -v)"
        except OSError:
            hint = "this is a mistake of mfgroute; -v shows the traceback"
    summary = " ".join(str(error).split())[:200]
    message = f"internal error: {type(error).__name__}" + (f": {summary}" if summary else "")
    return _Told("Internal", message, INTERNAL, hint)


def broken_pipe() -> int:
    """Whoever read our output is gone: end quietly, as a process that SIGPIPE ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return 128 + 13
