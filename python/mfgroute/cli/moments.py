"""Moments as people give them to a command."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime

from mfgroute.cli.failures import USAGE, Failure


def moment(name: str, text: str, other: str = "") -> int:
    """Milliseconds since 1970 of a time with its zone, or of so long ago.

    Args:
        name: of the option.
        text: what was given.
        other: what else it may be, for the hint.

    Raises:
        Failure: it is neither.
    """
    from mfgroute.units import Duration  # noqa: PLC0415 - not for --help

    with contextlib.suppress(ValueError):
        return max(int((time.time() - Duration.parse(text)) * 1000), 0)
    with contextlib.suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return max(int(found.timestamp() * 1000), 0)
        text = f"{text} (without a zone)"
    what = "no moment and no offset" if other else "no moment"
    hint = f"write 2026-11-21T06:00:00Z, 2026-11-21T06:00:00+01:00 or 24h{other}"
    raise Failure(f"`--{name} {text}` is {what}", code=USAGE, hint=hint)
