"""Sending postings and saying what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap import batch, holds
from mfgroute.adapters.sap.call import Call
from mfgroute.adapters.sap.cancel import CANCEL, document_of, name_of
from mfgroute.adapters.sap.config import SapSinkConfig
from mfgroute.adapters.sap.judge import Verdict, judge, line_of, said
from mfgroute.adapters.sap.lookup import Lookups, Unreadable
from mfgroute.adapters.sap.odata import entity, messages
from mfgroute.adapters.sap.session import NotReady, Session
from mfgroute.adapters.web.answer import Answer, retry_after_s
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Absent, Accepted, Done, InDoubt, NotYet, Outcome, Refused, Retry

__all__ = ["Posting"]

_JSON = "application/json"
#: Where a posting carries our reference.
_REFERENCES = {
    "confirm": "ExternalSystemConfirmation",
    "cancel": "ExternalSystemConfirmation",
    "move": "ReferenceDocument",
}
#: Words for the state of work that was accepted, in small letters.
_AT_WORK = ("accepted", "queued", "running", "in_process")
_FAILED = ("failed", "refused", "error")
_FINISHED = ("posted", "finished", "completed", "succeeded")
Posted: TypeAlias = Outcome | Accepted | NotYet


class Posting:
    """Sends calls.

    Attributes:
        honoured: whether the last answer to a RequestID said that it is honoured.
    """

    def __init__(
        self, config: SapSinkConfig, session: Session, lookups: Lookups, counters: Counter[str]
    ) -> None:
        self._config = config
        self._session = session
        self._lookups = lookups
        self._counters = counters
        self._refuses_ids = False
        self.honoured = False

    async def post(self, calls: Sequence[Call], *, by_key: bool) -> list[Posted]:
        """Send calls and say what became of each, in order.

        Args:
            calls: to different objects.
            by_key: whether a RequestID is sent.

        Raises:
            Disconnected: nothing was sent.
        """
        outcomes: list[Posted | None] = [None] * len(calls)
        unsent = ""
        for places in self._groups(calls):
            if not unsent:
                try:
                    found = await self._group([calls[place] for place in places], by_key=by_key)
                except Disconnected as error:
                    if all(one is None for one in outcomes):
                        raise
                    unsent = str(error)
            for place, outcome in zip(places, [] if unsent else found, strict=False):
                outcomes[place] = outcome
        return [Retry(reason=unsent) if one is None else one for one in outcomes]

    def _groups(self, calls: Sequence[Call]) -> list[list[int]]:
        """Which calls go together: those of one service, as many as the configuration says."""
        found: list[list[int]] = []
        waiting: dict[str, list[int]] = {}
        for place, call in enumerate(calls):
            if self._config.bundle.size == 1 or call.kind == "restrict":
                found.append([place])
                continue
            group = waiting.setdefault(call.service, [])
            group.append(place)
            if len(group) == self._config.bundle.size:
                found.append(waiting.pop(call.service))
        return found + list(waiting.values())

    async def _group(  # noqa: PLR0911 - one for each way it can end
        self, calls: list[Call], *, by_key: bool
    ) -> list[Posted]:
        if len(calls) == 1:
            return [await self._single(calls[0], by_key=by_key)]
        size = self._config.bundle.changeset
        changesets = [calls[start : start + size] for start in range(0, len(calls), size)]
        parts = [
            [
                batch.Part(
                    "POST",
                    call.path,
                    self._headers(call, by_key=by_key) | {"Content-Type": _JSON},
                    _body(call),
                )
                for call in changeset
            ]
            for changeset in changesets
        ]
        kind, body = batch.built(parts, calls[0].request_id)
        try:
            answer = await self._session.send("POST", calls[0].service, "$batch", body, {}, kind)
        except NotReady as error:
            return [self._outcome(judge(error.answer)) for _ in calls]
        except Disconnected as error:
            if not error.sent:
                raise
            return [Retry(reason=str(error), sent=True) for _ in calls]
        if (
            answer.status >= 400
            and answer.status not in (401, 403, 408, 423, 425, 429)
            and answer.status < 500
        ):
            # The target does not take batches like this; their postings may be fine.
            return [await self._single(call, by_key=by_key) for call in calls]
        if answer.status >= 400:
            return [self._outcome(judge(answer)) for _ in calls]
        answers = batch.parsed(answer, [len(one) for one in changesets])
        if answers is None:
            return [Retry(reason="the answer to a batch cannot be read", sent=True) for _ in calls]
        outcomes: list[Posted] = []
        for changeset, found in zip(changesets, answers, strict=True):
            outcomes += await self._of_changeset(changeset, found, by_key=by_key)
        return outcomes

    async def _of_changeset(self, calls: list[Call], answers: list[Answer], *, by_key: bool) -> list[Posted]:
        if len(answers) == len(calls):
            return [
                await self._judged(call, one, by_key=by_key) for call, one in zip(calls, answers, strict=True)
            ]
        # It failed as a whole, and one of several is at fault.
        self._counters["split"] += 1
        if judge(answers[0]).means != "ask":
            return [await self._single(call, by_key=by_key) for call in calls]
        # The target failed over it: what it did before is not known.
        return [await self._again(call, answers[0], by_key=by_key) for call in calls]

    async def _again(self, call: Call, answer: Answer, *, by_key: bool) -> Posted:
        """Send a call that may have been done once more, only if it is not there."""
        found = await self._looked_up(call)
        if isinstance(found, Absent):
            return await self._single(call, by_key=by_key)
        return Retry(reason=said(answer), judged=True, sent=True) if found is None else found

    async def _single(self, call: Call, *, by_key: bool) -> Posted:
        if call.kind == "restrict":
            return await self._restrict(call)
        try:
            answer = await self._session.send(
                "POST", call.service, call.path, _body(call), self._headers(call, by_key=by_key), _JSON
            )
        except NotReady as error:
            return self._outcome(judge(error.answer))
        except Disconnected as error:
            if not error.sent:
                raise
            return Retry(reason=str(error), sent=True)
        return await self._judged(call, answer, by_key=by_key)

    def _headers(self, call: Call, *, by_key: bool) -> dict[str, str]:
        headers = {"Accept": _JSON}
        if call.kind in ("cancel", "unmove"):
            # What is cancelled twice is refused, whatever its version.
            headers["If-Match"] = "*"
        if by_key and not self._refuses_ids:
            headers |= {"RequestID": call.request_id, "RepeatabilityCreation": call.created}
        return headers

    async def _judged(self, call: Call, answer: Answer, *, by_key: bool) -> Posted:
        """What an answer to a posting means."""
        if by_key and not self._refuses_ids:
            self._note(answer)
            if self._refuses_ids:
                return Retry(reason=said(answer), after_s=0.0)
        if answer.status == 202:
            return self._accepted(call, answer)
        if not 200 <= answer.status < 300:
            verdict = judge(answer)
            if verdict.means == "already":
                return await self._already(call, verdict)
            return self._outcome(verdict)
        return await self._succeeded(call, answer)

    async def _succeeded(self, call: Call, answer: Answer) -> Posted:
        """A 2xx counts only if it names a document, not another's; what it leaves open is looked up.

        The cancellation of a material document carries no reference of ours, so it is always looked up.
        """
        row = None if messages(answer.body) else entity(answer.body, CANCEL)
        if row is not None and _is_anothers(row, call):
            row = None
        name = "" if row is None else document_of(row) if call.kind == "move" else name_of(row)
        if row is not None and name and call.kind != "unmove":
            return Done(await self._complete(call, name, row))
        reason = f"answered {answer.status} without a document of ours: {said(answer)}"
        found = await self._looked_up(call)
        if found is None:
            return Retry(reason=reason, judged=True, sent=True)
        if not isinstance(found, Absent):
            return found
        line = line_of(answer, status=400) if messages(answer.body) else None
        if line is not None and line.means != "already" and (line.code or line.says):
            return self._outcome(judge(answer, status=400))
        # An error that the table does not know, in an answer that says success: what it means is not known.
        return Retry(reason=reason, judged=True, sent=True)

    async def _already(self, call: Call, verdict: Verdict) -> Posted:
        """The target says that it did this before: only what is found is done."""
        found = await self._looked_up(call)
        if found is None:
            return Retry(reason=verdict.reason, sent=True)
        return InDoubt(f"{verdict.reason}; it cannot be found") if isinstance(found, Absent) else found

    async def _looked_up(self, call: Call) -> Done | Absent | InDoubt | None:
        """Ask at once, about a request that has been answered; `None` if the target cannot be asked."""
        self._counters["looked_up"] += 1
        try:
            return await self.ask(call)
        except Disconnected:
            return None

    async def follow(  # noqa: PLR0911 - one for each way it can end
        self, call: Call, reference: str
    ) -> Posted:
        """Ask for the result of an accepted request at the address that the target gave.

        Work that may still go on stands as accepted: what does not say that it is over ends nothing.
        """
        try:
            answer = await self._session.follow(reference)
        except AdapterError as error:
            return InDoubt(str(error))
        except Disconnected as error:
            raise Disconnected(str(error), sent=False) from error
        if answer.status in (202, 401, 408, 425, 429) or 300 <= answer.status < 400 or answer.status >= 500:
            return self._accepted(call, answer, reference)
        state, answer = _result(answer)
        if state == "at work":
            return self._accepted(call, answer, reference)
        if 200 <= answer.status < 300 or answer.status == 404:
            outcome = await self._succeeded(call, answer)
            is_over = state or answer.status == 404 or messages(answer.body)
            if isinstance(outcome, Retry) and not is_over:
                return self._accepted(call, answer, reference)
            return outcome
        verdict = judge(answer)
        if answer.status == 403 and verdict.means in ("token", "retry"):
            # It is the question that the target refuses.
            return self._accepted(call, answer, reference)
        return await self._already(call, verdict) if verdict.means == "already" else self._outcome(verdict)

    def _accepted(self, call: Call, answer: Answer, before: str | None = None) -> Posted:
        location = answer.headers.get("Location", "")
        where = self._session.absolute(call.service, location) if location else before
        if where is None or not self._session.is_ours(where):
            where = before
        if where is None:
            said_where = excerpt(location, 200) or "nowhere"
            return Retry(reason=f"accepted; its result is {said_where}", judged=True, sent=True)
        after_s = retry_after_s(answer.headers.get("Retry-After"))
        return Accepted(
            reference=where,
            after_s=self._config.again_s if after_s is None else after_s,
            within_s=self._config.accepted_within,
        )

    async def ask(self, call: Call) -> Done | Absent | InDoubt:
        """What became of a posting, its goods movements with it; raises what `Lookups.ask` raises."""
        found = await self._lookups.ask(call)
        if isinstance(found, Done) and found.reference is not None:
            return Done(await self._complete(call, found.reference, {}))
        return found

    async def _by_erp(self, name: str) -> str:
        """The reference of a confirmation whose goods the target moves itself."""
        where = self._config.failed_movements
        if where is None:
            return name
        try:
            failed = await self._lookups.failed_of(name, where)
        except (Unreadable, Disconnected):
            return f"{name} incomplete? its failed goods movements cannot be read"
        if not failed:
            return name
        self._counters["posted_incomplete"] += 1
        return f"{name} incomplete: {failed} goods movements failed"

    async def _complete(self, call: Call, name: str, row: dict[str, Any]) -> str:
        """The reference of a confirmation, which says so if goods movements are missing."""
        if call.kind != "confirm":
            return name
        if call.moves == 0:
            return await self._by_erp(name)
        listed = row.get("to_ProdnOrdConfMatlDocItm")
        inside = listed.get("results") if isinstance(listed, dict) else None
        try:
            found = len(inside) if isinstance(inside, list) and inside else await self._lookups.moves_of(name)
        except (Unreadable, Disconnected):
            return f"{name} incomplete? its goods movements cannot be read"
        if found >= call.moves:
            return name
        self._counters["posted_incomplete"] += 1
        return f"{name} incomplete: {found} of {call.moves} goods movements"

    async def _restrict(self, call: Call) -> Posted:  # noqa: PLR0911 - one for each way it can end
        """Set the status of a batch, if it is to change; nobody else's change is overwritten."""
        for _ in range(2):
            try:
                restricted, version = await self._lookups.batch(call)
            except Unreadable as error:
                return Retry(reason=str(error), judged=True)
            if restricted is None:
                return self._waiting(
                    "batch", f"the batch {call.key.get('Batch')} does not exist", "batch_missing"
                )
            if restricted == call.restricted:
                return Done(holds.status_name(call))
            if call.held:
                return Done(f"{holds.status_name(call)}, but somebody else has freed it")
            try:
                headers = {"If-Match": version or "*", "Accept": _JSON}
                answer = await self._session.send(
                    "PATCH", call.service, call.path, _body(call), headers, _JSON
                )
            except NotReady as error:
                return self._outcome(judge(error.answer))
            except Disconnected as error:
                if not error.sent:
                    raise
                # Whatever became of it, the same status may be set again.
                return Retry(reason=str(error), sent=True)
            if answer.status != 412 and not 200 <= answer.status < 300:
                return self._outcome(judge(answer))
        return await self._status_set(call)

    async def _status_set(self, call: Call) -> Posted:
        """Believe only what is read back."""
        found = await self._looked_up(call)
        if isinstance(found, Done):
            return found
        return Retry(reason="the status of the batch was changed by somebody else", judged=True)

    def _outcome(self, verdict: Verdict) -> Posted:
        if verdict.means in ("token", "retry"):
            return Retry(after_s=verdict.after_s, reason=verdict.reason)
        if verdict.means == "not_yet":
            return self._waiting(verdict.within, verdict.reason, verdict.code, verdict.after_s)
        if verdict.means == "refused":
            return Refused(verdict.code, verdict.reason)
        return Retry(after_s=verdict.after_s, reason=verdict.reason, judged=True, sent=True)

    def _waiting(self, within: str, reason: str, code: str, after_s: float | None = None) -> NotYet:
        config = self._config
        return NotYet(
            reason=reason,
            after_s=config.again_s if after_s is None else after_s,
            within_s=config.batch_within if within == "batch" else config.lock_within,
            code=code,
        )

    def _note(self, answer: Answer) -> None:
        """Whether the target honours a RequestID, as it says with each answer."""
        result = answer.headers.get("RepeatabilityResult", "").lower()
        if result == "unsupported":
            self._refuses_ids = True
        if result or 200 <= answer.status < 300:
            self.honoured = result == "accepted"


def _is_anothers(row: dict[str, Any], call: Call) -> bool:
    """Whether what an answer names carries a reference, and it is not ours: it answers another request."""
    name = _REFERENCES.get(call.kind, "")
    found = str(row.get(name) or "").lower()
    return bool(found.strip("0-")) and found != call.reference.lower()


def _body(call: Call) -> bytes:
    return call.body.encode()


def _result(answer: Answer) -> tuple[str, Answer]:
    """The state of accepted work, and the answer to the request itself where that stands in it."""
    row = entity(answer.body)
    state = str(row.get("Status", "")).lower() if row is not None else ""
    if row is None or state not in (*_AT_WORK, *_FAILED, *_FINISHED):
        return "", answer
    if state in _AT_WORK:
        return "at work", answer
    body = msgspec.json.encode(row.get("Result"))
    return state, msgspec.structs.replace(answer, status=400 if state in _FAILED else 200, body=body)
