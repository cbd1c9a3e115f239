"""Writes the reference pages from the code: ``python docs/generate.py``; ``--check`` only compares.

Each page says what the program knows of itself: models of ``mfgroute.yaml``, configurations of adapters,
reject codes, metric families, commands, units, and the contracts that ship and who uses them.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

import mfgroute
from mfgroute import _core
from mfgroute.config import documents, model
from mfgroute.config.checks import UNAVAILABLE
from mfgroute.contracts.catalogue import overview
from mfgroute.observe.metrics import Metrics
from mfgroute.registry import Registry
from mfgroute.units import Duration, Rate, Size, written

REFERENCE = Path(__file__).parent / "reference"
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import reliability  # noqa: E402 - a tool of the repository, in no package

NOTE = "<!-- Written by docs/generate.py from the code. Do not edit. -->\n"
PACKS = Path(mfgroute.__file__).parent / "packs"
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "any value"}


def main(arguments: list[str] | None = None) -> int:
    """Write or compare all pages.

    Returns:
        0, or 1 when `--check` finds a page that differs.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page differs")
    check = parser.parse_args(arguments).check
    stale = []
    wanted = {REFERENCE / name: text for name, text in pages().items()} | {
        reliability.PAGE: reliability.page()
    }
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        shown = path.relative_to(REFERENCE.parents[1])
        sys.stdout.write(f"{'differs' if check else 'written'}: {shown}\n")
    return 1 if check and stale else 0


def pages() -> dict[str, str]:
    """Every reference page by its file name."""
    makers: dict[str, Callable[[], list[str]]] = {
        "settings.md": settings,
        "adapters.md": adapters,
        "rejects.md": rejects,
        "metrics.md": metrics,
        "units.md": units,
        "contracts.md": contracts,
        "catalogue.md": catalogue,
    }
    if importlib.util.find_spec("mfgroute.cli") is not None:
        makers["commands.md"] = commands
    return {name: NOTE + "\n".join(make()).rstrip() + "\n" for name, make in makers.items()}


def settings() -> list[str]:
    """The keys of ``mfgroute.yaml``."""
    lines = [
        "# Settings",
        "",
        "The keys of `mfgroute.yaml`. Sources and sinks have the keys of their adapter besides; see",
        "[adapters](adapters.md). Sizes are written `512KiB`, `64MiB`, `20GiB`; durations `250ms`, `30s`,",
        "`5m`, `24h`, `14d`; rates `50/s`, `200/m`, `1000/h`. `${VAR}`, `${VAR:-default}` and `${file:PATH}`",
        "in a value are replaced.",
        "",
        "| key | type | default | what it is |",
        "|---|---|---|---|",
        "| `apiVersion` | `mfgroute/v1` | required | Version of the file |",
        "| `packs` | list of texts | none | Packs to use: names of shipped ones, or paths from the project |",
        "| `owner` | text | none | Who owns contracts, mappings and lookups that name no other owner |",
        "| `owners` | map of texts | none | Owners of single files, such as `lookups/items: master-data` |",
    ]
    parts: list[tuple[str, str, type[msgspec.Struct]]] = [
        ("node", "node.", model.Node),
        ("http", "http.", model.Http),
        ("effects", "effects.", model.Effects),
        ("streams", "streams.NAME.", model.Stream),
        ("sources", "sources.NAME.", model.SourceSection),
        ("sinks", "sinks.NAME.", model.SinkSection),
        ("routes", "routes[].", model.Route),
    ]
    for title, prefix, kind in parts:
        lines += ["", f"## {title}", "", _sentence(kind), "", *_table(kind, prefix)]
    lines += ["", "## Not available in this version", "", "These are errors that say so.", ""]
    lines += ["| setting | what to do instead |", "|---|---|"]
    for pointer, value, remedy in UNAVAILABLE:
        shown = pointer.strip("/").replace("/*/", ".NAME.").replace("/", ".")
        shown += f": {value}" if isinstance(value, str) else ""
        lines.append(f"| `{shown}` | {remedy} |")
    return lines


def adapters() -> list[str]:
    """The configuration of every installed adapter of ours."""
    lines = [
        "# Adapters",
        "",
        "What each adapter can be told, besides the keys that [all sources and sinks](settings.md) share.",
        "Each has a page that explains it and says what happens on faults.",
    ]
    registry = Registry()
    for what, names, get in (
        ("source", registry.source_names(), registry.source),
        ("sink", registry.sink_names(), registry.sink),
    ):
        for name in names:
            kind = get(name)
            if not kind.__module__.startswith("mfgroute."):
                continue
            lines += [
                "",
                f"## {what} `{name}`",
                "",
                f"{_sentence(kind.Config)} [Page](../adapters/{name}.md).",
                "",
            ]
            lines += _table(kind.Config, "")
    return lines


