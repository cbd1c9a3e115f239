"""What our postings are called in the target. All of it is computed from the event alone.

* `request_id`: 32 hex digits, for the header ``RequestID``: the event id without its dashes.
* `reference`: 16 characters, for ``ReferenceDocument``: the first 80 bits of the SHA-256 of the event id in
  base 32 (RFC 4648: A-Z and 2-7, which survive a target that turns everything to capitals). Two of n events
  share it with a probability of about n² / 2^81: 4 in 10 million for a thousand million documents.
* `guid`: for ``ExternalSystemConfirmation``: of the report, not of the event, so that a reversal, which knows
  only the report that it takes back, finds its confirmation.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from typing import Literal

__all__ = ["guid", "reference", "request_id", "reversal_id"]

_HEX = re.compile(r"[0-9a-f]{32}")


def request_id(event_id: str) -> str:
    """The key of a request, 32 hex digits; a hash of an id that is no UUID."""
    plain = event_id.replace("-", "").lower()
    return plain if _HEX.fullmatch(plain) else hashlib.sha256(event_id.encode()).hexdigest()[:32]


def reversal_id(key: str) -> str:
    """The key of the request that undoes another: once for each."""
    return hashlib.sha256(f"reverse/{key}".encode()).hexdigest()[:32]


def reference(event_id: str) -> str:
    """The 16 characters of an event."""
    return base64.b32encode(hashlib.sha256(event_id.encode()).digest()[:10]).decode()


def guid(
    kind: Literal["confirmation", "scrap", "reversal"], site: str, order: str, operation: str, report: str
) -> str:
    """The GUID of a report of an operation: a UUID of our own kind (RFC 9562, version 8)."""
    parts = "".join(f"{len(part)}:{part}" for part in (kind, site, order, operation, report))
    raw = bytearray(hashlib.sha256(parts.encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))
