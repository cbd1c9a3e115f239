"""What `doctor` looks at. Each check says one thing or a few; none changes what it looks at."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec

from mfgroute import _core
from mfgroute.api.client import Control, NotRunning
from mfgroute.config.load import Project
from mfgroute.errors import AdapterError, CannotListen, ConfigError, LogFailed
from mfgroute.runtime import folder, machine
from mfgroute.runtime.lock import holder
from mfgroute.runtime.room import room_of, shown

#: Synced writes of the probe.
PROBES = 50
#: A disk that takes longer holds back whoever waits for each answer.
_SLOW_MS = 100.0
_FILES_MIN, _FILES_GOOD = 256, 1024
_YEARS = range(2025, 2100)
#: What a clock may be behind the newest record without anybody having set it back.
_BEHIND_S = 60.0
#: File systems in memory; those that a container throws away; those of another machine.
_MEMORY, _LAYERS = {"tmpfs", "ramfs", "devtmpfs"}, {"overlay", "aufs"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "virtiofs"}

State = Literal["ok", "warning", "wrong"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check found.

    Attributes:
        check: what was looked at.
        state: ``wrong`` stands in the way of a node or of its promises.
        message: one line.
        hint: what to do.
        data: numbers, for programs.
    """

    check: str
    state: State
    message: str
    hint: str | None = None
    data: dict[str, Any] = {}


def build() -> Iterator[Finding]:
    """Python, the extension, and the instructions that it uses here."""
    yield Finding("python", "ok", f"{sys.version.split()[0]}, {sys.executable}")
    info = _core.build_info()
    info["zone_rules"] = _core.__zone_rules__
    parts = f"texts with {info['text']}, checksums with {info['checksum']}, time zones {info['zone_rules']}"
    text = f"{info['version']} for {info['arch']}; {parts}"
    try:
        installed = version("mfgroute")
    except PackageNotFoundError:
        installed = info["version"]
    if installed != info["version"]:
        message = f"{text}; the package is {installed}"
        yield Finding("extension", "wrong", message, "install mfgroute anew", info)
    elif info["debug"]:
        message = f"{text}; compiled without optimization"
        yield Finding(
            "extension", "warning", message, "install a release: this one is many times slower", info
        )
    else:
        yield Finding("extension", "ok", text, data=info)


def problems(found: Project | ConfigError) -> Iterator[Finding]:
    """The project, as ``check`` sees it."""
    listed = found.problems if isinstance(found, ConfigError) else found.warnings
    for one in listed:
        place = f"{one.file}:{one.line}:{one.column}" if one.line else one.file
        state: State = "wrong" if one.severity == "error" else "warning"
        yield Finding("project", state, f"{place}: {one.message}", one.hint)
    if isinstance(found, Project) and not listed:
        yield Finding("project", "ok", f"{found.file} has no problems")


def data_folder(data_dir: Path, *, durable: bool) -> Iterator[Finding]:
    """Whether this user can use the data folder, and what kind of disk it lies on."""
    if not os.path.lexists(data_dir):
        above = machine.nearest(data_dir)
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding("data folder", "ok", f"{data_dir} is not there yet; the first start makes it")
        else:
            message = f"{data_dir} is not there, and this user may not make it in {above}"
            yield Finding("data folder", "wrong", message, "make it, and give it to the user of the node")
    else:
        yield from _folder(data_dir, durable=durable)
    yield _disk(data_dir, durable=durable)


def _folder(data_dir: Path, *, durable: bool) -> Iterator[Finding]:
    name = "data folder"
    if data_dir.is_symlink() and durable:
        message = f"{data_dir} is a symbolic link to {data_dir.readlink()}: a start refuses it"
        yield Finding(name, "wrong", message, "name the folder itself in `node.data_dir`")
        return
    if not data_dir.is_dir():
        yield Finding(name, "wrong", f"{data_dir} is no folder", "name a folder in `node.data_dir`")
        return
    found = data_dir.stat()
    mode = stat.S_IMODE(found.st_mode)
    data = {"owner": found.st_uid, "mode": f"{mode:04o}"}
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        message = f"{data_dir} of user {found.st_uid} may not be read and written by user {os.geteuid()}"
        yield Finding(name, "wrong", message, "run as its owner, or give it to the user of the node", data)
    elif found.st_uid != os.geteuid():
        message = f"{data_dir} belongs to user {found.st_uid}, and this is user {os.geteuid()}"
        yield Finding(name, "warning", message, "run the node, and this, as one user", data)
    elif mode & 0o077:
        message = f"{data_dir} has mode {mode:04o}: others may look into it"
        yield Finding(name, "warning", message, f"chmod 700 {data_dir}", data)
    else:
        yield Finding(name, "ok", f"{data_dir} of user {found.st_uid}, mode {mode:04o}", data=data)


