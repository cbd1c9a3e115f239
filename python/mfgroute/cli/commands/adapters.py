"""``mfgroute adapters``."""

from __future__ import annotations

from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session


@click.group("adapters", cls=Group)
def command() -> None:
    """List adapters and show their settings."""


@command.command("list")
def list_() -> int:
    """List the adapters that are installed.

    Examples:
      mfgroute adapters list
    """
    from mfgroute.registry import Registry  # noqa: PLC0415 - not for --help

    registry = Registry()
    names = {"sources": registry.source_names(), "sinks": registry.sink_names()}
    if session().json:
        show.document(names)
        return 0
    every = sorted({*names["sources"], *names["sinks"]})
    rows = [
        (name, "yes" if name in names["sources"] else "-", "yes" if name in names["sinks"] else "-")
        for name in every
    ]
    show.table(rows, header=("adapter", "source", "sink"))
    return 0


@command.command("show")
@click.argument("name")
def show_(*, name: str) -> int:
    """Show the settings of an adapter.

    Examples:
      mfgroute adapters show http
    """
    from mfgroute.errors import UnknownName  # noqa: PLC0415 - not for --help
    from mfgroute.registry import Registry  # noqa: PLC0415

    registry = Registry()
    found: dict[str, Any] = {}
    if name in registry.source_names():
        found["source"] = _settings(registry.source(name))
    if name in registry.sink_names():
        found["sink"] = _settings(registry.sink(name))
    if not found:
        known = sorted({*registry.source_names(), *registry.sink_names()})
        raise UnknownName(f"no adapter is called `{name}`\nknown: {', '.join(known)}")
    if session().json:
        show.document({"adapter": name, **found})
        return 0
    for what, one in found.items():
        show.line(f"{what}: {one['about']}")
        show.table(
            [("  " + key, row["type"], row["default"], row["about"]) for key, row in one["settings"].items()]
        )
    return 0


def _settings(kind: type) -> dict[str, Any]:
    """Every key of an adapter's configuration with its type, default and meaning."""
    import inspect  # noqa: PLC0415 - only needed here

    import msgspec  # noqa: PLC0415

    config = kind.Config  # type: ignore[attr-defined]
    settings = {}
    for field in msgspec.structs.fields(config):
        about, shown = _described(field.type)
        settings[field.encode_name] = {"type": shown, "default": _default(field), "about": about}
    return {"about": (inspect.getdoc(kind) or "").splitlines()[0], "settings": settings}


def _described(kind: Any) -> tuple[str, str]:
    """Meaning and type of a field."""
    about = ""
    while hasattr(kind, "__metadata__"):
        for one in kind.__metadata__:
            about = about or (getattr(one, "description", None) or "")
        kind = kind.__origin__
    arguments = getattr(kind, "__args__", ())
    for one in arguments:
        if not about and hasattr(one, "__metadata__"):
            about = _described(one)[0]
    name = getattr(kind, "__name__", "") if not arguments else ""
    words = {"str": "text", "bool": "true | false", "int": "number", "float": "number", "Secret": "secret",
             "Size": "size", "Duration": "duration", "Rate": "rate"}  # fmt: skip
    if name:
        return about, words.get(name, "map" if hasattr(kind, "__struct_fields__") else name)
    if str(kind).startswith("typing.Literal"):
        return about, " | ".join(map(str, arguments))
    origin = getattr(kind, "__origin__", None)
    if origin in {tuple, list}:
        return about, "list"
    if origin is dict:
        return about, "map"
    parts = [_described(one)[1] for one in arguments if one is not type(None)]
    return about, " | ".join(dict.fromkeys(parts)) or "any"


def _default(field: Any) -> str:
    import msgspec  # noqa: PLC0415 - loaded already

    from mfgroute.units import Duration, Size, written  # noqa: PLC0415

    if field.default is not msgspec.NODEFAULT:
        if isinstance(field.default, Size | Duration):
            return written(field.default)
        if isinstance(field.default, bool):
            return str(field.default).lower()
        return "-" if field.default is None else str(field.default)
    return "-" if field.default_factory is not msgspec.NODEFAULT else "required"
