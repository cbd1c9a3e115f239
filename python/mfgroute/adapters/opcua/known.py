"""Which certificate each server is known by, who said so, and which ones wait for a person.

One file for each source, ``<data_dir>/opcua/<source>.json``, which the node and ``mfgroute pki`` both
write, one after the other. An approval adds to the checks of `trust` and replaces none of them. Every
decision is also a line of ``decisions.jsonl``, which is only ever added to. No asyncua in here.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mfgroute.adapters.opcua.trust import named, thumbprint
from mfgroute.errors import AdapterError, Quarantined

#: Certificates without approval that are kept of one source; whoever shows more pushes out the oldest.
OTHERS_MAX = 16
#: How often it is written down that the same certificate was shown again.
AGAIN_S = 60

How: TypeAlias = Literal["person", "listed", "first_use", "pinned"]
State: TypeAlias = Literal["waiting", "refused", "rejected"]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate a server is known by.

    Attributes:
        sha256: of the certificate, in hex.
        how: ``person`` by ``mfgroute pki trust``; ``listed`` because the configuration names this very
            certificate; ``first_use`` because the configuration accepts the first one; ``pinned``.
        by: who approved it.
        why: the reason that was given.
        at: when, RFC 3339.
        certificate: DER in base64; empty in files of before there were reasons.
    """

    sha256: str
    how: How
    by: str
    why: str
    at: str
    certificate: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was shown and is not approved.

    Attributes:
        state: ``waiting`` for a person, ``refused`` by a check, ``rejected`` by a person.
        why: what the check or the person said.
        by: the person.
        first_at, last_at: when it was shown, or decided about.
    """

    sha256: str
    state: State
    why: str
    first_at: str
    last_at: str
    certificate: str
    by: str = ""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the server of one source.

    Attributes:
        endpoint: where it is; an approval counts for this endpoint only. Empty before the first contact.
        shown: SHA-256 of what it showed last.
        approval: the certificate it is known by.
        others: what else was shown, newest last.
    """

    endpoint: str = ""
    shown: str = ""
    approval: Approval | None = None
    others: tuple[Shown, ...] = ()

    def quarantined(self) -> Shown | None:
        """The certificate for which the source cannot connect now, or `None`."""
        return next((one for one in self.others if one.sha256 == self.shown), None)