def _disk(data_dir: Path, *, durable: bool) -> Finding:
    mount = machine.mount_of(machine.nearest(data_dir))
    if mount is None:
        return Finding("file system", "warning", "the system does not say what the data folder lies on")
    text, data = f"{mount.kind} at {mount.place}", {"kind": mount.kind, "place": mount.place}
    if mount.kind in _MEMORY:
        state: State = "wrong" if durable else "ok"
        hint = "put the data folder on a disk: here a restart of the machine takes durable streams with it"
        return Finding("file system", state, f"{text} is in memory", hint if durable else None, data)
    if durable and mount.kind in _LAYERS:
        message = f"{text} is a layer of a container, which goes with it"
        return Finding("file system", "warning", message, "mount a volume for the data folder", data)
    if durable and mount.kind in _REMOTE:
        message = f"{text} is on another machine: its locks and its syncs are what that machine makes of them"
        return Finding("file system", "warning", message, "use a disk of this machine", data)
    return Finding("file system", "ok", text, data=data)


def room(project: Project, data_dir: Path) -> Iterator[Finding]:
    """Free space, against what streams may take and what they leave free."""
    try:
        found = room_of(project, data_dir)
        free = machine.free_bytes(machine.nearest(data_dir))
    except OSError as error:
        yield Finding("room", "wrong", f"the disk cannot be asked: {error.strerror}")
        return
    data = {"free": free, "needed": found.needed, "reserve": found.reserve, "there": found.there}
    if free < found.reserve:
        message = f"{shown(free)} are free, and streams leave {shown(found.reserve)}: nothing is taken"
        yield Finding("room", "wrong", message, "free some room on the disk of the data folder", data)
    elif found.shortage:
        yield Finding("room", "warning", found.shortage, "lower `capacity`, or use a larger disk", data)
    else:
        yield Finding(
            "room", "ok", f"{shown(free)} are free; streams may take {shown(found.needed)}", data=data
        )


def syncs(data_dir: Path) -> Iterator[Finding]:
    """How long the disk takes for small synced writes, in the folder or where it will be made."""
    where = machine.nearest(data_dir)
    try:
        found = machine.sync_times(where, PROBES)
    except OSError as error:
        yield Finding("fdatasync", "wrong", f"{where} cannot be written: {error.strerror}")
        return
    data = {"writes": found.writes, "p50_ms": round(found.p50_ms, 3), "p99_ms": round(found.p99_ms, 3)}
    text = (
        f"p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms of {found.writes} writes of 4 KiB in {where}"
    )
    slow = found.p99_ms > _SLOW_MS
    hint = "every acknowledgement waits that long; look for another disk, or for who else writes to this one"
    yield Finding("fdatasync", "warning" if slow else "ok", text, hint if slow else None, data)


def clock(newest_ms: int, *, now: datetime | None = None) -> Iterator[Finding]:
    """Whether the clock can be right.

    Args:
        newest_ms: the time of the newest record, in milliseconds since 1970; 0 if there is none.
        now: the time; that of the clock if not given.
    """
    at = now or datetime.now(UTC)
    text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    hint = "set the clock, and keep it with NTP or PTP"
    newest = datetime.fromtimestamp(newest_ms / 1000, UTC)
    if at.year not in _YEARS:
        yield Finding("clock", "wrong", f"it says {text}, which cannot be", hint)
    elif (newest - at).total_seconds() > _BEHIND_S:
        message = f"it says {text}, and the newest record is of {newest.strftime('%Y-%m-%dT%H:%M:%SZ')}"
        yield Finding("clock", "wrong", message, hint)
    else:
        yield Finding("clock", "ok", text)


def files() -> Iterator[Finding]:
    """How many files the node may have open: segments, connections, sockets."""
    most = machine.files_max()
    text, hint = f"{most} at most", "raise it to 65536: `ulimit -n`, or LimitNOFILE of the service"
    state: State = "wrong" if most < _FILES_MIN else "warning" if most < _FILES_GOOD else "ok"
    yield Finding("open files", state, text, None if state == "ok" else hint, {"most": most})


def ports(project: Project) -> Iterator[Finding]:
    """Whether a start could listen; asked only where no node runs."""
    from mfgroute.api.listener import bind  # noqa: PLC0415 - brings the whole listener

    http = project.model.http
    addresses = [] if http is None else [(http.host, http.port)]
    for source in project.model.sources.values():
        listen = getattr(source.config, "listen", None)
        if isinstance(listen, str) and listen.startswith("tcp://"):
            name, _, number = listen.removeprefix("tcp://").rpartition(":")
            addresses.append((name.strip("[]"), int(number) if number.isdigit() else 0))
    for host, port in addresses:
        try:
            bind(host, port).close()
        except CannotListen as error:
            yield Finding("ports", "wrong", str(error), "end what listens there, or take another port")
        else:
            yield Finding("ports", "ok", f"{host}:{port} is free" if port else f"{host}: any free port")


