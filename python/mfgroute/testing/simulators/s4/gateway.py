"""What stands before the services: logon, tokens, repeated requests, batches, locks, work for later."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from mfgroute.testing.simulators.s4.atom import formatted
from mfgroute.testing.simulators.s4.changes import Changes, names
from mfgroute.testing.simulators.s4.faults import Fault, Faults, Subject
from mfgroute.testing.simulators.s4.ledger import Books, digest
from mfgroute.testing.simulators.s4.master import Switches
from mfgroute.testing.simulators.s4.messages import MESSAGES, ODataError, refusal
from mfgroute.testing.simulators.s4.model import SERVICES
from mfgroute.testing.simulators.s4.multipart import Part, parse_batch, write_batch
from mfgroute.testing.simulators.s4.protocol import Answer, Call, error_answer, json_answer
from mfgroute.testing.simulators.s4.reads import Reads
from mfgroute.testing.simulators.s4.sessions import COOKIE, Sessions
from mfgroute.testing.simulators.s4.store import Store, Unit

__all__ = ["Gateway"]

_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{32}")


class Gateway:
    """Answers requests, without a network.

    Args:
        store: the tables.
        switches: how the system is configured.
        books: the ledger.
        faults: what goes wrong where the work is done.
        sessions: the tokens.
        now: the time.
    """

    def __init__(
        self,
        store: Store,
        switches: Switches,
        *,
        books: Books,
        faults: Faults,
        sessions: Sessions,
        now: Callable[[], datetime],
    ) -> None:
        self.base = ""
        self._store = store
        self._switches = switches
        self._books = books
        self._faults = faults
        self._sessions = sessions
        self._now = now
        self._reads = Reads(store, switches)
        self._changes = Changes(switches, now)
        self._held: set[str] = set()

    async def answer(self, call: Call) -> Answer:
        """Answer a request."""
        try:
            self._admit(call)
            if call.method in ("GET", "HEAD"):
                return self._with_token(call, formatted(call, self._reads.answer(self.base, call)))
            if call.path == "$batch":
                return await self._batch(call)
            [answer] = await self._change([call])
        except ODataError as error:
            return self._refused(call, error)
        return answer

    def _admit(self, call: Call) -> None:
        if self._switches.users and not self._known_user(call.headers.get("authorization", "")):
            raise refusal("unauthorized")
        if call.service not in SERVICES:
            raise refusal("service_unknown", call.service)
        if call.method in ("GET", "HEAD") or not self._switches.csrf:
            return
        if not self._sessions.valid(call.headers.get("cookie", ""), call.headers.get("x-csrf-token", "")):
            raise refusal("csrf")

    def _known_user(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and self._switches.users.get(user) == password

    def _with_token(self, call: Call, answer: Answer) -> Answer:
        if call.headers.get("x-csrf-token", "").lower() != "fetch":
            return answer
        session, token = self._sessions.fetch(call.headers.get("cookie", ""), self._switches.token_s)
        headers = {"x-csrf-token": token, "Set-Cookie": f"{COOKIE}={session}; path=/; HttpOnly"}
        return Answer(status=answer.status, headers={**answer.headers, **headers}, body=answer.body)

    def _refused(self, call: Call, error: ODataError) -> Answer:
        answer = error_answer(error, call.service, self._switches.codes, f"{self._now():%Y%m%d%H%M%S.%f}")
        self._books.refusals.append(
            {
                "path": f"{call.service}/{call.path}",
                "request_id": call.headers.get("requestid"),
                "status": error.status,
                "code": self._switches.codes.get(error.name) or MESSAGES[error.name].code
                if error.name in MESSAGES
                else error.name,
                "message": error.text,
            }
        )
        return formatted(call, answer)

    # Repeated requests

    def _repeated(self, call: Call) -> Answer | None:
        """The answer that a request had before, if it asks for that and is not new.

        Raises:
            ODataError: it had one, which is no longer kept; or repeats are not supported.
        """
        request_id = call.headers.get("requestid")
        if self._switches.repeatability == "ignored" or not _asks(call) or request_id is None:
            return None
        if self._switches.repeatability == "unsupported":
            error = refusal("repeatability")
            error.headers["RepeatabilityResult"] = "unsupported"
            raise error
        if _REQUEST_ID.fullmatch(request_id) is None:
            raise refusal("value", "RequestID", request_id, "not 32 hexadecimal digits")
        row = self._store.tables.get("repeats", request_id.upper())
        age = self._now().timestamp() - row["at"] if row is not None else 0.0
        if row is None or age > self._switches.id_kept_s:
            return None
        if row["sha256"] != digest(call.body):
            self._books.keys_reused.append(request_id)
        if age > self._switches.response_kept_s:
            raise refusal("outdated")
        self._books.repeats[request_id] += 1
        return _unpacked(row["answer"])

    def _remember(self, unit: Unit, call: Call, answer: Answer) -> Answer:
        """Keep an answer for repeats, if the request asks for that."""
        if self._switches.repeatability != "accepted" or not _asks(call):
            return answer
        headers = {**answer.headers, "RepeatabilityResult": "accepted"}
        answer = Answer(status=answer.status, headers=headers, body=answer.body)
        row = {
            "at": self._now().timestamp(),
            "sha256": digest(call.body),
            "answer": _packed(answer),
        }
        unit.put("repeats", call.headers["requestid"].upper(), row)
        return answer

    def _forget(self, unit: Unit, call: Call) -> None:
        """Take a request that was answered for new when it comes again."""
        request_id = call.headers.get("requestid", "").upper()
        row = unit.get("repeats", request_id)
        if row is not None:
            unit.put("repeats", request_id, {**row, "at": 0.0})

    # Changes

    def subject(self, call: Call) -> Subject:
        """What a request is about."""
        found, _ = self._names(call)
        path = f"{call.service}/{call.path}"
        identity = call.headers.get("requestid") or f"{call.method} {path} {digest(call.body)}"
        return Subject(method=call.method, path=path, names=found, identity=identity)

    def _names(self, call: Call) -> tuple[frozenset[str], frozenset[str]]:
        if call.path != "$batch":
            return names(self._store.tables, call)
        try:
            parts = parse_batch(call)
        except ODataError:
            return frozenset(), frozenset()
        found = [names(self._store.tables, one) for part in parts for one in part.calls]
        return (
            frozenset[str]().union(*(one[0] for one in found)),
            frozenset[str]().union(*(one[1] for one in found)),
        )

    async def _change(self, calls: Sequence[Call]) -> list[Answer]:
        """Do what requests ask for, all of them or none.

        Raises:
            ODataError: one of them is refused.
        """
        known = [self._repeated(call) for call in calls]
        answers = [answer for answer in known if answer is not None]
        if len(answers) == len(calls):
            return answers
        fault = next((hit for call in calls if (hit := self._faults.on_change(self.subject(call)))), None)
        if fault is not None:
            self._books.mischief[fault.kind] += 1
        orders = frozenset[str]().union(*(names(self._store.tables, call)[1] for call in calls))
        with self._locked(orders):
            wait_s = fault.after_s if fault is not None and fault.kind == "slow" else self._switches.work_s
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            return self._work(calls, fault)

    @contextmanager
    def _locked(self, orders: frozenset[str]) -> Iterator[None]:
        busy = sorted(orders & self._held)
        if busy:
            raise refusal("order_locked", busy[0], self._switches.user, status=self._switches.lock_status)
        self._held |= orders
        try:
            yield
        finally:
            self._held -= orders

    def _work(self, calls: Sequence[Call], fault: Fault | None) -> list[Answer]:
        """Do it, in one unit and without giving up control."""
        kind = fault.kind if fault is not None else None
        try:
            with self._store.unit(keep=kind != "lie") as unit:
                if fault is not None and kind == "refuse":
                    raise _scripted(fault, self.subject(calls[0]))
                if fault is not None and kind == "accepted":
                    return [self._remember(unit, call, self._accept(unit, call, fault)) for call in calls]
                answers = [self._one(unit, call, fail_goods=kind == "movements_fail") for call in calls]
                for call in calls if kind == "twice" else ():
                    self._changes.run(unit, self.base, call)
                return answers
        except ODataError as error:
            if self._switches.repeat_failures:
                answer = self._refused(calls[0], error)
                with self._store.unit() as unit:
                    self._remember(unit, calls[0], answer)
            raise

    def _one(self, unit: Unit, call: Call, *, fail_goods: bool) -> Answer:
        known = self._repeated(call)
        if known is not None:
            return known
        answer = self._changes.run(unit, self.base, call, fail_goods=fail_goods)
        return self._remember(unit, call, formatted(call, answer))

    # Batches

    async def _batch(self, call: Call) -> Answer:
        known = self._repeated(call)
        if known is not None:
            return known
        done = [(part, await self._part(part)) for part in parse_batch(call)]
        answer = write_batch(done)
        if self._switches.repeat_failures or all(one.status < 400 for _, many in done for one in many):
            with self._store.unit() as unit:
                answer = self._remember(unit, call, answer)
        return answer

    async def _part(self, part: Part) -> list[Answer]:
        try:
            if part.changeset:
                return await self._change(part.calls)
            return [formatted(part.calls[0], self._reads.answer(self.base, part.calls[0]))]
        except ODataError as error:
            return [self._refused(part.calls[0], error)]

    # Work for later

    def _accept(self, unit: Unit, call: Call, fault: Fault) -> Answer:
        """Write a request down to do it later; the answer says where to ask."""
        number = str(unit.next_number("jobs", 1))
        row = {"polls": fault.polls, "call": msgspec.json.encode(call).decode(), "answer": None}
        unit.put("jobs", number, row)
        return json_answer(
            202, {"d": {"JobID": number, "Status": "accepted"}}, Location=f"{self.base}/jobs/{number}"
        )

    def job(self, number: str) -> Answer:
        """What became of work for later: 202 until it is done, then its answer.

        With `Switches.job_document` the answer is always 200, and a document says ``running``, ``posted`` or
        ``refused``.
        """
        with self._store.unit() as unit:
            job = unit.get("jobs", number)
            if job is None:
                return json_answer(404, {"error": f"no job {number}"})
            if job["answer"] is None and job["polls"] > 0:
                unit.put("jobs", number, {**job, "polls": job["polls"] - 1})
                running = {"d": {"JobID": number, "Status": "running"}}
                return json_answer(200 if self._switches.job_document else 202, running)
            if job["answer"] is None:
                job = self._finish(unit, number, job)
        answer = _unpacked(job["answer"])
        if not self._switches.job_document:
            return answer
        status = "posted" if answer.status < 400 else "refused"
        result = msgspec.Raw(answer.body) if "json" in answer.headers.get("Content-Type", "") else None
        return json_answer(200, {"d": {"JobID": number, "Status": status, "Result": result}})

    def _finish(self, unit: Unit, number: str, job: dict[str, object]) -> dict[str, str]:
        call = msgspec.json.decode(str(job["call"]), type=Call)
        mark = unit.mark()
        try:
            answer = formatted(call, self._changes.run(unit, self.base, call))
        except ODataError as error:
            unit.roll_back(mark)
            answer = self._refused(call, error)
            if not self._switches.repeat_failures:
                self._forget(unit, call)
        row = {"polls": "0", "call": str(job["call"]), "answer": _packed(answer)}
        unit.put("jobs", number, dict(row))
        return row


def _packed(answer: Answer) -> str:
    """An answer as it is kept for repeats, of which there are many."""
    return base64.b85encode(zlib.compress(msgspec.json.encode(answer), 1)).decode()


def _unpacked(text: str) -> Answer:
    return msgspec.json.decode(zlib.decompress(base64.b85decode(text)), type=Answer)


def _asks(call: Call) -> bool:
    """Whether a request asks to be done once however often it comes."""
    return "requestid" in call.headers and "repeatabilitycreation" in call.headers


def _scripted(fault: Fault, subject: Subject) -> ODataError:
    """The refusal that a fault scripts."""
    if fault.message in MESSAGES:
        error = refusal(fault.message, *sorted(subject.names)[:1], "OTHERUSER", status=fault.status)
        return ODataError(error.name, fault.text or error.text, status=error.status)
    return ODataError(fault.message, fault.text or fault.message, status=fault.status or 400)
