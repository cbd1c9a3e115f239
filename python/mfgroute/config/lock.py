"""Released versions of contracts: ``contracts/registry.lock`` pins what each of them says.

One line for each version, sorted, so that two branches that release different contracts merge::

    production.operation.completed 1.2.0 sha256:0f3c...

Pinned is what a consumer relies on. Owner, lifecycle, examples and words that only explain are not: a
contract may be deprecated, or explained better, without a new version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.config.documents import Contract, Documents, Folder, Place
from mfgroute.errors import ConfigError, Problem
from mfgroute.schemas.plain import canonical

__all__ = ["FILE", "Pins", "changed", "fingerprint", "pin", "read"]

FILE = "contracts/registry.lock"
_HEAD = "# Released versions of contracts. Written by `mfgroute contract check --pin`; do not edit."
_LINE = re.compile(r"(\S+) (\d+\.\d+\.\d+) (sha256:[0-9a-f]{64})")
_PINNED = (
    "type", "version", "kind", "stream", "key", "idempotency", "across_sources", "volatile", "business",
    "compatibility", "rules",
)  # fmt: skip
_EXPLAINING = frozenset({"$comment", "description", "examples", "title"})
_NAMED = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})
_DATA = frozenset({"const", "default", "dependentRequired", "enum", "required", "type"})


class Pins(msgspec.Struct, frozen=True):
    """How the contracts of a project stand to their locks.

    Attributes:
        pinned: labels with version of contracts that are as they were released.
        unpinned: those of versions that were not released yet.
        problems: released versions that were changed, and lines that are none.
    """

    pinned: list[Contract]
    unpinned: list[Contract]
    problems: list[Problem]


def fingerprint(contract: Contract) -> str:
    """A hash of what a consumer of a contract relies on."""
    told = {word: contract.content[word] for word in _PINNED if word in contract.content}
    told["schema"] = _unexplained(contract.schema)
    return f"sha256:{hashlib.sha256(canonical(told).encode()).hexdigest()}"


def read(documents: Documents) -> Pins:
    """Compare the contracts of the project and of packs beside it with their locks.

    Contracts of packs that ship with mfgroute are held to the locks that ship with them; they are neither
    pinned nor unpinned here.
    """
    folders = [*documents.folders, *documents.shipped]
    pins = Pins([], [], changed(list(documents.contracts.values()), folders))
    for prefix, place in documents.folders:
        known = _lines(f"{prefix}{FILE}", place.content(FILE), [])
        for one in _own(documents, prefix):
            found = known.get((one.type, one.version))
            if found is None:
                pins.unpinned.append(one)
            elif found == fingerprint(one):
                pins.pinned.append(one)
    return pins


def changed(contracts: Sequence[Contract], folders: Sequence[tuple[str, Place]]) -> list[Problem]:
    """Contracts that differ from a release of their version, whichever folder pins it, and broken lines.

    A contract that takes the place of a released one is no exception: who reads its version must be able to
    rely on it.

    Args:
        contracts: those that count.
        folders: where locks may be, with the prefix of their files in messages.
    """
    problems: list[Problem] = []
    for prefix, place in folders:
        known = _lines(f"{prefix}{FILE}", place.content(FILE), problems)
        for one in contracts:
            found = known.get((one.type, one.version))
            if found is not None and found != fingerprint(one):
                problems.append(_changed(one, prefix))
    return problems


def pin(documents: Documents) -> list[Contract]:
    """Add the versions that are not pinned yet to the locks; returns them.

    Raises:
        ConfigError: a released version was changed, or a lock cannot be read. Nothing is written then.
    """
    pins = read(documents)
    if pins.problems:
        raise ConfigError(pins.problems)
    for prefix, place in documents.folders:
        added = [one for one in _own(documents, prefix) if one in pins.unpinned]
        if added and isinstance(place, Folder):
            known = _lines(f"{prefix}{FILE}", place.content(FILE), [])
            known |= {(one.type, one.version): fingerprint(one) for one in added}
            _write(place.root / FILE, known)
    return pins.unpinned


def _own(documents: Documents, prefix: str) -> list[Contract]:
    return [
        one for one in documents.contracts.values() if one.document.file.startswith(f"{prefix}contracts/")
    ]


def _changed(contract: Contract, prefix: str) -> Problem:
    line, column = contract.document.places.get("/version", (0, 0))
    message = f"version {contract.version} of {contract.label} was released and is not the same any more"
    hint = "raise `version`, or restore the contract; what was released stays as it is"
    if not contract.document.file.startswith(f"{prefix}contracts/"):
        pack = prefix.removeprefix("pack:").removesuffix("/")
        message = f"version {contract.version} of {contract.label} was released by {pack} and is another here"
        hint = "give what takes its place a version of its own"
    return Problem(
        severity="error",
        file=contract.document.file,
        line=line,
        column=column,
        message=message,
        hint=hint,
    )


def _lines(file: str, content: bytes | None, problems: list[Problem]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for number, line in enumerate((content or b"").decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        message = None
        if match is None:
            message = "the line is no released version, expected `TYPE VERSION sha256:HASH`"
        elif found.get((match[1], match[2]), match[3]) != match[3]:
            message = f"version {match[2]} of {match[1]} is pinned twice, and differently"
        else:
            found[match[1], match[2]] = match[3]
        if message is not None:
            hint = "take the line from the branch that released the version"
            problem = Problem(severity="error", file=file, line=number, column=1, message=message, hint=hint)
            problems.append(problem)
    return found


def _write(file: Path, known: dict[tuple[str, str], str]) -> None:
    def order(entry: tuple[str, str]) -> tuple[str, list[int]]:
        return entry[0], [int(part) for part in entry[1].split(".")]

    lines = [
        _HEAD,
        *(f"{type_} {version} {known[type_, version]}" for type_, version in sorted(known, key=order)),
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _unexplained(schema: Any) -> Any:
    """A schema without what only explains it; members and values of these names stay."""
    if isinstance(schema, list):
        return [_unexplained(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for word, value in schema.items():
        if word in _EXPLAINING:
            continue
        if word in _NAMED and isinstance(value, dict):
            made[word] = {name: _unexplained(one) for name, one in value.items()}
        else:
            made[word] = value if word in _DATA else _unexplained(value)
    return made
