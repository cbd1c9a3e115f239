"""Text from outside, made safe to show: no control, bidi or invisible character reaches a terminal or log."""

from __future__ import annotations

import re

__all__ = ["escaped", "excerpt"]

# C0 and C1 controls, soft hyphen, bidi marks and overrides, zero-width and invisible characters, line and
# paragraph separators, byte order mark, interlinear annotation, tags and lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def escaped(text: str | bytes) -> str:
    r"""Write every unsafe character as ``\uXXXX``, as JSON does, so that escaped JSON is the same JSON.

    Characters above the basic plane become two such escapes. Bytes that are not UTF-8 become U+FFFD.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _UNSAFE.sub(_escape, text)


def excerpt(text: str | bytes, length_max: int = 500) -> str:
    """One line of at most `length_max` characters of what a peer said, escaped and shortened with ``…``."""
    if isinstance(text, bytes):
        # Four bytes per character at most; the rest is not looked at.
        text = text[: 4 * length_max + 4].decode("utf-8", "replace")
    line = escaped(" ".join(text[: 2 * length_max].split()))
    return line if len(line) <= length_max else line[: length_max - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
