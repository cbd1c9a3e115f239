"""Whether templates fit the contracts of the events that they are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mfgroute.adapters.http import template
from mfgroute.adapters.http.request import RequestTemplate
from mfgroute.adapters.http.template import Place

__all__ = ["misfits"]


def misfits(request: RequestTemplate, schemas: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Places that no event of the request's types has, and types that no contract is for.

    Args:
        request: the templates.
        schemas: of ``data``, by contract as ``material.consumed/1``.

    Yields:
        The pointer into the request, and what is wrong there.
    """
    for index, name in enumerate(request.types):
        fitting = {
            label: schema for label, schema in schemas.items() if name in (label, label.rpartition("/")[0])
        }
        if not fitting:
            pointer = f"/type/{index}" if isinstance(request.type, list) else "/type"
            yield pointer, f"no contract is called `{name}`"
            continue
        for pointer, place in _places(request):
            if place.path[0] == "data" and not any(_has(one, place.path[1:]) for one in fitting.values()):
                shown = ".".join(map(str, place.path))
                yield pointer, f"`{{{shown}}}` is in no event of {' or '.join(sorted(fitting))}"


def _places(request: RequestTemplate) -> Iterator[tuple[str, Place]]:
    parts = request.parts
    yield from _below(parts.path, "/path")
    yield from _below(parts.headers, "/headers")
    yield from _below(parts.body, "/body")
    yield from _below(parts.key, "/key")
    yield from _below(parts.object or (), "/object")
    yield from _below(parts.amounts, "/amounts")
    if parts.guard is not None:
        yield "/guard/version", parts.guard[1]


def _below(read: Any, pointer: str) -> Iterator[tuple[str, Place]]:
    if isinstance(read, dict):
        for name, child in read.items():
            yield from _below(child, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(read, list):
        for index, child in enumerate(read):
            yield from _below(child, f"{pointer}/{index}")
    elif not isinstance(read, str | bytes):
        for place in template.places(read):
            yield pointer, place


def _has(schema: Any, path: tuple[str | int, ...]) -> bool:
    """Whether a document of a schema may have something at a path. What cannot be told counts as yes."""
    if not path or not isinstance(schema, dict) or not {"$ref", "allOf", "anyOf", "oneOf"}.isdisjoint(schema):
        return True
    step, said = path[0], schema.get("type")
    kinds = said if isinstance(said, list) else [said]
    if {None, "array" if isinstance(step, int) else "object"}.isdisjoint(kinds):
        return False
    if isinstance(step, int):
        return _has(schema.get("items"), path[1:])
    properties = schema.get("properties", {})
    if step in properties:
        return _has(properties[step], path[1:])
    return schema.get("additionalProperties", True) is not False or bool(schema.get("patternProperties"))
