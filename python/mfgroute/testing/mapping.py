"""Schemas and mappings in tests, by exactly the code that runs in a node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mfgroute import _core
from mfgroute.config.load import Project
from mfgroute.events import Event, Reject
from mfgroute.project import load_project

__all__ = ["Filtered", "check_schema", "run_mapping"]


class Filtered(msgspec.Struct, frozen=True):
    """A message or item that a named rule dropped.

    Attributes:
        rule: its name in the counters.
    """

    rule: str


def check_schema(
    schema: Any, payload: Any, *, resources: Mapping[str, Any] | None = None, formats: bool = False
) -> list[Reject]:
    """Check a payload against a JSON Schema 2020-12 as contracts are checked.

    Args:
        schema: an object, or JSON as ``bytes``.
        payload: an object, or JSON as ``bytes``.
        resources: other schemas by their address, for ``$ref``.
        formats: whether ``format`` is asserted, as it is in contracts.

    Returns:
        Every violation; none means valid.

    Raises:
        ValueError: the schema is none.
    """
    others = {address: _bytes(one) for address, one in (resources or {}).items()}
    return _core.check_schema(_bytes(schema), _bytes(payload), others, formats=formats)


def run_mapping(
    project: str | Path | Project, mapping: str, message: Any, *, meta: Mapping[str, str] | None = None
) -> list[Event | Reject | Filtered]:
    """Run one message through one mapping of a project, contract included.

    Args:
        project: a folder, a ``mfgroute.yaml``, or a project that is loaded (better for many calls).
        mapping: its name.
        message: an object, which becomes JSON, or ``bytes``.
        meta: attributes of the message, such as ``file.name``.

    Returns:
        What came of it, in order. The JSON of an event has the attributes that do not depend on a node. A
        conversion takes and makes `data`; id, key and time are those of the event, here empty.

    Raises:
        UnknownName: there is no such mapping.
    """
    loaded = project if isinstance(project, Project) else load_project(project)
    summary = loaded.plan.summary
    source = next((one for one in summary["sources"] if mapping in one["mappings"]), None)
    lines = _core.run_mapping(loaded.plan, mapping, _bytes(message), dict(meta or {})).splitlines()
    namespace, uri = loaded.model.node.namespace, source["uri"] if source else ""
    return [_outcome(json.loads(line), namespace, uri) for line in lines]


def _outcome(found: dict[str, Any], namespace: str, uri: str) -> Event | Reject | Filtered:
    if "filtered" in found:
        return Filtered(found["filtered"])
    if "reject" in found:
        reject = dict(found["reject"])
        return Reject(0, reject.pop("code"), **reject)
    name, _, major = found["to"].partition("/")
    document = {
        "specversion": "1.0",
        "id": found["id"],
        "source": uri,
        "type": f"{namespace}.{name}.v{major}",
        "time": found["time"],
        "subject": found["key"],
        "datacontenttype": "application/json",
        "data": found["data"],
    }
    known = {name: value for name, value in document.items() if value is not None}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":")).encode()
    return Event(
        id=known.get("id", ""), type=document["type"], key=known.get("subject", ""), offset=0, json=text
    )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
