"""What a target's answer means: the configured table, then the default. No input or output here."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from mfgroute.adapters.http.config import HttpSinkConfig
from mfgroute.adapters.http.contract import Follow, Row, document_of, reference_at, same
from mfgroute.adapters.http.pieces import PATH_CHARACTERS
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import MISSING, Answer, at, message_of, retry_after_s
from mfgroute.events import Accepted, Done, InDoubt, NotYet, Outcome, Refused, Retry

__all__ = ["BUSY", "local_path", "lost", "outcome_of", "said"]

#: The target takes nothing now, whatever it is.
BUSY = (408, 423, 425, 429, 503)
#: The target is well, and what the event is about is not ready: a conflict, a lock, too early.
_WAITS = (409, 423, 425)


def outcome_of(
    answer: Answer, config: HttpSinkConfig, first: Sequence[Row] = ()
) -> Outcome | Accepted | NotYet:
    """Judge an answer: by the first row of the table that fits, else by status and success contract.

    Args:
        answer: of the target.
        config: with the table.
        first: rows that come before the table.
    """
    for row in (*first, *config.answers):
        if row.holds(answer):
            return _of_row(row, answer, config)
    if config.follow is not None and config.follow.when.holds(answer):
        return _accepted(answer, config.follow, config)
    return _by_status(answer, config)


def _by_status(answer: Answer, config: HttpSinkConfig) -> Outcome:
    status = answer.status
    if status >= 500 and status != 503:
        words = said(answer)
        return Retry(reason=words, judged=True, sent=True) if config.repeatable else InDoubt(words)
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


def _of_row(row: Row, answer: Answer, config: HttpSinkConfig) -> Outcome | NotYet:
    wished_s = retry_after_s(answer.headers.get("Retry-After"))
    after_s = wished_s if row.after is None else float(row.after)
    match row.means:
        case "done" | "already_done":
            return Done(_reference(answer, config, row.reference))
        case "retry":
            # Of the 4xx these two are about the target as a whole; the others are about this event's object.
            waits = 400 <= answer.status < 500 and answer.status not in (408, 429)
            judged = answer.status not in BUSY
            return Retry(after_s=after_s, reason=said(answer), judged=judged, waits=waits)
        case "not_yet":
            assert row.within is not None, "the configuration was checked"
            code = row.code or "not_yet"
            return NotYet(reason=said(answer), after_s=after_s, within_s=float(row.within), code=code)
        case "refused":
            return Refused(row.code or f"http_{answer.status}", message_of(answer.body))
        case "ask":
            return lost(said(answer), config)


def _accepted(answer: Answer, follow: Follow, config: HttpSinkConfig) -> Outcome | Accepted:
    wished_s = retry_after_s(answer.headers.get("Retry-After"))
    if follow.job is not None:
        job = reference_at(document_of(answer), follow.job)
        if job is None:
            return lost(f"accepted without a job at {follow.job}", config)
        return follow.accepted(job, wished_s)
    where = local_path(answer.headers.get("Location", ""), config.url)
    if where is None:
        shown = excerpt(answer.headers.get("Location", ""), 200) or "nothing"
        return lost(f"accepted with {shown} as `Location`, expected a path of the target", config)
    return follow.accepted(where, wished_s)


def local_path(location: str, url: str) -> str | None:
    """Path and query of a place at the target itself; no other host is ever asked."""
    try:
        there, here = urlsplit(location.strip()), urlsplit(url)
        ours = not there.netloc or (there.scheme, there.hostname, there.port) == (
            here.scheme, here.hostname, here.port,
        )  # fmt: skip
    except ValueError:
        return None
    path = there.path + (f"?{there.query}" if there.query else "")
    ours = ours and path.startswith("/") and bool(there.netloc) == bool(there.scheme)
    return path if ours and len(path) <= 2000 and PATH_CHARACTERS.fullmatch(path) else None


def _declined(answer: Answer, config: HttpSinkConfig) -> Outcome:
    status = answer.status
    after_s = retry_after_s(answer.headers.get("Retry-After"))
    if status in BUSY:
        return Retry(after_s=after_s, reason=said(answer), waits=status in _WAITS)
    if status == 409 and config.conflict == "done":
        return Done(_reference(answer, config))
    if status == 409 and config.conflict == "retry":
        return Retry(after_s=after_s, reason=said(answer), judged=True, waits=True)
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
    value = at(document_of(answer), contract.pointer)
    if value is MISSING:
        start = excerpt(answer.body, 200)
        return lost(f"answered {answer.status} without {contract.pointer}: {start}", config)
    if not same(value, contract.equals):
        return Refused("success_not_met", message_of(answer.body))
    return Done(_reference(answer, config))


def _reference(answer: Answer, config: HttpSinkConfig, pointer: str | None = None) -> str | None:
    pointer = config.reference if pointer is None else pointer
    if pointer is None:
        return excerpt(answer.headers.get("Location", ""), 256) or None
    return reference_at(document_of(answer), pointer)


def said(answer: Answer) -> str:
    """Status and message of an answer, for a reason."""
    return f"http_{answer.status}: {message_of(answer.body)}"
