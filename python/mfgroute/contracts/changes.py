"""What became of the contracts of a project since another state of it, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import msgspec

from mfgroute.config.documents import Contract, Documents
from mfgroute.config.lock import fingerprint
from mfgroute.contracts.links import Links, links
from mfgroute.errors import ConfigError, Problem
from mfgroute.schemas import Comparison, Difference, compare

__all__ = ["Change", "changes"]

Direction = Literal["backward", "forward"]
Verdict = Literal["unchanged", "added", "compatible", "undecided", "breaking", "removed"]
#: What each promise asks for: whether the new schema takes every document of the old one (backward), and
#: whether the old one takes every document of the new (forward).
_PROMISES: dict[str, tuple[Direction, ...]] = {
    "backward": ("backward",),
    "forward": ("forward",),
    "full": ("backward", "forward"),
}
_DEFAULT = "backward"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one contract.

    Attributes:
        label: type and major version; of the new state, unless the contract is gone.
        before: its version then, or `None`.
        after: its version now, or `None`.
        promise: ``backward``, ``forward`` or ``full``, as the contract declares.
        verdict: the judgement by that promise.
        directions: what the comparison of the schemas found, in both directions.
        identity_changed: whether the same fact would get another id.
        key_changed: whether the same event would be ordered by another key.
        reasons: what else breaks the promise, and what is worth knowing.
        bumped: whether the major version was raised, which allows everything.
        accepted: whether the change may go out like that.
        links: what hangs on the contract.
    """

    label: str
    before: str | None = None
    after: str | None = None
    promise: str = _DEFAULT
    verdict: Verdict
    directions: dict[Direction, Comparison] = {}
    identity_changed: bool = False
    key_changed: bool = False
    reasons: list[str] = []
    bumped: bool = False
    accepted: bool = True
    links: Links


def changes(old: Documents, new: Documents, *, today: date, undecided: bool = False) -> list[Change]:
    """Every contract of both states, with what became of it.

    Args:
        old: the state that consumers know.
        new: the state that is to go out.
        today: for contracts that are gone: after its sunset, a contract may go.
        undecided: whether what cannot be decided is accepted.

    Raises:
        ConfigError: a contract declares a promise that is none.
    """
    problems = [one for contract in new.contracts.values() for one in _wrong_promise(contract)]
    if problems:
        raise ConfigError(problems)
    found = []
    followed = set()
    for label, contract in new.contracts.items():
        before = old.contracts.get(label) or _predecessor(old, contract)
        if before is None:
            found.append(
                Change(label=label, after=contract.version, verdict="added", links=links(new, label))
            )
            continue
        followed.add(before.label)
        found.append(_judged(before, contract, links(new, label), undecided=undecided))
    for label, contract in old.contracts.items():
        if label not in new.contracts and label not in followed:
            found.append(_removed(contract, links(new, label), today))
    return sorted(found, key=lambda one: one.label)


def _judged(before: Contract, after: Contract, found: Links, *, undecided: bool) -> Change:
    promise = _promise(before, after)
    bumped = before.major != after.major
    if not bumped and fingerprint(before) == fingerprint(after):
        return Change(
            label=after.label,
            before=before.version,
            after=after.version,
            promise=promise,
            verdict="unchanged",
            links=found,
        )
    directions = _directions(before, after)
    breaks = list(_breaks(before, after))
    asked = [directions[one].verdict for one in _PROMISES[promise]]
    verdict: Verdict = (
        "breaking" if breaks or "breaking" in asked else "undecided" if "undecided" in asked else "compatible"
    )
    reasons = [*breaks, *_notes(before, after)]
    back = not bumped and _number(after.version) < _number(before.version)
    if back:
        reasons.append(f"the version goes back from {before.version} to {after.version}")
    fits = verdict == "compatible" or (verdict == "undecided" and undecided)
    return Change(
        label=after.label,
        before=before.version,
        after=after.version,
        promise=promise,
        verdict=verdict,
        directions=directions,
        identity_changed=_identity(before) != _identity(after),
        key_changed=before.key != after.key,
        reasons=reasons,
        bumped=bumped,
        accepted=bumped or (fits and not back),
        links=found,
    )