class Known:
    """The book of one source."""

    def __init__(self, data_dir: Path, source: str) -> None:
        self._folder = data_dir / "opcua"
        self._source = source
        self.path = self._folder / f"{source}.json"
        self._stamp: tuple[int, int] | None = None

    def read(self) -> Book:
        """The book; an empty one if there is none yet.

        Raises:
            AdapterError: it cannot be read.
        """
        try:
            text = self.path.read_bytes()
            old = msgspec.json.decode(text)
            if "sha256" in old:
                said = "the first one it showed, of before there were approvals"
                first = Approval(sha256=old["sha256"], how="first_use", by="node", why=said, at="")
                return Book(endpoint=old["endpoint"], shown=first.sha256, approval=first)
            return msgspec.json.decode(text, type=Book)
        except FileNotFoundError:
            return Book()
        except (OSError, KeyError, TypeError, msgspec.DecodeError) as error:
            raise AdapterError(f"cannot read {self.path}: {error}") from error

    def refuse(self, certificate: x509.Certificate, endpoint: str, why: str) -> None:
        """Write down a certificate that a check refused."""
        with self._open(endpoint) as book:
            self._write(_shown(book, certificate, "refused", why))

    def judge(self, certificate: x509.Certificate, endpoint: str, *, hows: frozenset[How]) -> How:
        """How a certificate that passed every check may be believed.

        Args:
            certificate: as the server shows it.
            endpoint: as configured.
            hows: which approvals count, and of ``listed`` and ``first_use``, whether they may be given now;
                ``pinned`` needs no other.

        Raises:
            Quarantined: it waits for a person, or a person rejected it; that is written down.
        """
        print_ = thumbprint(certificate)
        with self._open(endpoint) as book:
            before = next((one for one in book.others if one.sha256 == print_), None)
            if before is not None and before.state == "rejected":
                self._write(_shown(book, certificate, "rejected", before.why, by=before.by))
                raise Quarantined(
                    f"{endpoint} shows a certificate that {before.by} rejected: {before.why}; sha256 {print_}"
                )
            if "pinned" in hows:
                return "pinned"
            approval = book.approval
            if approval is not None and approval.how not in hows:
                approval = None
            if approval is not None and approval.sha256 == print_:
                return approval.how
            if approval is None:
                for how in ("listed", "first_use"):
                    if how in hows:
                        return how
                why = "nobody approved it yet"
            else:
                why = f"it was sha256 {approval.sha256}, approved by {approval.by}: {approval.why}"
            self._write(_shown(book, certificate, "waiting", why))
        raise Quarantined(
            f"{endpoint} is in quarantine until a person approves its certificate sha256 {print_} ({why}): "
            f"mfgroute pki trust {self._source} {print_} --reason …"
        )

    def keep(self, certificate: x509.Certificate, endpoint: str, how: How) -> None:
        """Write down that the server proved to have an approved certificate."""
        print_ = thumbprint(certificate)
        why = {
            "listed": "trust.certificates names this certificate",
            "first_use": "trust.first_use is accept",
            "pinned": "trust.thumbprints names it",
        }.get(how, "")
        with self._open(endpoint) as book:
            approval = book.approval
            rejected = any(one.sha256 == print_ and one.state == "rejected" for one in book.others)
            if rejected or approval is None or approval.sha256 != print_:
                if rejected or how == "person":
                    raise Quarantined(f"the approval of {endpoint} was withdrawn while it connected")
                approval = Approval(
                    sha256=print_,
                    how=how,
                    by="configuration",
                    why=why,
                    at=_now(),
                    certificate=_text(certificate),
                )
                if how != "pinned":
                    self._note(how, "configuration", why, certificate, endpoint)
            others = tuple(one for one in book.others if one.sha256 != print_)
            kept = Book(endpoint=endpoint, shown=print_, approval=approval, others=others)
            if kept != book:
                self._write(kept)
            self._stamp = self._stamp_now()

    def withdrawn(self, sha256: str) -> bool:
        """Whether the approval of a certificate is gone since `keep`; cheap where nothing was written."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        approval = self.read().approval
        return approval is None or approval.sha256 != sha256

    def trust(self, certificate: x509.Certificate, *, by: str, why: str) -> None:
        """Approve a certificate; the one before it is not believed any more."""
        with self._open(None) as book:
            self._note("trusted", by, why, certificate, book.endpoint)
            approval = Approval(
                sha256=thumbprint(certificate), how="person", by=by, why=why, at=_now(),
                certificate=_text(certificate),
            )  # fmt: skip
            others = tuple(one for one in book.others if one.sha256 != approval.sha256)
            self._write(msgspec.structs.replace(book, approval=approval, others=others))

    def reject(self, certificate: x509.Certificate, *, by: str, why: str) -> None:
        """Never believe a certificate, also if it was approved before."""
        with self._open(None) as book:
            self._note("rejected", by, why, certificate, book.endpoint)
            approval = book.approval
            if approval is not None and approval.sha256 == thumbprint(certificate):
                approval = None
            made = _shown(book, certificate, "rejected", why, by=by)
            self._write(msgspec.structs.replace(made, shown=book.shown, approval=approval))

    @contextmanager
    def _open(self, endpoint: str | None) -> Iterator[Book]:
        """The book, which nobody else writes meanwhile. An approval of another endpoint is not in it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise AdapterError(f"cannot open {self._folder}: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            book = self.read()
            if endpoint is not None and book.endpoint != endpoint:
                moved = {} if book.endpoint == "" else {"approval": None, "shown": ""}
                book = msgspec.structs.replace(book, endpoint=endpoint, **moved)
            yield book
        except OSError as error:
            raise AdapterError(f"cannot write {self.path}: {error.strerror}") from error
        finally:
            os.close(folder)

    def _write(self, book: Book) -> None:
        if self.read() == book:
            return
        fresh = self.path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(book))
            self._settle(file)
        fresh.replace(self.path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _note(self, did: str, by: str, why: str, certificate: x509.Certificate, endpoint: str) -> None:
        """Add a decision to those of all sources, before it takes effect."""
        line = {
            "at": _now(), "did": did, "by": by, "why": why, "source": self._source, "endpoint": endpoint,
            "sha256": thumbprint(certificate), "subject": certificate.subject.rfc4514_string(),
        }  # fmt: skip
        path = self._folder / "decisions.jsonl"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            self._settle(file)

    def _settle(self, file: BinaryIO) -> None:
        """Bring what was written to the disk, and into the hands of the node's user."""
        owner = self._folder.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            # An administrator decides, and the node, which is another user, must read it.
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.chown(self._folder, owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def books(data_dir: Path) -> dict[str, Book]:
    """The book of every source that has one, by name.

    Raises:
        AdapterError: one cannot be read.
    """
    folder = data_dir / "opcua"
    found = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    return {name: Known(data_dir, name).read() for name in found}


def certificate_of(text: str) -> x509.Certificate | None:
    """A certificate as it is kept in a book, or `None` if none is."""
    return x509.load_der_x509_certificate(base64.b64decode(text)) if text else None


def described(certificate: x509.Certificate) -> dict[str, object]:
    """What a person compares before approving a certificate."""
    uris, hosts = named(certificate)
    return {
        "sha256": thumbprint(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "application_uris": uris,
        "hosts": hosts,
        "not_before": _rfc3339(certificate.not_valid_before_utc),
        "not_after": _rfc3339(certificate.not_valid_after_utc),
    }


def _shown(book: Book, certificate: x509.Certificate, state: State, why: str, *, by: str = "") -> Book:
    """The book with a certificate that was shown now."""
    print_, now = thumbprint(certificate), datetime.now(UTC)
    before = next((one for one in book.others if one.sha256 == print_), None)
    if (
        before is not None
        and (before.state, before.why, book.shown) == (state, why, print_)
        and (now - datetime.fromisoformat(before.last_at)).total_seconds() < AGAIN_S
    ):
        return book
    made = Shown(
        sha256=print_, state=state, why=why, by=by, certificate=_text(certificate),
        first_at=before.first_at if before is not None else _rfc3339(now), last_at=_rfc3339(now),
    )  # fmt: skip
    others = [one for one in book.others if one.sha256 != print_]
    while len(others) >= OTHERS_MAX:
        # What a person decided stays longest: a rejected certificate must not come back as a new one.
        others.remove(next((one for one in others if one.state != "rejected"), others[0]))
    return msgspec.structs.replace(book, shown=print_, others=(*others, made))


def _text(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _now() -> str:
    return _rfc3339(datetime.now(UTC))


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
