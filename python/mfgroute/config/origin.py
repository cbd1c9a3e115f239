"""Where each setting of a project comes from: a line, an environment variable, a file, or a default."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from mfgroute import _core
from mfgroute.adapter import Secret
from mfgroute.config.convert import dotted, escape
from mfgroute.config.load import Project
from mfgroute.units import Duration, Rate, Size, written

_VARIABLE = re.compile(r"(?<!\$)\$\{([^}]*)\}")
_MASK = "********"
_MISSING = object()
#: Values of our own types as a file says them.
_SAID: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Secret, lambda _: _MASK),
    (Size, written),
    (Duration, written),
    (Rate, lambda value: f"{float(value):g}/s"),
    (Path, str),
    (Enum, lambda value: value.value),
)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        name: ``streams.business.capacity``.
        value: as it is written, after replacement; stars for a secret.
        origin: ``file``, ``environment`` (a variable that is set), ``secret`` (``${file:…}``), ``fallback``
            (what the file says for a variable that is not set), or ``default``.
        file: the main file; `None` for a default.
        line: counted from 1.
        column: counted from 1.
        names: the variables or files.
    """

    name: str
    value: Any
    origin: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    names: list[str] = []


def settings(project: Project, environ: Mapping[str, str]) -> list[Setting]:
    """Every setting: those that are written, in their order, and the defaults of what is not, beside them.

    Args:
        project: the project.
        environ: the values for ``${VAR}`` that it was read with.
    """
    document, places, _ = _core.parse_yaml(project.file.read_bytes(), project.file.name)
    return list(_Reader(project, document, places, environ).all())


class _Reader:
    def __init__(
        self,
        project: Project,
        document: Any,
        places: Mapping[str, tuple[int, int]],
        environ: Mapping[str, str],
    ) -> None:
        self._project = project
        self._document = document
        self._places = places
        self._environ = environ
        self._shown = project.redacted()

    def all(self) -> Iterator[Setting]:
        model = self._project.model
        made: dict[str, list[Any]] = {"/node": [model.node], "/http": [model.http]}
        made |= {f"/streams/{escape(name)}": [stream] for name, stream in model.streams.items()}
        for name, source in model.sources.items():
            made[f"/sources/{escape(name)}"] = [source.section, source.config]
        for name, sink in model.sinks.items():
            made[f"/sinks/{escape(name)}"] = [sink.section, sink.config]
        made |= {f"/routes/{index}": [route] for index, route in enumerate(model.routes)}
        yield from self._of("", self._document, self._shown, made)
        if "http" not in self._document and model.http is not None:
            yield from self._defaults("/http", {}, [model.http])

    def _of(self, pointer: str, raw: Any, shown: Any, made: Mapping[str, list[Any]]) -> Iterator[Setting]:
        """The settings at a pointer: `raw` as it is written, `shown` after replacement and masking."""
        if isinstance(raw, dict) and raw and isinstance(shown, dict):
            for key, child in raw.items():
                yield from self._of(f"{pointer}/{escape(str(key))}", child, shown.get(key), made)
        elif isinstance(raw, list) and isinstance(shown, list) and not _is_plain(raw):
            for index, (child, value) in enumerate(zip(raw, shown, strict=True)):
                yield from self._of(f"{pointer}/{index}", child, value, made)
        else:
            yield self._written(pointer, raw, shown)
        if pointer in made and isinstance(raw, dict):
            yield from self._defaults(pointer, raw, made[pointer])

    def _written(self, pointer: str, raw: Any, shown: Any) -> Setting:
        names = _VARIABLE.findall(raw) if isinstance(raw, str) else []
        origin = "file"
        if names:
            kinds = {self._kind(name) for name in names}
            origin = next(kind for kind in ("secret", "environment", "fallback") if kind in kinds)
        line, column = self._places.get(pointer, (0, 0))
        return Setting(
            name=dotted(pointer),
            value=shown,
            origin=origin,
            file=self._project.file.name,
            line=line,
            column=column,
            names=[name.partition(":-")[0].removeprefix("file:") for name in names],
        )

    def _kind(self, name: str) -> str:
        if name.startswith("file:"):
            return "secret"
        variable, fallback, _ = name.partition(":-")
        return "fallback" if fallback and not self._environ.get(variable) else "environment"

    def _defaults(self, pointer: str, raw: Mapping[str, Any], structs: list[Any]) -> Iterator[Setting]:
        """What is not written, as the structs that were made of it have it; at any depth."""
        told = set()
        for struct in structs:
            if not isinstance(struct, msgspec.Struct):
                continue
            for field in msgspec.structs.fields(struct):
                key, value = field.encode_name, getattr(struct, field.name)
                if key in told:
                    continue
                told.add(key)
                below = f"{pointer}/{escape(key)}"
                written_here = raw.get(key, _MISSING)
                if isinstance(value, msgspec.Struct):
                    inner = {} if written_here is _MISSING else written_here
                    if isinstance(inner, dict):
                        yield from self._defaults(below, inner, [value])
                elif written_here is _MISSING:
                    yield Setting(name=dotted(below), value=_plain(value), origin="default")


def _is_plain(values: list[Any]) -> bool:
    """Whether a list is shown as one setting: nothing in it has an origin of its own."""
    return not any(
        isinstance(one, dict | list) or (isinstance(one, str) and _VARIABLE.search(one)) for one in values
    )


def _plain(value: Any) -> Any:
    """A value of a struct as the file would say it."""
    for kind, said in _SAID:
        if isinstance(value, kind):
            return said(value)
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _plain(getattr(value, field.name)) for field in msgspec.structs.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(child) for child in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