def _directions(before: Contract, after: Contract) -> dict[Direction, Comparison]:
    made: dict[Direction, Comparison] = {
        "backward": compare(before.schema, after.schema, examples=before.examples),
        "forward": compare(after.schema, before.schema, examples=after.examples),
    }
    for direction, (giving, taking) in {"backward": (before, after), "forward": (after, before)}.items():
        more = [rule for rule in _rules(taking) if rule not in _rules(giving)]
        if more:
            doubt = Difference("", f"the rule `{more[0]}` is only in one version, and rules are not compared")
            made[direction] = Comparison([*made[direction].differences, doubt])  # type: ignore[index]
    return made


def _rules(contract: Contract) -> list[str]:
    """The conditions of the rules; a rule that both versions have holds for what either takes."""
    listed = contract.content.get("rules")
    return [
        str(one.get("check")) for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict)
    ]


def _breaks(before: Contract, after: Contract) -> Iterator[str]:
    """What breaks any promise, whatever the schemas say."""
    if _identity(before) != _identity(after):
        yield f"identity_changed: {_shown(before)} became {_shown(after)}; the same fact gets another id"
    if before.key != after.key:
        (name, fields), (other, others) = before.key, after.key
        yield (
            f"key_changed: {name} of {', '.join(fields)} became {other} of {', '.join(others)}; "
            "events are ordered by another key"
        )
    for word in ("kind", "stream"):
        then, now = getattr(before, word), getattr(after, word)
        if then != now:
            yield f"{word} changed from {then} to {now}"


def _notes(before: Contract, after: Contract) -> Iterator[str]:
    if before.version == after.version:
        yield f"the contract changed, its version is still {after.version}"
    if before.volatile != after.volatile:
        yield "volatile changed: other repetitions count as conflicts"
    if before.content.get("business") != after.content.get("business"):
        yield "business changed: process, transaction and step of its events"


def _removed(contract: Contract, found: Links, today: date) -> Change:
    sunset = str(contract.lifecycle.get("sunset", ""))
    over = contract.lifecycle["status"] == "deprecated" and bool(sunset) and sunset <= today.isoformat()
    reason = (
        f"its sunset was {sunset}"
        if over
        else "it is gone, and it was not deprecated with a sunset that is over"
    )
    return Change(
        label=contract.label,
        before=contract.version,
        promise=_promise(contract, contract),
        verdict="removed",
        reasons=[reason],
        accepted=over,
        links=found,
    )


def _predecessor(old: Documents, contract: Contract) -> Contract | None:
    """The newest contract of the same type with a smaller major version."""
    earlier = [
        one for one in old.contracts.values() if one.type == contract.type and one.major < contract.major
    ]
    return max(earlier, key=lambda one: one.major, default=None)


def _promise(before: Contract, after: Contract) -> str:
    """The promise that was given, and the one that is given now: both are held."""
    given = {str(one.content.get("compatibility", _DEFAULT)) for one in (before, after)} & {*_PROMISES}
    return given.pop() if len(given) == 1 else "full" if given else _DEFAULT


def _wrong_promise(contract: Contract) -> Iterator[Problem]:
    declared: Any = contract.content.get("compatibility", _DEFAULT)
    if declared not in _PROMISES:
        line, column = contract.document.places.get("/compatibility", (0, 0))
        message = f"compatibility is {declared}, expected backward, forward or full"
        yield Problem(
            severity="error", file=contract.document.file, line=line, column=column, message=message
        )


def _identity(contract: Contract) -> tuple[list[str], bool]:
    return contract.identity, bool(contract.content.get("across_sources"))


def _shown(contract: Contract) -> str:
    fields, across = _identity(contract)
    return ", ".join(fields) + (" across sources" if across else "")


def _number(version: str) -> list[int]:
    return [int(part) if part.isdecimal() else 0 for part in version.split(".")]