class Held(msgspec.Struct, frozen=True):
    """Who has the data folder.

    Attributes:
        who: as ``process 4711``; `None` if nobody has it.
        health: of the node, if it answers.
    """

    who: str | None = None
    health: dict[str, Any] | None = None


def held(data_dir: Path) -> Held:
    """Who has the data folder, and what the node says of itself.

    Raises:
        OSError: the lock cannot be read.
    """
    who = holder(data_dir)
    if who is None:
        return Held()
    try:
        with Control(data_dir, timeout_s=5.0) as control:
            return Held(who, control.ask("health"))
    except (NotRunning, OSError):
        return Held(who)


def lock(found: Held) -> Iterator[Finding]:
    """Who has the data folder."""
    if found.who is None:
        yield Finding("lock", "ok", "nobody has the data folder: no node runs")
    elif found.health is None:
        hint = "it starts, stops or hangs: try again, and see its log"
        yield Finding("lock", "wrong", f"{found.who} has the data folder and does not answer", hint)
    else:
        yield Finding("lock", "ok", f"{found.who} has the data folder: a node runs")


def streams(data_dir: Path, found: Held) -> Iterator[Finding]:
    """Whether logs are whole; of a node that runs what it says of itself, since its logs are on the move."""
    kept = "look at it, then move it away; it is never deleted"
    if found.health is not None:
        for problem in found.health["problems"]:
            yield Finding("node", "wrong", problem, "`mfgroute inbox` says more")
        for note in found.health["notes"]:
            yield Finding("node", "warning", note, kept if "bytes in quarantine" in note else None)
        if not found.health["problems"]:
            yield Finding("node", "ok", "everything that has work makes progress")
    elif found.who is None and data_dir.is_dir():
        for log in folder.verify_all(data_dir):
            yield from _log(log)
        for name, size in folder.quarantined(data_dir).items():
            message = f"{name} has {size} bytes in quarantine: writes that were under way at a crash"
            yield Finding("log", "warning", message, kept)


def servers(data_dir: Path, project: Project | None) -> Iterator[Finding]:
    """OPC UA servers: which wait for a person, which a check refused, and which are not secured at all."""
    from mfgroute.adapters.opcua import known  # noqa: PLC0415 - brings cryptography

    name = "opc ua"
    try:
        found = known.books(data_dir)
    except AdapterError as error:
        yield Finding(name, "wrong", str(error), "look at it; without it no server is believed")
        return
    for source, book in found.items():
        waits = book.quarantined()
        if waits is None:
            yield Finding(name, "ok", f"{source}: the server at {book.endpoint or '?'} is approved")
            continue
        message = f"{source}: {book.endpoint} shows sha256 {waits.sha256}; {waits.state}: {waits.why}"
        hint = "compare it with the machine's, then `mfgroute pki trust` or `mfgroute pki reject`"
        if waits.state == "refused":
            hint = "no approval mends that: the server needs another certificate, or the source another trust"
        yield Finding(name, "warning", message, hint, {"source": source, "sha256": waits.sha256})
    for source, given in project.model.sources.items() if project is not None else ():
        if given.section.adapter == "opcua" and getattr(given.config, "insecure", False):
            message = f"{source}: INSECURE: anybody on the network can read and forge what the machine says"
            yield Finding(name, "warning", message, "give it `security` instead of `insecure: true`")


def _log(log: dict[str, Any]) -> Iterator[Finding]:
    """What was found in one log."""
    name = log["name"]
    if log["error"]:
        yield Finding("log", "wrong", f"{name} cannot be read: {log['error']}")
        return
    if log["damage"]:
        hint = "nothing was deleted; `mfgroute log salvage` reads what is whole, or restore a backup"
        yield Finding("log", "wrong", f"{name}: {log['damage']['why']}", hint)
        return
    for segment in log["half_heads"]:
        message = f"{name}: one of the two heads of {segment} is damaged, the other is used"
        yield Finding("log", "warning", message, "look at the disk, and make a backup")
    yield Finding("log", "ok", f"{name} is whole, with {log['next'] - log['first']} records")


def newest_ms(data_dir: Path) -> int:
    """The time of the newest record of a data folder, 0 without any."""
    try:
        segments = [one for log in folder.logs(data_dir) for one in folder.stat(log)]
    except (OSError, LogFailed):
        return 0
    return max((one["newest_ms"] for one in segments), default=0)
