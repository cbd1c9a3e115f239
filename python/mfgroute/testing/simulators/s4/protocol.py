"""Requests and answers without a network, and how entities and errors look in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from mfgroute.testing.simulators.s4.messages import MESSAGES, ODataError, refusal
from mfgroute.testing.simulators.s4.model import BATCH, CONFIRMATION, SERVICES, Entity
from mfgroute.testing.simulators.s4.store import Row
from mfgroute.testing.simulators.s4.wire import read, show

__all__ = [
    "ROOT",
    "Answer",
    "Call",
    "entity_json",
    "error_answer",
    "etag",
    "json_answer",
    "parse_body",
    "parse_entity",
    "uri",
]

#: Where the services are.
ROOT = "/sap/opu/odata/sap/"
_JSON = "application/json;charset=utf-8"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a service.

    Attributes:
        method: in capitals; a tunnelled one (``X-HTTP-Method``) is already what it says.
        service: name of the service.
        path: below the service, decoded.
        query: options and parameters, decoded.
        headers: by name in small letters.
        body: as it came.
    """

    method: str
    service: str
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


def json_answer(status: int, document: Any, **headers: str) -> Answer:
    """An answer with a JSON body; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        headers={"Content-Type": _JSON, "DataServiceVersion": "2.0", **named},
        body=msgspec.json.encode(document),
    )


def error_answer(error: ODataError, service: str, codes: Mapping[str, str], stamp: str) -> Answer:
    """A refusal as the gateway shows it.

    Args:
        error: the refusal.
        service: it is of.
        codes: other codes by our name of the message.
        stamp: time as digits, to find the error in a log by.
    """
    if error.name in ("csrf", "unauthorized"):
        headers = {"Content-Type": "text/plain;charset=utf-8", **error.headers}
        return Answer(status=error.status, headers=headers, body=error.text.encode())

    def code(name: str) -> str:
        known = MESSAGES.get(name)
        return codes.get(name) or (known.code if known is not None else name)

    details = [
        {
            "code": code(detail.name),
            "message": detail.text,
            "longtext_url": "",
            "propertyref": "",
            "severity": "error",
            "target": "",
        }
        for detail in error.details
    ]
    document = {
        "error": {
            "code": code(error.name),
            "message": {"lang": "en", "value": error.text},
            "innererror": {
                "application": {
                    "component_id": "",
                    "service_namespace": "/SAP/",
                    "service_id": service,
                    "service_version": "0001",
                },
                "transactionid": stamp.rjust(32, "0"),
                "timestamp": stamp,
                "Error_Resolution": {"SAP_Transaction": "", "SAP_Note": ""},
                "errordetails": details,
            },
        }
    }
    answer = json_answer(error.status, document)
    return Answer(status=answer.status, headers={**answer.headers, **error.headers}, body=answer.body)


def parse_body(body: bytes) -> dict[str, Any]:
    """A request body: the entity itself, or within ``d``.

    Raises:
        ODataError: it is not a JSON object.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusal("syntax", error) from None
    if isinstance(document, dict) and set(document) == {"d"}:
        document = document["d"]
    if not isinstance(document, dict):
        raise refusal("syntax", "not an object")
    return document


def parse_entity(
    entity: Entity, document: dict[str, Any], nested: Iterable[str] = (), *, whole: bool = True
) -> tuple[Row, dict[str, list[dict[str, Any]]]]:
    """An entity of a request body, and the bodies of its nested ones.

    Args:
        entity: its type.
        document: the body.
        nested: navigation properties that may be given.
        whole: whether properties that nobody gave are empty in the result instead of missing.

    Raises:
        ODataError: a property is unknown or its value does not fit.
    """
    row = entity.empty() if whole else {}
    children: dict[str, list[dict[str, Any]]] = {name: [] for name in nested}
    for name, value in document.items():
        if name == "__metadata":
            continue
        if name in children:
            children[name] = _list(name, value)
        elif name in entity.fields:
            row[name] = read(entity.fields[name], value)
        else:
            raise refusal("property", name)
    return row, children


def _list(name: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        value = value.get("results")
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise refusal("value", name, "", "not a list of entities")
    return value


def uri(base: str, service: str, entity: Entity, row: Row) -> str:
    """Where an entity is."""
    if len(entity.keys) == 1:
        key = f"'{quote(str(row[entity.keys[0]]))}'"
    else:
        key = ",".join(f"{name}='{quote(str(row[name]))}'" for name in entity.keys)
    return f"{base}{ROOT}{service}/{entity.path}({key})"


def etag(entity: Entity, row: Row) -> str | None:
    """The version of an entity, of those that have one."""
    if entity is BATCH:
        return f'W/"{row["version"]}"'
    if entity is CONFIRMATION:
        return f'W/"{2 if row.get("IsReversed") else 1}"'
    return None


def entity_json(
    base: str,
    service: str,
    entity: Entity,
    row: Row,
    *,
    select: Iterable[str] | None = None,
    expanded: Mapping[str, list[Any]] | None = None,
) -> dict[str, Any]:
    """An entity as it stands in an answer.

    Args:
        base: address of the system.
        service: it is read from.
        entity: its type.
        row: what is kept of it.
        select: properties that are wanted; all without it.
        expanded: nested entities by navigation property; the others are deferred.
    """
    where = uri(base, service, entity, row)
    about = {"id": where, "uri": where, "type": f"{service}.{entity.name}"}
    version = etag(entity, row)
    if version is not None:
        about["etag"] = version
    wanted = set(select) if select is not None else None
    document: dict[str, Any] = {"__metadata": about}
    full = {**entity.empty(), **row}
    for name, field in entity.fields.items():
        if wanted is None or name in wanted:
            document[name] = show(field, full[name])
    for name in entity.children:
        if expanded is not None and name in expanded:
            document[name] = {"results": expanded[name]}
        elif wanted is None:
            document[name] = {"__deferred": {"uri": f"{where}/{name}"}}
    return document


def known_entity(service: str, path: str) -> Entity:
    """The entity of a set.

    Raises:
        ODataError: the service has no such set.
    """
    entity = SERVICES[service].entities.get(path)
    if entity is None:
        raise refusal("resource_unknown", path)
    return entity
