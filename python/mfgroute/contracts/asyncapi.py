"""The contracts of a project as an AsyncAPI 3.0 document, from the view of its node.

A contract is a channel whose address is its CloudEvents type, with one message: the attributes of the
CloudEvent are the headers, ``data`` is the payload. What the node sends to a sink, by whatever routes, is an
operation ``send``; what a source brings is an operation ``receive`` on a channel of its own, because a
message is no event before it is mapped. What AsyncAPI has no word for stands under ``x-mfgroute``.

Formats: AsyncAPI 3.0.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mfgroute.adapter import Inbox
from mfgroute.config.documents import Contract, Documents
from mfgroute.config.load import Project
from mfgroute.config.model import Source
from mfgroute.contracts.links import Links, Producer, emitted, links, texts
from mfgroute.errors import AdapterError, UnknownName
from mfgroute.registry import Registry

__all__ = ["VERSION", "document"]

VERSION = "3.0.0"
_DRAFT_7 = "application/schema+json;version=draft-07"
_DRAFT_2020 = "application/schema+json;version=2020-12"
#: Keywords that draft 7 does not know or reads otherwise. A schema without them means the same in both, and
#: tools that know no other draft can read it.
_NOT_IN_DRAFT_7 = frozenset({
    "$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$vocabulary", "dependentRequired",
    "dependentSchemas", "maxContains", "minContains", "prefixItems", "unevaluatedItems",
    "unevaluatedProperties",
})  # fmt: skip
#: Keywords whose members are schemas by a free name, and those whose value is no schema.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_DATA = frozenset({"const", "default", "enum", "examples", "required", "type", "dependentRequired"})
_MEDIA = {"json": "application/json", "xml": "application/xml", "csv": "text/csv"}
_EXTENSION = "x-mfgroute"


def document(project: Project, documents: Documents) -> dict[str, Any]:
    """The AsyncAPI document of a project.

    Args:
        project: the project, compiled.
        documents: its files.
    """
    found = {label: links(documents, label) for label in documents.contracts}
    node = project.model.node
    made: dict[str, Any] = {
        "asyncapi": VERSION,
        "id": f"urn:mfgroute:{node.namespace}:{node.id}",
        "info": {
            "title": f"Events of {node.id}",
            "version": _version(documents),
            "description": f"What the sources of the node {node.id} bring and what its sinks get.",
        },
        "defaultContentType": "application/json",
    }
    if project.model.http is not None:
        made["servers"] = {"node": {"host": project.model.http.listen, "protocol": "http"}}
    writer = _Writer(project, documents)
    for contract in documents.contracts.values():
        writer.contract(contract)
    for name, source in project.model.sources.items():
        writer.source(name, source, found)
    for name in project.model.sinks:
        writer.sink(name, found)
    components: dict[str, Any] = {
        "messages": writer.messages,
        "schemas": {"cloudevent": _envelope(), **writer.schemas},
    }
    if writer.tokens:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        **made,
        "channels": writer.channels,
        "operations": writer.operations,
        "components": components,
    }


class _Writer:
    """Collects the parts of one document."""

    def __init__(self, project: Project, documents: Documents) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}
        self.tokens = False
        self._documents = documents
        self._namespace = project.model.node.namespace
        self._sinks = project.model.sinks
        self._registry = Registry()

    def contract(self, contract: Contract) -> None:
        """The channel, message and payload of a contract."""
        name = _name(contract)
        full = f"{self._namespace}.{name}"
        self.schemas[name] = _payload(contract.schema, f"#/components/schemas/{name}/schema")
        self.messages[name] = _message(contract, name, full)
        self.channels[name] = {
            "address": full,
            "title": contract.title,
            "messages": {name: _ref("components", "messages", name)},
            "tags": [{"name": f"stream:{contract.stream}"}, {"name": f"kind:{contract.kind}"}],
            _EXTENSION: {"stream": contract.stream},
        }

    def source(self, name: str, source: Source, found: dict[str, Links]) -> None:
        """What a source brings: messages of its mappings, or canonical events."""
        security = self._security(source)
        mappings = texts(self._documents.main["sources"][name].get("mappings"))
        if not mappings:
            for label, links_ in found.items():
                if Producer(name, None) in links_.producers:
                    self._operation(f"receive.{name}", "receive", label, {"source": name}, security)
            return
        channel = f"sources.{name}"
        kinds = [f"{channel}.{mapping}" for mapping in mappings]
        for mapping, kind in zip(mappings, kinds, strict=True):
            self.messages[kind] = self._raw(kind, mapping)
        self.channels[channel] = {
            "address": f"/v1/sources/{name}" if self._is_inbox(source) else None,
            "title": f"Messages of {name}",
            "messages": {kind: _ref("components", "messages", kind) for kind in kinds},
        }
        self.operations[f"receive.{name}"] = {
            "action": "receive",
            "channel": _ref("channels", channel),
            "messages": [_ref("channels", channel, "messages", kind) for kind in kinds],
            **security,
            _EXTENSION: {"source": name, "adapter": source.section.adapter},
        }

    def sink(self, name: str, found: dict[str, Links]) -> None:
        """What a sink gets of what the sources make, in the versions that its routes take."""
        for label in found:
            taken = {
                route.name: route
                for links_ in found.values()
                for route in links_.routes
                if route.form == label and name in route.sinks and links_.takes(route)
            }
            routes = [
                {"name": route.name, **({"where": route.where} if route.where else {})}
                | ({"source": route.sources} if route.sources else {})
                for route in taken.values()
            ]
            if routes:
                owner = self._sinks[name].section.owner
                extra = {"sink": name, **({"owner": owner} if owner else {}), "routes": routes}
                self._operation(f"send.{name}", "send", label, extra, {})

    def _operation(
        self, prefix: str, action: str, label: str, extra: dict[str, Any], more: dict[str, Any]
    ) -> None:
        contract = self._documents.contracts[label]
        name = _name(contract)
        self.operations[f"{prefix}.{name}"] = {
            "action": action,
            "title": contract.title,
            "channel": _ref("channels", name),
            "messages": [_ref("channels", name, "messages", name)],
            **more,
            _EXTENSION: extra,
        }

    def _raw(self, name: str, mapping: str) -> dict[str, Any]:
        """A message as a source receives it: its schema is known only where the mapping names one."""
        document = self._documents.mappings[mapping]
        given = document.content.get("from")
        origin = given if isinstance(given, dict) else {}
        decode = str(origin.get("decode", "json"))
        made: dict[str, Any] = {
            "name": mapping,
            "title": str(document.content.get("title", mapping)),
            "contentType": _MEDIA.get(decode, "application/octet-stream"),
            _EXTENSION: {"mapping": mapping, "emits": emitted(document)},
        }
        schema = self._documents.schemas.get(str(origin.get("schema")))
        if schema is not None:
            self.schemas[name] = _payload(schema, f"#/components/schemas/{name}/schema")
            made["payload"] = _ref("components", "schemas", name)
        return made

    def _security(self, source: Source) -> dict[str, Any]:
        if not self._is_inbox(source) or not source.raw.get("token"):
            return {}
        self.tokens = True
        return {"security": [_ref("components", "securitySchemes", "token")]}

    def _is_inbox(self, source: Source) -> bool:
        try:
            return issubclass(self._registry.source(source.section.adapter), Inbox)
        except (UnknownName, AdapterError):
            return False  # An adapter of the program that loaded the project.


def _message(contract: Contract, name: str, full: str) -> dict[str, Any]:
    key, fields = contract.key
    lifecycle = contract.lifecycle
    told = {
        "owner": contract.owner,
        "version": contract.version,
        "kind": contract.kind,
        "stream": contract.stream,
        "lifecycle": lifecycle,
        "key": {key: fields},
        "idempotency": contract.identity,
    }
    made: dict[str, Any] = {
        "name": name,
        "title": contract.title,
        "contentType": "application/json",
        "headers": {
            "allOf": [_ref("components", "schemas", "cloudevent")],
            "properties": {"type": {"const": full}},
        },
        "payload": _ref("components", "schemas", name),
        "correlationId": {"location": "$message.header#/correlationid"},
        "tags": [{"name": f"owner:{contract.owner}"}] if contract.owner else [],
        _EXTENSION: told,
    }
    if contract.description:
        made["description"] = contract.description
    if lifecycle["status"] == "deprecated":
        made["deprecated"] = True
    if contract.examples:
        made["examples"] = [{"payload": example} for example in contract.examples]
    return made


def _envelope() -> dict[str, Any]:
    """The attributes that every event has, and those that it may have."""
    text = {"type": "string"}
    required = {
        "specversion": {"const": "1.0"},
        "id": {**text, "format": "uuid", "description": "The same for every report of the same fact"},
        "source": {**text, "format": "uri-reference", "description": "Who reported it"},
        "type": {**text, "description": "Namespace, type and major version"},
        "time": {**text, "format": "date-time", "description": "When it happened"},
        "subject": {**text, "description": "The key: events with the same one are in order"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {**text, "description": "Contract with its full version"},
        "partitionkey": {**text, "description": "As `subject`"},
    }
    more = {
        "correlationid": "Business transaction",
        "traceparent": "W3C trace context",
        "recordedtime": "When the node admitted it",
        "bampid": "Business process",
        "bamtxid": "Business transaction",
        "bamptxsid": "Step of the process",
        "mfgsite": "Site of the node",
        "mfgkind": "event, command or telemetry",
        "mfgmapping": "Mapping that made it, with its version",
        "mfgconversion": "Conversions to this version, each with its own",
    }
    return {
        "title": "CloudEvent",
        "description": "Attributes of a CloudEvent 1.0. A sink gets them and `data` as one JSON document "
        "(structured mode) unless its settings say otherwise.",
        "type": "object",
        "required": list(required),
        "properties": {**required, **{name: {**text, "description": is_} for name, is_ in more.items()}},
    }


def _payload(schema: Any, base: str) -> dict[str, Any]:
    """A JSON Schema with the name of its draft; references in it start at the document."""
    kind = _DRAFT_2020 if _needs_2020(schema) else _DRAFT_7
    return {"schemaFormat": kind, "schema": _moved(schema, schema, base)}


def _needs_2020(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_needs_2020(one) for one in schema)
    if not isinstance(schema, dict):
        return False
    # Draft 7 ignores whatever stands beside a reference.
    if "$schema" in schema or "$id" in schema or ("$ref" in schema and len(schema) > 1):
        return True
    for word, value in schema.items():
        if word in _NOT_IN_DRAFT_7:
            return True
        below = list(value.values()) if word in _NAMED and isinstance(value, dict) else value
        if word not in _DATA and _needs_2020(below):
            return True
    return False


def _moved(schema: Any, root: Any, base: str) -> Any:
    """The schema with references that reach their targets from where it now stands."""
    if isinstance(schema, list):
        return [_moved(one, root, base) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _DATA:
            made[word] = value
        elif word in _NAMED and isinstance(value, dict):
            made[word] = {name: _moved(one, root, base) for name, one in value.items()}
        elif word == "$ref" and isinstance(value, str) and value.startswith("#"):
            target = value[1:]
            if target and not target.startswith("/"):
                target = _anchored(root, target, "") or f"/{target}"
            made[word] = base + target
        else:
            made[word] = _moved(value, root, base)
    return made


def _anchored(schema: Any, anchor: str, pointer: str) -> str | None:
    """Pointer of the schema with an anchor."""
    if not isinstance(schema, dict | list):
        return None
    if isinstance(schema, dict) and schema.get("$anchor") == anchor:
        return pointer
    for key, one in schema.items() if isinstance(schema, dict) else enumerate(schema):
        step = str(key).replace("~", "~0").replace("/", "~1")
        found = _anchored(one, anchor, f"{pointer}/{step}")
        if found is not None:
            return found
    return None


def _version(documents: Documents) -> str:
    """A project has no version of its own: the build part of this one changes with any contract."""
    told = [one.content for one in documents.contracts.values()]
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    return f"0.0.0+{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _name(contract: Contract) -> str:
    return f"{contract.type}.v{contract.major}"


def _ref(*steps: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)}
