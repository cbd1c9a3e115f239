"""What a target says when it is asked about a request. No input or output here."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from mfgroute.adapters.http.answer import BUSY, said
from mfgroute.adapters.http.config import HttpSinkConfig
from mfgroute.adapters.http.contract import Ask, Follow, Read, document_of, reference_at
from mfgroute.adapters.http.reversal import Undone
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import MISSING, Answer, at, message_of, retry_after_s
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Absent, Accepted, Done, InDoubt, Refused, Retry

__all__ = ["followed", "found", "held", "undone"]

#: What says nothing about the thing that was asked for: busy, or we may not ask.
_UNCLEAR = (401, 403, 407, *BUSY)


_DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")


def found(answer: Answer, ask: Ask, key: str) -> Done | Refused | Absent | InDoubt | Retry:
    """What the target says about a request that may have arrived; `Retry` if it cannot say now."""
    if _is_absent(answer, ask):
        return Absent()
    if ask.refused is not None and ask.refused.holds(answer):
        return Refused("target_refused", message_of(answer.body))
    if answer.status >= 500 or answer.status in _UNCLEAR:
        after_s = retry_after_s(answer.headers.get("Retry-After"))
        return Retry(after_s=after_s, reason=f"asked for {key}: {said(answer)}")
    document = document_of(answer)
    if not 200 <= answer.status < 300 or document is MISSING:
        return InDoubt(f"asked for {key}: {said(answer)}")
    if ask.items is not None:
        return _among(document, ask, ask.items, key)
    return _thing(document, ask, key)


def undone(answer: Answer, asked: Undone, key: str) -> Done | Absent | InDoubt | Retry:
    """What the target says about a reversal that may have arrived; `Retry` if it cannot say now."""
    if asked.done.holds(answer):
        return Done()
    if asked.still.holds(answer):
        return Absent()
    words = f"asked for {key}: {said(answer)}"
    if answer.status >= 500 or answer.status in _UNCLEAR:
        return Retry(after_s=retry_after_s(answer.headers.get("Retry-After")), reason=words)
    return InDoubt(words)


def followed(
    answer: Answer, follow: Follow, reference: str, config: HttpSinkConfig
) -> Done | Refused | Accepted | InDoubt:
    """What became of a request that was accepted."""
    if follow.done.holds(answer):
        pointer = follow.reference or config.reference
        number = reference_at(document_of(answer), pointer) if pointer is not None else None
        return Done(number or reference)
    if follow.refused.holds(answer):
        return Refused("target_refused", message_of(answer.body))
    if 300 <= answer.status < 500 and answer.status not in _UNCLEAR:
        # Such as 404: the target no longer knows the job.
        return InDoubt(f"asked for {reference}: {said(answer)}")
    wished_s = retry_after_s(answer.headers.get("Retry-After"))
    return follow.accepted(reference, wished_s or None)


def held(answer: Answer, read: Read) -> tuple[list[tuple[str, Decimal, str | None]], str | None]:
    """What one page says that the target holds: names, amounts and documents; and the path of the next page.

    Raises:
        Disconnected: the target cannot say now.
        AdapterError: the page cannot be understood, so that no sum of it would be right.
    """
    if answer.status >= 500 or answer.status in BUSY:
        raise Disconnected(said(answer), sent=False)
    document = document_of(answer)
    items = at(document, read.items)
    if not 200 <= answer.status < 300 or not isinstance(items, list):
        raise AdapterError(f"answered without a list at {read.items or '/'}: {said(answer)}")
    rows = []
    for index, item in enumerate(items):
        name, amount = read.name_of(item), _decimal(at(item, read.amount))
        if name is None or amount is None:
            what = read.amount if amount is None else read.name
            raise AdapterError(f"there is no {what} in thing {index} at {read.items or '/'}")
        rows.append((name, amount, None if read.document is None else reference_at(item, read.document)))
    following = MISSING if read.next is None else at(document, read.next)
    return rows, following if isinstance(following, str) and following else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return Decimal(value) if _DECIMAL.fullmatch(str(value)) else None


def _is_absent(answer: Answer, ask: Ask) -> bool:
    if ask.absent is not None:
        return ask.absent.holds(answer)
    # A list that is not found is a mistake in its path; a thing that is not found is not there.
    return ask.items is None and answer.status == 404


def _among(document: Any, ask: Ask, place: str, key: str) -> Done | Absent | InDoubt:
    """What a list of things says."""
    items = at(document, place)
    if not isinstance(items, list):
        return InDoubt(f"asked for {key}: answered without a list at {place or '/'}")
    if not items:
        return Absent()
    ours = [one for one in items if _is_ours(one, ask, key)]
    if not ours:
        # It does not look as if the target had looked for our key at all.
        return InDoubt(
            f"asked for {key}: answered with {len(items)} others, none with the key at {ask.match}"
        )
    if len(ours) > 1:
        numbers = [_number(one, ask) or "?" for one in ours]
        return InDoubt(f"asked for {key}: there are {len(ours)}: {excerpt(', '.join(numbers), 200)}")
    return Done(_number(ours[0], ask))


def _thing(thing: Any, ask: Ask, key: str) -> Done | InDoubt:
    if ask.match is not None and not _is_ours(thing, ask, key):
        return InDoubt(f"asked for {key}: answered with another thing, without the key at {ask.match}")
    return Done(_number(thing, ask))


def _is_ours(thing: Any, ask: Ask, key: str) -> bool:
    return ask.match is not None and reference_at(thing, ask.match) == key


def _number(thing: Any, ask: Ask) -> str | None:
    return None if ask.reference is None else reference_at(thing, ask.reference)
