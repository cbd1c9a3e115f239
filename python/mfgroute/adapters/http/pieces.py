"""Pieces of requests: paths and headers made of templates."""

from __future__ import annotations

import re
from urllib.parse import quote

from mfgroute.adapters.http import template
from mfgroute.adapters.http.template import EVENT, Fields, Place, Text, Unfit
from mfgroute.errors import SettingError

__all__ = [
    "HEADER_NAME",
    "PATH_CHARACTERS",
    "filled_header",
    "filled_path",
    "header_text",
    "path_text",
    "read",
    "single",
    "target",
]

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PATH_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_UNFIT_IN_PATH = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NEVER = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization"}
_NEVER |= {"cookie", "proxy-authorization", "te", "trailer", "upgrade", "expect"}
_PATH_MAX = 8000


def read(written: str, pointer: str, names: frozenset[str] = EVENT) -> Text:
    """Read a text with places, some of `names`.

    Raises:
        SettingError: with the pointer of the mistake.
    """
    try:
        return template.text(written, names)
    except SettingError as error:
        raise SettingError(str(error), pointer, hint=error.hint) from None


def single(written: str, pointer: str) -> Place:
    """A text that is exactly one place.

    Raises:
        SettingError: it is not.
    """
    made = read(written, pointer)
    if len(made) == 1 and isinstance(made[0], Place):
        return made[0]
    raise SettingError(f"`{written}`, expected one place such as `{{data.quantity}}`", pointer)


def path_text(written: str, pointer: str = "/path", names: frozenset[str] = EVENT) -> Text:
    """Read a template of a path.

    Raises:
        SettingError: it cannot be a path, wherever it is put.
    """
    made = read(written, pointer, names)
    static = "".join(part for part in made if isinstance(part, str))
    if written and not written.startswith(("/", "?")):
        raise SettingError(f"`{written}`, expected a path that begins with `/`", pointer)
    if not PATH_CHARACTERS.fullmatch(static) or re.search(r"%(?![0-9A-Fa-f]{2})", static):
        raise SettingError(
            f"`{written}` has characters that a path has not", pointer, hint="write them as %XX"
        )
    if any(part in (".", "..") for part in written.partition("?")[0].split("/")):
        raise SettingError(f"`{written}` has a part `.` or `..`", pointer)
    return made


def target(path: Text, fill: dict[str, str]) -> str:
    """A path with ``{key}`` and the like filled from `fill`, percent-encoded."""
    return "".join(
        part if isinstance(part, str) else quote(fill[str(part.path[0])], safe="") for part in path
    )


def filled_path(path: Text, fields: Fields) -> str:
    """A path with its places filled and percent-encoded.

    Raises:
        Unfit: a value is missing, or would leave its place.
    """
    made = ""
    for part in path:
        if isinstance(part, str):
            made += part
            continue
        word = fields.word(part)
        if not word and not part.optional:
            raise Unfit("field_missing", f"{part.pointer} is empty, and stands in the path")
        if word and _UNFIT_IN_PATH.search(word):
            raise Unfit("field_unfit", f"{part.pointer} has characters that no path carries")
        made += quote(word or "", safe="")
    if any(part in (".", "..") for part in made.partition("?")[0].split("/")):
        raise Unfit("field_unfit", "a part of the path would be `.` or `..`")
    if len(made) > _PATH_MAX:
        raise Unfit("field_unfit", f"the path has {len(made)} characters, expected at most {_PATH_MAX}")
    return made


def header_text(name: str, value: str, names: frozenset[str] = EVENT) -> Text:
    """A template of a header's value.

    Raises:
        SettingError: the header is not ours to set, or the value can never be one.
    """
    pointer = f"/headers/{name.replace('~', '~0').replace('/', '~1')}"
    if not HEADER_NAME.fullmatch(name) or name.lower() in _NEVER:
        hint = "a secret belongs under the sink's own `headers` or `token`"
        raise SettingError(f"header `{name}` cannot be set here", pointer, hint=hint)
    made = read(value, pointer, names)
    if not all(_HEADER_VALUE.fullmatch(part) for part in made if isinstance(part, str)):
        raise SettingError("the value has characters that a header has not", pointer)
    return made


def filled_header(name: str, value: Text, fields: Fields) -> str:
    """The value of a header.

    Raises:
        Unfit: it has characters that a header has not.
    """
    made = template.filled(value, fields)
    if not _HEADER_VALUE.fullmatch(made) or len(made) > _PATH_MAX:
        raise Unfit("field_unfit", f"the header {name} would have characters that a header has not")
    return made
