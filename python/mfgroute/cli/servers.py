"""What `pki` says and does about certificates of OPC UA servers: the books that the node also writes."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from mfgroute.adapters.opcua import known
from mfgroute.adapters.opcua import trust as trusting
from mfgroute.cli.failures import USAGE, Failure
from mfgroute.cli.node import data_dir
from mfgroute.errors import AdapterError

#: Fewer digits of a fingerprint could be made to match.
DIGITS_MIN = 16
_LOOK_S = 0.1


def where(given: Path | None, *, there: bool = True) -> Path:
    """The data folder that is meant.

    Raises:
        Failure: it must be `there` and is not.
    """
    folder = given or data_dir()
    if there and not folder.is_dir():
        hint = "name it with --data-dir, or start the node once"
        raise Failure(f"there is no data folder `{folder}`", code=USAGE, hint=hint)
    return folder


def sentence(reason: str) -> None:
    """Refuse a decision without a reason.

    Raises:
        Failure: it is empty.
    """
    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)


def rows(folder: Path, source: str | None, *, wait_s: float = 0.0) -> list[dict[str, Any]]:
    """Every certificate of every book, or of one source; waits for one that waits for approval."""
    end = time.monotonic() + wait_s
    found = _rows(folder, source)
    while not any(row["state"] == "waiting" for row in found) and time.monotonic() < end:
        # Nobody tells: the node writes a file.
        time.sleep(_LOOK_S)
        found = _rows(folder, source)
    return found


def _rows(folder: Path, source: str | None) -> list[dict[str, Any]]:
    found = []
    for name, book in _books(folder).items():
        if source not in (None, name):
            continue
        common = {"source": name, "endpoint": book.endpoint}
        here = []
        if (approval := book.approval) is not None:
            said = {"state": "approved", "by": approval.by, "why": approval.why, "at": approval.at}
            here.append(common | _described(approval.certificate, approval.sha256) | said)
        for one in book.others:
            said = {
                "state": one.state,
                "by": one.by,
                "why": one.why,
                "first_at": one.first_at,
                "at": one.last_at,
            }
            here.append(common | _described(one.certificate, one.sha256) | said)
        found += [row | {"shown": row["sha256"] == book.shown} for row in here]
    return found


def trust(
    folder: Path, source: str, fingerprint: str | None, file: Path | None, reason: str
) -> dict[str, Any]:
    """Approve a certificate that was shown, or that is in a file.

    Raises:
        Failure: there is none like that, or a check refused it.
    """
    if (fingerprint is None) == (file is None):
        raise Failure("expected either the fingerprint of a certificate or --certificate", code=USAGE)
    if file is not None:
        certificate = _from(file)
    else:
        assert fingerprint is not None
        row = _one(folder, source, fingerprint)
        if row["state"] == "refused":
            hint = "the server needs another certificate, or the source other settings under `trust`"
            raise Failure(f"sha256 {row['sha256']} cannot be approved: {row['why']}", code=USAGE, hint=hint)
        certificate = _kept(folder, source, row["sha256"])
    by = who()
    known.Known(folder, source).trust(certificate, by=by, why=reason)
    return {"source": source, "state": "approved", "by": by, "why": reason, **known.described(certificate)}


def reject(folder: Path, source: str, fingerprint: str, reason: str) -> dict[str, Any]:
    """Reject a certificate that was shown or approved.

    Raises:
        Failure: there is none like that.
    """
    certificate = _kept(folder, source, _one(folder, source, fingerprint)["sha256"])
    by = who()
    known.Known(folder, source).reject(certificate, by=by, why=reason)
    return {"source": source, "state": "rejected", "by": by, "why": reason, **known.described(certificate)}


def who() -> str:
    """The user of the system who runs the command, and who became that user."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "?"
    before = os.environ.get("SUDO_USER") if uid == 0 else None
    return f"uid {uid} ({name}, as {before})" if before else f"uid {uid} ({name})"


def _books(folder: Path) -> dict[str, known.Book]:
    try:
        return known.books(folder)
    except AdapterError as error:
        raise Failure(str(error), code=USAGE) from error


def _one(folder: Path, source: str, fingerprint: str) -> dict[str, Any]:
    digits = fingerprint.replace(":", "").lower()
    if len(digits) < DIGITS_MIN or any(one not in "0123456789abcdef" for one in digits):
        message = (
            f"the fingerprint is `{fingerprint}`, expected at least {DIGITS_MIN} digits of a SHA-256 in hex"
        )
        raise Failure(message, code=USAGE)
    found = [row for row in _rows(folder, source) if row["sha256"].startswith(digits)]
    if len(found) != 1:
        hint = f"see them with `mfgroute pki list --source {source}`"
        raise Failure(f"{source} was shown no certificate with sha256 {digits}…", code=USAGE, hint=hint)
    return found[0]


def _kept(folder: Path, source: str, sha256: str) -> x509.Certificate:
    book = _books(folder)[source]
    texts = {one.sha256: one.certificate for one in book.others}
    if book.approval is not None:
        texts[book.approval.sha256] = book.approval.certificate
    certificate = known.certificate_of(texts[sha256])
    if certificate is None:
        hint = "name its file with --certificate, or let the source connect once"
        raise Failure(f"the certificate with sha256 {sha256} itself was not kept", code=USAGE, hint=hint)
    return certificate


def _from(file: Path) -> x509.Certificate:
    try:
        certificate, *more = trusting.load([file])
    except AdapterError as error:
        raise Failure(str(error), code=USAGE) from error
    if more:
        raise Failure(f"`{file}` has {1 + len(more)} certificates, expected that of the server", code=USAGE)
    return certificate


def _described(text: str, sha256: str) -> dict[str, Any]:
    certificate = known.certificate_of(text)
    return (
        {"sha256": sha256, "subject": "?", "not_after": "?"}
        if certificate is None
        else known.described(certificate)
    )
