"""The HTTP interface as OpenAPI."""

from __future__ import annotations

from typing import Any

from mfgroute.api.body import FORMS

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}

_ERROR = {
    "type": "object",
    "required": ["message", "code"],
    "properties": {
        "message": {**_COUNT, "description": "Index of the message"},
        "item": {**_COUNT, "description": "Index of the item in its message"},
        "code": {**_TEXT, "description": "Stable code of the reject"},
        "pointer": {**_TEXT, "description": "RFC 6901 pointer into the message"},
        "offset": {**_COUNT, "description": "Byte in the message, for errors of syntax"},
        "field": {**_TEXT, "description": "Field of the canonical event"},
        "place": {**_TEXT, "description": "File and line, for rows and lines of files"},
        "found": _TEXT,
        "expected": _TEXT,
    },
}
_ERRORS = {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}
_RECEIPT = {
    "type": "object",
    "required": ["accepted", "rejected", "duplicates", "filtered", "dropped", "level"],
    "properties": {
        **dict.fromkeys(("accepted", "rejected", "duplicates", "filtered", "dropped"), _COUNT),
        "level": {"enum": ["memory", "durable", "sealed"]},
        "errors": _ERRORS,
    },
}
_PROBLEM = {
    "type": "object",
    "properties": {"type": _TEXT, "title": _TEXT, "status": _COUNT, "detail": _TEXT, "errors": _ERRORS},
}
_PROBLEMS = {
    "400": "Malformed",
    "401": "No token",
    "403": "Another token is needed",
    "404": "No such source",
    "408": "The body came too slowly",
    "409": "Same identity with another content",
    "411": "No length",
    "413": "Too large",
    "415": "Unknown type",
    "422": "Every message was rejected",
    "429": "The source has no room; see Retry-After",
    "431": "Too many headers",
    "503": "The node has no room or is not ready; see Retry-After",
}


def document(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    taken = {"application/json": {"schema": {"$ref": "#/components/schemas/Receipt"}}}
    post = {
        "operationId": "deliver",
        "summary": "Deliver messages to an inbox",
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": _TEXT},
            {"name": "ack", "in": "query", "schema": {"enum": ["memory", "durable", "sealed"]}},
        ],
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {name: {} for name in FORMS}},
        "responses": {
            "202": {"description": "Taken, at the level in the receipt", "content": taken},
            **{code: {"description": text, "content": problem} for code, text in _PROBLEMS.items()},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mfgroute", "version": version},
        "paths": {
            "/v1/sources/{name}": {"post": post},
            "/livez": _get("Whether the process answers", "application/json"),
            "/readyz": _get("Whether everything that has work makes progress", "application/json", "503"),
            "/metrics": _get("Counters for Prometheus", "text/plain"),
            "/openapi.json": _get("This document", "application/json"),
        },
        "components": {
            "schemas": {"Receipt": _RECEIPT, "Error": _ERROR, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _get(summary: str, media_type: str, *others: str) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": {media_type: {}}}}
    return {
        "get": {
            "summary": summary,
            "responses": {**responses, **{code: {"description": "No"} for code in others}},
        }
    }
