"""JSON Schema of ``mfgroute.yaml``, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mfgroute.adapter import Config
from mfgroute.config.hooks import schema_hook
from mfgroute.config.load import API_VERSION
from mfgroute.config.model import (
    NAME_PATTERN,
    Effects,
    Http,
    Node,
    Route,
    Section,
    SinkSection,
    SourceSection,
    Stream,
)

_PREFIX = "#/$defs/"


def schema(
    sources: Mapping[str, type[Config]] | None = None, sinks: Mapping[str, type[Config]] | None = None
) -> dict[str, Any]:
    """JSON Schema 2020-12 of the file.

    Args:
        sources: configuration of each source adapter by its name.
        sinks: configuration of each sink adapter by its name.
    """
    definitions: dict[str, Any] = {}

    def add(kind: type[msgspec.Struct], prefix: str) -> dict[str, Any]:
        try:
            made = msgspec.json.schema(kind, schema_hook=schema_hook)
        except TypeError:
            # A default that JSON cannot show, such as a path. The keys of this adapter are then not offered.
            definitions[prefix + kind.__name__] = {"type": "object", "properties": {}}
            return {"$ref": _PREFIX + prefix + kind.__name__}
        for name, one in made.pop("$defs", {}).items():
            definitions[prefix + name] = _without_numbers(_renamed(one, prefix))
        return {"$ref": _renamed(made, prefix)["$ref"]}

    def adapted(kinds: Mapping[str, type[Config]] | None, common: type[Section], what: str) -> dict[str, Any]:
        add(common, "")
        shared = definitions[common.__name__]
        one = []
        for name, kind in sorted((kinds or {}).items()):
            reference = add(kind, f"{what}-{name}-")["$ref"]
            one.append(_adapter(name, shared, definitions[reference.removeprefix(_PREFIX)]))
        body = {"oneOf": one} if one else {"$ref": _PREFIX + common.__name__}
        return {
            "type": "object",
            "propertyNames": {"pattern": NAME_PATTERN},
            "additionalProperties": body,
        }

    properties = {
        "apiVersion": {"const": API_VERSION},
        "packs": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Packs whose contracts, mappings and lookups this project uses",
        },
        "owner": {
            "type": "string",
            "minLength": 1,
            "description": "Who owns contracts, mappings and lookups that name no other owner",
        },
        "owners": {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "Owners of single files, such as `lookups/materials: master-data`",
        },
        "node": add(Node, ""),
        "http": add(Http, ""),
        "effects": add(Effects, ""),
        "streams": {"type": "object", "additionalProperties": add(Stream, "")},
        "sources": adapted(sources, SourceSection, "source"),
        "sinks": adapted(sinks, SinkSection, "sink"),
        "routes": {"type": "array", "items": add(Route, "")},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mfgroute.yaml",
        "type": "object",
        "required": ["apiVersion", "node"],
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def _adapter(name: str, shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The keys of one adapter together with those that all share."""
    return {
        "type": "object",
        "description": own.get("description", name),
        "properties": {**shared["properties"], **own.get("properties", {}), "adapter": {"const": name}},
        "required": sorted({*shared.get("required", ()), *own.get("required", ()), "adapter"}),
        "additionalProperties": False,
    }


def _renamed(value: Any, prefix: str) -> Any:
    """References with the prefix of their adapter, so that two adapters may use one name."""
    if isinstance(value, dict):
        return {
            key: _PREFIX + prefix + child.removeprefix(_PREFIX)
            if key == "$ref" and isinstance(child, str)
            else _renamed(child, prefix)
            for key, child in value.items()
        }
    return [_renamed(child, prefix) for child in value] if isinstance(value, list) else value


def _without_numbers(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition without defaults of sizes and durations, which are texts only in the file."""
    for field in definition.get("properties", {}).values():
        if not isinstance(field.get("default"), str) and "string" in str(field.get("type", "")):
            field.pop("default", None)
    return definition
