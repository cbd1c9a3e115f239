"""What an answer means, by the pack's table. No input or output here."""

from __future__ import annotations

import functools
import re
from typing import Literal

import msgspec

from mfgroute.adapters.sap.data import Line, answers
from mfgroute.adapters.sap.odata import Message, messages
from mfgroute.adapters.web.answer import Answer, message_of, retry_after_s

__all__ = ["Verdict", "judge", "line_of", "said"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a posting, as far as its answer says.

    Attributes:
        means: as in the table.
        code: of a refusal.
        reason: the target's own words.
        after_s: its wish, in seconds.
        within: which deadline a posting that waits has.
    """

    means: Literal["token", "already", "retry", "not_yet", "refused", "ask"]
    code: str
    reason: str
    after_s: float | None = None
    within: Literal["lock", "batch", ""] = ""


def judge(answer: Answer, *, status: int | None = None) -> Verdict:
    """Look an answer up that is no success.

    Args:
        answer: complete, or cut.
        status: to be taken for the answer's, where that one lies: an error in an answer of 200.
    """
    found = messages(answer.body)
    line = line_of(answer, status=status)
    code = next((one.code for one in found if one.code), "") or f"http_{answer.status}"
    if line is None:
        return Verdict(means="ask", code=code, reason=said(answer))
    return Verdict(
        means=line.means,
        code=line.code_as or code,
        reason=said(answer),
        after_s=retry_after_s(answer.headers.get("Retry-After")),
        within=line.within,
    )


def line_of(answer: Answer, *, status: int | None = None) -> Line | None:
    """The first line of the table that fits an answer; arguments as of `judge`."""
    found = messages(answer.body)
    number = answer.status if status is None else status
    return next((one for one in answers() if _fits(one, number, answer, found)), None)


def said(answer: Answer) -> str:
    """The target's words with its code: ``CO/469: Order 4711 is already being processed by MAYER``."""
    found = [one for one in messages(answer.body) if one.text or one.code]
    if not found:
        return f"http_{answer.status}: {message_of(answer.body)}"
    shown: dict[str, None] = {}
    for one in found[:4]:
        shown[f"{one.code}: {one.text}" if one.code else one.text] = None
    return "; ".join(shown)


def _fits(line: Line, status: int, answer: Answer, found: list[Message]) -> bool:
    if line.status and status not in line.status and f"{status // 100}xx" not in line.status:
        return False
    if line.code and not any(one.code in line.code for one in found):
        return False
    if line.says and not any(_expression(line.says).search(one.text) for one in found):
        return False
    return all(answer.headers.get(name, "").lower() == value for name, value in line.header.items())


@functools.cache
def _expression(text: str) -> re.Pattern[str]:
    return re.compile(text)
