"""Who takes part, and how each is made ready. What cannot be made ready is absent, with the reason.

Everything is installed or built below one folder, ``bench/.peers`` if no other is named, and only when a
benchmark is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
COMPARE = HERE / "compare"
SCHEMA = HERE / "w1" / "schemas" / "mes.json"
REQUIREMENTS = COMPARE / "requirements.txt"
RUSTC = ["-C", "opt-level=3", "-C", "target-cpu=native", "-C", "codegen-units=1", "-C", "panic=abort"]
_BUILD_S_MAX = 3600
_COMMON = ("msgspec", "orjson")


class Absent(Exception):  # noqa: N818 - it is a state, not a mistake
    """Why a contender does not take part."""


@dataclass(frozen=True)
class Contender:
    """One that takes part: `command` is called with a file of events and a file for outputs.

    Attributes:
        name: in tables.
        command: the words before the two files.
        after: the words behind them.
        messages_max: of one run; a slow contender gets fewer, its time is per message.
        variants: of the workload that it can run.
        checked: whether its outputs are compared; the yardstick has a form of its own.
        note: what a reader must know.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    messages_max: int = 1_000_000
    variants: tuple[str, ...] = ("w1", "shuffled", "mixed")
    checked: bool = True
    note: str = ""


@dataclass
class Field:
    """All that were asked for: those that take part and those that are absent."""

    present: list[Contender] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)


class Workshop:
    """Installs and builds contenders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bin = self.folder / "bin"
        self.bin.mkdir(exist_ok=True)

    def python(self, *names: str) -> str:
        """The interpreter of the peers, with packages in the versions of ``compare/requirements.txt``."""
        interpreter = self.folder / "venv" / "bin" / "python"
        if not interpreter.exists():
            _run([sys.executable, "-m", "venv", str(self.folder / "venv")])
        stamp = self.folder / f"{'-'.join(sorted(names)).replace('[', '.').replace(']', '')}.installed"
        wanted = REQUIREMENTS.read_text()
        if not stamp.exists() or stamp.read_text() != wanted:
            pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--only-binary", ":all:", "-c", str(REQUIREMENTS), *_COMMON, *names])
            stamp.write_text(wanted)
        return str(interpreter)

    def rust(self, name: str) -> str:
        """A program of one file in ``yardstick/``."""
        program = self.bin / name
        source = HERE / "yardstick" / f"{name}.rs"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            _run(["rustc", "--edition", "2021", *RUSTC, "-o", str(program), str(source)])
        return str(program)

    def cargo(self, folder: Path, name: str, *, locked: bool = True) -> str:
        """A program of a crate of its own; one that follows the engine's dependencies is not `locked`."""
        target = self.folder / folder.name
        command = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(folder / "Cargo.toml")]
        _run([*command, "--target-dir", str(target), *(["--locked"] if locked else [])])
        return str(target / "release" / name)

    def go(self, folder: Path, name: str) -> str:
        """A program of a Go module of its own."""
        _run(["go", "install", "-mod=readonly", "."], cwd=folder, env={"GOBIN": str(self.bin)})
        return str(self.bin / name)


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise Absent(f"{command[0]} was not found in PATH")
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_S_MAX,
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"`{' '.join(command[:3])}` took longer than {_BUILD_S_MAX} s") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Absent(f"`{' '.join(command[:3])}` failed: {said[-1].strip() if said else done.returncode}")


def _python_peer(shop: Workshop, module: str, *packages: str) -> tuple[str, ...]:
    return (shop.python(*packages), "-m", f"compare.{module}")


def own(threads: int = 1) -> Contender:
    """The engine."""
    name = "mfgroute" if threads == 1 else f"mfgroute, {threads} threads"
    variants = ("w1", "shuffled", "mixed") if threads == 1 else ("w1",)
    return Contender(name, (sys.executable, str(HERE / "own.py")), (str(threads),), variants=variants)


def yardstick(shop: Workshop, threads: int = 1) -> Contender:
    """The kernel that the targets are ratios of."""
    name = "yardstick" if threads == 1 else f"yardstick, {threads} threads"
    return Contender(
        name,
        (shop.rust("yardstick"),),
        (str(threads),),
        variants=("w1", "shuffled") if threads == 1 else ("w1",),
        checked=False,
        note="a form of its own; binary floats; keeps nothing",
    )


MAKERS: dict[str, Callable[[Workshop], Contender]] = {
    "mfgroute": lambda _: own(),
    "mfgroute, 2 threads": lambda _: own(2),
    "yardstick": yardstick,
    "yardstick, 2 threads": lambda shop: yardstick(shop, 2),
    "plain Python (msgspec)": lambda shop: Contender(
        "plain Python (msgspec)",
        _python_peer(shop, "plain"),
        note="binary floats; no stream, no delivery state",
    ),
    "usual Python service": lambda shop: Contender(
        "usual Python service",
        _python_peer(shop, "service", "jsonschema-rs"),
        (str(SCHEMA),),
        note="orjson, jsonschema-rs, dicts",
    ),
    "pydantic": lambda shop: Contender("pydantic", _python_peer(shop, "pydantic_service", "pydantic")),
    "Bytewax": lambda shop: Contender(
        "Bytewax",
        _python_peer(shop, "bytewax_flow", "bytewax"),
        note="the transform of plain Python in one step",
    ),
    "FastStream, in memory": lambda shop: Contender(
        "FastStream, in memory",
        _python_peer(shop, "faststream_app", "faststream[nats]"),
        messages_max=2_000,
        note="its test broker: no server, no network, and slower per message than a server",
    ),
    "Benthos": lambda shop: Contender(
        "Benthos",
        (shop.go(COMPARE / "benthos", "mfgroute-compare-benthos"),),
        (str(COMPARE / "benthos" / "pipeline.yaml"), str(SCHEMA)),
        messages_max=20_000,
        note="json_schema, dedupe, Bloblang; one thread of its pipeline",
    ),
    "VRL": lambda shop: Contender(
        "VRL",
        (shop.cargo(COMPARE / "vrl", "mfgroute-compare-vrl"),),
        (str(COMPARE / "vrl" / "w1.vrl"), str(SCHEMA)),
        messages_max=20_000,
        note="the language of Vector's `remap`; its topology is not measured",
    ),
}


def gather(shop: Workshop, names: list[str] | None = None) -> Field:
    """Make all contenders ready."""
    found = Field()
    for name in names or list(MAKERS):
        print(f"making ready: {name}", flush=True)
        try:
            found.present.append(MAKERS[name](shop))
        except Absent as reason:
            found.absent[name] = str(reason)
            print(f"absent: {name}: {reason}", flush=True)
    return found
