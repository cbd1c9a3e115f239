"""What a target's answers mean, as settings: a table, how it is asked, how an outcome is followed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Meta

from mfgroute.adapters.http import template
from mfgroute.adapters.http.pieces import path_text
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import MISSING, Answer, at, decoded
from mfgroute.errors import SettingError
from mfgroute.events import Accepted
from mfgroute.units import Duration

__all__ = ["POINTER", "Ask", "Condition", "Follow", "Row", "Success", "document_of", "reference_at", "same"]

_REFERENCE_MAX = 256
_NAME = re.compile(r"\{([a-z_]+)\}")
POINTER = "^(/[^/]*)*$"

Pointer: TypeAlias = Annotated[str, Meta(pattern=POINTER)]
Status: TypeAlias = int | Literal["2xx", "3xx", "4xx", "5xx"]


class Success(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the body of a 2xx answer must say for the event to count as done."""

    pointer: Annotated[str, Meta(pattern=POINTER, description="Place in the answer, such as `/d/status`")]
    equals: Annotated[Any, Meta(description="The value that must stand there")]


class Condition(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which answers are meant."""

    status: Annotated[
        Status | list[Status], Meta(description="HTTP status, `2xx` to `5xx`, or a list of them")
    ] = "2xx"
    pointer: Annotated[
        Pointer | None, Meta(description="Place in the answer that must be there, such as `/error/code`")
    ] = None
    equals: Annotated[
        Any, Meta(description="The value that must stand there, or a list of those that may")
    ] = None

    def __post_init__(self) -> None:
        """Refuse a value without a place."""
        if self.equals is not None and self.pointer is None:
            raise SettingError("needs a `pointer` that says where", "/equals")

    def holds(self, answer: Answer) -> bool:
        """Whether an answer is meant. A body that is cut or no JSON says nothing."""
        meant = self.status if isinstance(self.status, list) else [self.status]
        if answer.status not in meant and f"{answer.status // 100}xx" not in meant:
            return False
        if self.pointer is None:
            return True
        found = at(document_of(answer), self.pointer)
        if found is MISSING:
            return False
        return self.equals is None or any(same(found, one) for one in _listed(self.equals))


class Row(Condition, kw_only=True, forbid_unknown_fields=True):
    """One row of the table of answers."""

    means: Annotated[
        Literal["done", "already_done", "retry", "not_yet", "refused", "ask"],
        Meta(
            description="`already_done`: by an earlier request; `retry`: certainly not done; `not_yet`: "
            "something else must happen first; `ask`: unknown, as a lost answer"
        ),
    ]
    within: Annotated[
        Duration | None,
        Meta(description="Of `not_yet`, required there: how long this may go on, such as `4h`"),
    ] = None
    after: Annotated[
        Duration | None, Meta(description="When to try again; default: `Retry-After`, or the usual pauses")
    ] = None
    code: Annotated[
        Annotated[str, Meta(pattern="^[a-z0-9_]{1,64}$")] | None,
        Meta(description="What the event is refused with, such as `lot_unknown`; default: `http_<status>`"),
    ] = None
    reference: Annotated[
        Pointer | None, Meta(description="Place of the document number; default: that of the sink")
    ] = None

    def __post_init__(self) -> None:
        """Refuse a wait without an end, and settings that have no meaning in the row."""
        super().__post_init__()
        if self.means == "not_yet" and self.within is None:
            raise SettingError("`not_yet` needs `within`, how long this may go on", "/means")
        if self.means != "not_yet" and self.within is not None:
            raise SettingError("is of `means: not_yet`", "/within")
        if self.means not in ("not_yet", "retry") and self.after is not None:
            raise SettingError("is of `means: not_yet` or `retry`", "/after")


class Ask(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the target is asked, by GET, whether it has a request that may have arrived."""

    path: Annotated[
        str,
        Meta(min_length=1, description="Is put behind `url`; with `{key}`, such as `/receipts?ref={key}`"),
    ]
    items: Annotated[
        Pointer | None,
        Meta(
            description="Place of the list of what was found, such as `/items`; none: the answer is the thing"
        ),
    ] = msgspec.field(name="list", default=None)
    match: Annotated[
        Pointer | None,
        Meta(
            description="Place in a thing that must hold our key. Required with `list`, as a filter may be "
            "ignored"
        ),
    ] = None
    reference: Annotated[Pointer | None, Meta(description="Place of the document number in a thing")] = None
    absent: Annotated[
        Condition | None,
        Meta(
            description="Which answers say that there is none; default: an empty list, or 404 without `list`"
        ),
    ] = None
    refused: Annotated[
        Condition | None, Meta(description="Which answers say that the target took and refused it")
    ] = None

    def __post_init__(self) -> None:
        """Refuse a question that is not about one request."""
        _only(self.path, "key", "/path")
        if self.items is not None and self.match is None:
            raise SettingError("`list` needs `match`, the place of our key in a thing", "/list")


class Follow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the outcome of a request is asked for that the target has only accepted."""

    when: Annotated[
        Condition, Meta(description="Which answers say that the request is accepted and not yet done")
    ] = msgspec.field(default_factory=lambda: Condition(status=202))
    job: Annotated[
        Pointer | None, Meta(description="Place of the job's number in that answer; default: `Location`")
    ] = None
    path: Annotated[
        str | None,
        Meta(description="Is put behind `url`, such as `/jobs/{job}`; default: the path of `Location`"),
    ] = None
    done: Annotated[Condition, Meta(description="Which answers say that it is done")]
    refused: Annotated[Condition, Meta(description="Which answers say that it was refused")]
    reference: Annotated[Pointer | None, Meta(description="Place of the document number when it is done")] = (
        None
    )
    every: Annotated[Duration, Meta(description="How often to ask")] = Duration(10.0)
    within: Annotated[
        Duration, Meta(description="How long a request may stay accepted; then the event is in doubt")
    ] = Duration(86_400.0)

    def __post_init__(self) -> None:
        """Refuse a path and a job that do not belong together."""
        if self.path is not None:
            _only(self.path, "job", "/path")
        if (self.job is None) != (self.path is None):
            raise SettingError("`job` and `path` belong together", "/job" if self.path is None else "/path")
        if self.every < 0.01:
            raise SettingError("is at least 10ms", "/every")

    def accepted(self, reference: str, wished_s: float | None = None) -> Accepted:
        """That a request is accepted, to be asked for when the target wishes it, else `every`."""
        after_s = float(self.every) if wished_s is None else wished_s
        return Accepted(reference=reference, after_s=after_s, within_s=float(self.within))


class Read(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the target is asked, by GET, what it holds of an object, for `mfgroute reconcile`."""

    object: Annotated[
        str, Meta(description="Objects that can be read; its names in braces are places in `path`")
    ] = "order/{site}/{order}"
    path: Annotated[
        str, Meta(min_length=1, description="Is put behind `url`, such as `/receipts?order={order}`")
    ]
    items: Annotated[Pointer, Meta(description="Place of the list of what it holds, such as `/items`")] = (
        msgspec.field(name="list")
    )
    next: Annotated[
        Pointer | None,
        Meta(description="Place of the path of the next page, if there are pages; none there: the last one"),
    ] = None
    amount: Annotated[Pointer, Meta(description="Place of the quantity in a thing")]
    name: Annotated[
        str,
        Meta(
            min_length=1,
            description="Name of the amount, with places of the thing, such as "
            "`movement/101/{/article}/{/unit}`",
        ),
    ]
    document: Annotated[Pointer | None, Meta(description="Place of the document number in a thing")] = None

    def __post_init__(self) -> None:
        """Refuse a path that is not about one object."""
        known, wanted = set(_NAME.findall(self.object)), set(_NAME.findall(self.path))
        path_text(_NAME.sub("x", self.path), "/path")
        if not wanted or not wanted <= known:
            names = ", ".join(f"`{{{name}}}`" for name in sorted(known)) or "none"
            raise SettingError(f"`{self.path}`, expected a path with places of `object`", "/path", hint=names)
        if "{" in re.sub(r"\{/[^{}]*\}", "", self.name):
            raise SettingError(f"`{self.name}`, expected places such as `{{/article}}`", "/name")

    def path_of(self, thing: str) -> str | None:
        """The path for an object, percent-encoded; `None` if it is no such object."""
        parts = _NAME.split(self.object)
        names = "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
        )
        found = re.fullmatch(names, thing)
        if found is None:
            return None
        return _NAME.sub(lambda place: quote(found[place[1]], safe=""), self.path)

    def name_of(self, thing: Any) -> str | None:
        """The name of the amount of a thing; `None` if the thing lacks a part of it."""
        missing = False

        def word(place: re.Match[str]) -> str:
            nonlocal missing
            made = reference_at(thing, place[1])
            missing = missing or made is None
            return made or ""

        name = re.sub(r"\{(/[^{}]*)\}", word, self.name)
        return None if missing else name


def document_of(answer: Answer) -> Any:
    """The body of an answer as JSON; `MISSING` when it is none, or was cut."""
    return MISSING if answer.truncated else decoded(answer.body)


def reference_at(document: Any, pointer: str) -> str | None:
    """A document number at a pointer: a text or a whole number."""
    found = at(document, pointer)
    if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)):
        return excerpt(str(found), _REFERENCE_MAX) or None
    return None


def same(found: Any, wanted: Any) -> bool:
    """Whether a value is the one that the configuration says. `true` is not 1."""
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _only(written: str, name: str, pointer: str) -> None:
    """Refuse a path with places other than `name`, or without it."""
    # What the path of a job is filled with is no attribute of an event, so it is read as the key.
    read = path_text(written.replace("{job}", "{key}") if name == "job" else written, pointer)
    found = list(template.places(read))
    if not found or any(place.path != ("key",) or place.form or place.optional for place in found):
        raise SettingError(f"`{written}`, expected a path with `{{{name}}}` and no other place", pointer)


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
