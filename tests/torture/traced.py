"""Faults put into single system calls of a process by ``strace``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

#: Calls that change a folder or make it durable. Not every machine has each of them.
CALLS = (
    "?open,openat,?creat,write,pwrite64,fdatasync,fsync,?rename,?renameat,?renameat2,"
    "?unlink,unlinkat,ftruncate,?mkdir,mkdirat,fallocate"
)
#: Calls that nobody outside of a process sees anything of.
IDLE = (
    *(
        "futex",
        "getpid",
        "gettid",
        "getuid",
        "getcwd",
        "getrandom",
        "getsockname",
        "getpeername",
        "getsockopt",
    ),
    *(
        "mmap",
        "munmap",
        "mprotect",
        "madvise",
        "brk",
        "mremap",
        "clone3",
        "clone",
        "rseq",
        "set_robust_list",
        "prctl",
    ),
    *("rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "sigaltstack", "sched_yield", "sched_getaffinity"),
    *("epoll_wait", "epoll_pwait", "poll", "ppoll", "select", "clock_nanosleep", "restart_syscall", "umask"),
    *(
        "fcntl",
        "ioctl",
        "lseek",
        "newfstatat",
        "fstat",
        "stat",
        "readlink",
        "getdents64",
        "exit",
        "exit_group",
    ),
)
_STRACE = ["strace", "-f", "-qq"]
_CALL = re.compile(r"(\d+) +([\d.]+) (\w+)\(")
_LINE = re.compile(
    r'(?P<thread>\d+) +(?P<at>[\d.]+) (?P<call>\w+)\((?:AT_FDCWD(?:<[^>]*>)?, "(?P<named>[^"]*)"'
    r'|\d+<(?P<held>[^>]*)>|"(?P<path>[^"]*)")'
)
_INJECTED = re.compile(r"^\d+ +([\d.]+) .*\((?:INJECTED|DELAYED)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """A system call of a life.

    Attributes:
        call: its name.
        path: the file or folder that it is about.
        number: the how-manyth of its name on that path within a thread, from 1.
    """

    call: str
    path: str
    number: int

    def prefix(self, fault, out="/dev/null"):
        """What a command begins with so that this call meets a fault."""
        chosen = [
            "-P",
            self.path,
            "-e",
            f"trace={self.call}",
            "-e",
            f"inject={self.call}:{fault}:when={self.number}",
        ]
        return [*_STRACE, "-ttt", "-o", str(out), *chosen]


def any_file(call, number, fault, out="/dev/null"):
    """What a command begins with so that the how-manyth call of a kind in a thread meets a fault, whatever the file."""
    return [
        *_STRACE,
        "-ttt",
        "-o",
        str(out),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:{fault}:when={number}",
    ]


def recording(out):
    """What a command begins with so that its calls are written down."""
    return [*_STRACE, "-y", "-ttt", "-s", "1", "-e", f"trace={CALLS}", "-o", str(out)]


def points(out, folder):
    """The calls of a recording that are about something in a folder, in their order, each once."""
    counts, found = Counter(), {}
    for line in out.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        path = match["named"] or match["held"] or match["path"] or ""
        if path == str(folder) or path.startswith(f"{folder}/"):
            counts[match["thread"], match["call"], path] += 1
            number = counts[match["thread"], match["call"], path]
            found.setdefault(Point(match["call"], path, number), None)
    return list(found)


def every(out):
    """What a command begins with so that every call of it is written down that does more than wait or count."""
    return [*_STRACE, "-ttt", "-s", "1", "-e", f"trace=!{','.join(IDLE)}", "-o", str(out)]


def numbers(out, since):
    """Of each call that came after a moment, in seconds of the wall clock: the numbers that it had in a thread."""
    before, after, found = Counter(), Counter(), Counter()
    for match in filter(None, map(_CALL.match, out.read_text(errors="replace").splitlines())):
        thread, at, call = match.groups()
        found[thread, call] += 1
        counts = before if float(at) < since else after
        counts[call] = max(counts[call], found[thread, call])
    return [(call, number) for call in sorted(after) for number in range(before[call] + 1, after[call] + 1)]


def kill(process, *, traced):
    """Kill -9 a process, or what a tracer has started; answers whether it had not died before."""
    was = process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in children.read_text().split() if traced else [process.pid] * was:
            os.kill(int(child), signal.SIGKILL)
    process.wait(60)
    return was


def injected(out):
    """When faults were put in, in seconds of the wall clock."""
    return [float(at) for at in _INJECTED.findall(out.read_text(errors="replace"))]


def spread(found, count):
    """So many of a list, evenly over it; all where the count is `None`."""
    if count is None or count >= len(found):
        return found
    return [found[number * len(found) // count] for number in range(count)]


def chosen(found, few, *calls):
    """Which calls of `numbers` a test visits: `few`, evenly of each of these kinds; `MFGROUTE_SYSCALLS=all` visits each."""
    wanted = os.environ.get("MFGROUTE_SYSCALLS", "")
    if wanted == "all":
        return found
    each = -(-int(wanted or few) // len(calls))
    return [point for call in calls for point in _middle([one for one in found if one[0] == call], each)]


def _middle(found, count):
    """So many of a list, the one in the middle if it is one."""
    return [found[(2 * number + 1) * len(found) // (2 * count)] for number in range(min(count, len(found)))]


@cache
def why_not():
    """Why faults cannot be put into system calls here, or `None`."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    program = "import os,tempfile\nwith tempfile.TemporaryFile() as f: os.fdatasync(f.fileno())"
    probe = [*any_file("fdatasync", 1, "error=EIO"), sys.executable, "-c", program]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)
    if "Input/output error" in done.stderr:
        return None
    said = done.stderr.strip().splitlines() or ["strace put no fault in"]
    return f"processes cannot be traced: {said[-1]}"


def need():
    """Skip a test where faults cannot be put in."""
    if reason := why_not():
        pytest.skip(reason)