def rejects() -> list[str]:
    """The reject codes."""
    lines = [
        "# Reject codes",
        "",
        "Why a message or an item of it was refused. The codes are stable: scripts may rely on them.",
        "A reject also says `pointer` (RFC 6901, into the message), `field` (of the event), `found` and",
        "`expected`.",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    return lines + [f"| `{code}` | {_cell(meaning)} |" for code, meaning in _core.reject_codes()]


def metrics() -> list[str]:
    """The metric families."""
    lines = [
        "# Metrics",
        "",
        "What `GET /metrics` answers, for Prometheus. Labels are names from the configuration, never ids",
        "of events.",
        "",
        "| name | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for family in Metrics(dict, list).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ())) or "none"
        lines.append(f"| `{name}` | {family.type} | {labels} | {_cell(family.documentation)} |")
    return lines


def units() -> list[str]:
    """Units and code sets."""
    known = _core.units()
    lines = [
        "# Units",
        "",
        "Units that mappings convert between, by dimension; the codes are those of UN/CEFACT",
        "Recommendation 20.",
        "Units of one dimension convert into each other exactly.",
    ]
    for dimension in dict.fromkeys(unit[2] for unit in known["units"]):
        lines += ["", f"## {dimension}", "", "| code | name |", "|---|---|"]
        lines += [f"| `{code}` | {_cell(name)} |" for code, name, own in known["units"] if own == dimension]
    for name in dict.fromkeys(code[0] for code in known["codes"]):
        if name == "rec20":
            continue
        lines += ["", f"## Code set `{name}`", "", "| code | is |", "|---|---|"]
        lines += [f"| `{code}` | `{unit}` |" for own, code, unit in known["codes"] if own == name]
    return lines


def contracts() -> list[str]:
    """The contracts that ship."""
    lines = [
        "# Contracts",
        "",
        "The contracts of the pack `canonical`. Use them with `packs: [canonical]`; a file of the same name",
        "in `contracts/` of the project takes the place of one. `*` marks a required field.",
    ]
    for path in sorted((PACKS / "canonical" / "contracts").glob("*.yaml")):
        contract = _core.parse_yaml(path.read_bytes(), path.name)[0]
        major = str(contract["version"]).split(".")[0]
        ((key, parts),) = contract["key"].items()
        schema = contract["schema"]
        across = ", across sources" if contract.get("across_sources") else ""
        lines += [
            "",
            f"## {contract['type']}/{major}",
            "",
            f"{schema.get('description', schema.get('title', ''))}.".replace("..", "."),
            "",
            f"Version {contract['version']}, stream `{contract['stream']}`, owner {contract['owner']}.",
            f"Key `{key}` of {_fields(parts)}. Identity: {_fields(contract['idempotency'])}{across}.",
            "",
            "| field | type | meaning |",
            "|---|---|---|",
            *_properties(schema, ""),
        ]
        for rule in contract.get("rules", []):
            lines += ["", f"Rule `{rule['code']}`: {rule['message']}."]
    return lines


def catalogue() -> list[str]:
    """Who makes and takes the contracts in what ships."""
    projects = {f"`demo/{node}`": PACKS / "demo" / node for node in ("edge", "core")}
    projects |= {f"`{path.name}`": path for path in sorted((PACKS / "templates").iterdir())}
    found = {name: documents.read(documents.Folder(path), Registry()) for name, path in projects.items()}
    return [
        "# Catalogue",
        "",
        "Which nodes of the demo and which templates of `mfgroute init` make and take events of the",
        "contracts that ship; [contracts](contracts.md) says what is in them. `mfgroute contract catalogue`",
        "writes such a page for your own project, with a section for each contract.",
        "",
        *overview(found),
    ]


def commands() -> list[str]:
    """The commands, from the program itself."""
    click = importlib.import_module("click")
    lines = [
        "# Commands",
        "",
        "Exit codes: `0` ok, `1` failure or failed tests, `2` usage, `65` bad input data, `69` a needed",
        "service is unavailable, `70` internal, `73` cannot create, `74` input or output, `75` try again,",
        "`77` permission, `78` configuration.",
        "",
    ]
    for path, command in _walk(importlib.import_module("mfgroute.cli.app").app, ("mfgroute",), click):
        context = click.Context(command, info_name=" ".join(path), max_content_width=100, terminal_width=100)
        lines += [f"## {' '.join(path)}", "", "<!-- not run: the help text itself -->", "```text"]
        lines += [line.rstrip() for line in command.get_help(context).splitlines()]
        lines += ["```", ""]
    return lines


def _walk(command: Any, path: tuple[str, ...], click: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _walk(child, (*path, name), click)


def _table(kind: type[msgspec.Struct], prefix: str) -> list[str]:
    lines = ["| key | type | default | what it is |", "|---|---|---|---|"]
    return lines + [
        f"| `{name}` | {kind} | {default} | {text} |" for name, kind, default, text in _rows(kind, prefix)
    ]


def _rows(kind: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for field in msgspec.structs.fields(kind):
        inner = list(_structs(field.type))
        text, shown = _description(field.type), _type(field.type)
        yield prefix + field.encode_name, shown, _default(field), _cell(text)
        for one in inner:
            yield from _rows(one, f"{prefix}{field.encode_name}{'[]' if _is_list(field.type) else ''}.")


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        return
    seen: list[type[msgspec.Struct]] = []
    for argument in get_args(kind):
        for one in _structs(argument):
            if one not in seen:
                seen.append(one)
                yield one


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in (list, tuple) or any(
        _is_list(argument) for argument in get_args(kind) if get_origin(argument) is not None
    )


def _type(kind: Any) -> str:  # noqa: PLR0911 - one line for each kind of type
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(arguments[0]) + _bounds(arguments[1:])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not type(None)))
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map of {_type(arguments[1])}"
    if isinstance(kind, type):
        return _of_class(kind)
    return _PLAIN.get(kind, "any value")


def _of_class(kind: type) -> str:
    if issubclass(kind, msgspec.Struct):
        return "map"
    named = {Size: "size", Duration: "duration", Rate: "rate"}
    if kind in named:
        return named[kind]
    return _PLAIN.get(kind, {"Secret": "secret text", "Path": "path"}.get(kind.__name__, kind.__name__))


def _bounds(notes: tuple[Any, ...]) -> str:
    shown = []
    for note in notes:
        if isinstance(note, msgspec.Meta):
            shown += [f"≥ {note.ge:g}"] if note.ge is not None else []
            shown += [f"> {note.gt:g}"] if note.gt is not None else []
            shown += [f"≤ {note.le:g}"] if note.le is not None else []
            shown += [f"< {note.lt:g}"] if note.lt is not None else []
    return f", {', '.join(shown)}" if shown else ""


def _description(kind: Any) -> str:
    for part in get_args(kind)[1:]:
        if isinstance(part, msgspec.Meta) and part.description:
            return part.description
    for argument in get_args(kind):
        if get_origin(argument) is Annotated and (found := _description(argument)):
            return found
    return ""


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
        return _shown(value)
    if field.default is msgspec.NODEFAULT:
        return "required"
    return _shown(field.default)


def _shown(value: Any) -> str:  # noqa: PLR0911 - one line for each kind of value
    if value is None or value in ({}, [], (), ""):
        return "none"
    if isinstance(value, msgspec.Struct):
        return "as below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Size | Duration):
        return f"`{written(value)}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, list | tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value}`"


def _properties(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        mark = "*" if name in required else ""
        kind = " or ".join(f"`{value}`" for value in one["enum"]) if "enum" in one else _schema_type(one)
        text = one.get("description", one.get("title", ""))
        yield f"| `{prefix}{name}`{mark} | {kind} | {_cell(text)} |"
        if one.get("type") == "object":
            yield from _properties(one, f"{prefix}{name}.")
        items = one.get("items", {})
        if items.get("type") == "object":
            yield from _properties(items, f"{prefix}{name}[].")


def _schema_type(one: dict[str, Any]) -> str:
    if one.get("format") == "decimal":
        return "decimal"
    if "x-codes" in one:
        return f"`{one['x-codes']}` code"
    if one.get("type") == "array":
        return f"list of {_schema_type(one.get('items', {}))}"
    kind = one.get("format") or one.get("type") or "any"
    return {"string": "text", "object": "map", "boolean": "true or false"}.get(str(kind), str(kind))


def _fields(names: list[str]) -> str:
    return ", ".join(f"`{name.removeprefix('data.')}`" for name in names)


def _sentence(kind: type) -> str:
    return (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main())
