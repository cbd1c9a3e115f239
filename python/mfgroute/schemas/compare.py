"""Whether every document that one schema accepts is accepted by another.

`include` finds differences; here a counterexample becomes a proof: the engine itself must accept the document
by the one schema and refuse it by the other, both as they were given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from mfgroute import _core
from mfgroute.schemas.include import Difference, Inclusion
from mfgroute.schemas.meaning import accepts, every
from mfgroute.schemas.plain import UndecidedError, canonical, plain

__all__ = ["Comparison", "Difference", "compare"]

_HINTS_MAX = 8


class Comparison(msgspec.Struct, frozen=True):
    """What `compare` found.

    Attributes:
        differences: none when every document of the first schema is one of the second.
    """

    differences: list[Difference]

    @property
    def verdict(self) -> Literal["compatible", "breaking", "undecided"]:
        """``breaking`` with a counterexample, ``undecided`` with differences but none that is proven."""
        if not self.differences:
            return "compatible"
        return "breaking" if any(one.proven for one in self.differences) else "undecided"


def compare(first: Any, second: Any, *, examples: Iterable[Any] = ()) -> Comparison:
    """Compare two JSON Schemas 2020-12 whose formats are asserted, as in contracts.

    Args:
        first: the schema whose documents must be accepted.
        second: the schema that must accept them.
        examples: documents of the first schema; counterexamples are made of them where that is possible.
    """
    known = [one for one in examples if _valid(first, one)][:_HINTS_MAX]
    for one in known:
        if _valid(second, one) is False:
            # Whatever else may be found: this one is certain and real.
            return Comparison(_with_proof(first, second, known, one))
    try:
        left, right = plain(first), plain(second)
    except UndecidedError as error:
        same = canonical(first) == canonical(second)
        return Comparison([] if same else [Difference("", str(error))])
    found = Inclusion().included(every(left), right, "", known)
    return Comparison([_confirmed(first, second, one) for one in found])


def _with_proof(first: Any, second: Any, known: list[Any], proof: Any) -> list[Difference]:
    """Differences with at least one that is proven by an example."""
    try:
        found = Inclusion().included(every(plain(first)), plain(second), "", known)
    except UndecidedError:
        found = []
    confirmed = [_confirmed(first, second, one) for one in found]
    if any(one.proven for one in confirmed):
        return confirmed
    pointer, reason = _refusal(second, proof)
    return [Difference(pointer, reason, proven=True, counterexample=proof), *confirmed]


def _confirmed(first: Any, second: Any, found: Difference) -> Difference:
    """A difference whose counterexample holds for the schemas as they were given, references and all."""
    if not found.proven:
        return found
    one = found.counterexample
    if not _valid(first, one) or _valid(second, one) is not False:
        return Difference(found.pointer, found.reason)
    return Difference(found.pointer, _refusal(second, one)[1], proven=True, counterexample=one)


def _valid(schema: Any, document: Any) -> bool | None:
    try:
        return accepts(schema, document)
    except UndecidedError:
        return None


def _refusal(schema: Any, document: Any) -> tuple[str, str]:
    """Where and why the engine refuses a document."""
    rejects = _core.check_schema(canonical(schema).encode(), msgspec.json.encode(document), {}, formats=True)
    return rejects[0].pointer, f"found {rejects[0].found}, expected {rejects[0].expected}"
