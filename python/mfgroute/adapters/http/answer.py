"""What a target's answer means: the default table, where no pack knows better. No input or output here."""

from __future__ import annotations

from typing import Any

from mfgroute.adapters.http.config import HttpSinkConfig
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import MISSING, Answer, at, decoded, message_of, retry_after_s
from mfgroute.events import Done, InDoubt, Outcome, Refused, Retry

__all__ = ["lost", "outcome_of"]


def outcome_of(answer: Answer, config: HttpSinkConfig) -> Outcome:
    """Judge an answer by its status and, for 2xx, by the success contract."""
    status = answer.status
    if status >= 500 and status != 503:
        said = _said(answer)
        return Retry(reason=said, judged=True, sent=True) if config.repeatable else InDoubt(said)
    if status >= 400:
        return _declined(answer, config)
    if status >= 300:
        return _redirected(answer, config)
    if 200 <= status < 300:
        return _succeeded(answer, config)
    return InDoubt(f"answered with the status {status}")


def lost(reason: str, config: HttpSinkConfig) -> Outcome:
    """What it means that the request may have arrived and the answer did not.

    The same key with the same bytes may be sent again: the target knows it.
    """
    return Retry(reason=reason, sent=True) if config.repeatable else InDoubt(reason)


def _declined(answer: Answer, config: HttpSinkConfig) -> Outcome:
    status = answer.status
    after_s = retry_after_s(answer.headers.get("Retry-After"))
    if status in (423, 425):
        return Retry(after_s=after_s, reason=_said(answer), waits=True)
    if status in (408, 429, 503):
        return Retry(after_s=after_s, reason=_said(answer))
    if status == 409 and config.conflict == "done":
        return Done(_reference(answer, config))
    if status == 409 and config.conflict == "retry":
        return Retry(after_s=after_s, reason=_said(answer), judged=True, waits=True)
    return Refused(f"http_{status}", message_of(answer.body))


def _redirected(answer: Answer, config: HttpSinkConfig) -> Outcome:
    where = excerpt(answer.headers.get("Location", ""), 200)
    if answer.status == 303:
        # "Your request was done, look there": whether it was is not known without following.
        return lost(f"answered 303 to {where}, not followed", config)
    return Refused(f"http_{answer.status}", f"redirect to {where} not followed")


def _succeeded(answer: Answer, config: HttpSinkConfig) -> Outcome:
    contract = config.success
    if contract is None:
        return Done(_reference(answer, config))
    document = None if answer.truncated else decoded(answer.body)
    found = at(document, contract.pointer)
    if found is MISSING:
        said = excerpt(answer.body, 200)
        return lost(f"answered {answer.status} without {contract.pointer}: {said}", config)
    if found != contract.equals or isinstance(found, bool) != isinstance(contract.equals, bool):
        return Refused("success_not_met", message_of(answer.body))
    return Done(_reference(answer, config))


def _reference(answer: Answer, config: HttpSinkConfig) -> str | None:
    if config.reference is None:
        found: Any = answer.headers.get("Location")
    else:
        found = at(None if answer.truncated else decoded(answer.body), config.reference)
    if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)):
        return excerpt(str(found), 256) or None
    return None


def _said(answer: Answer) -> str:
    return f"http_{answer.status}: {message_of(answer.body)}"
