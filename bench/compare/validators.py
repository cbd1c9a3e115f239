"""B2: decode and validate, nothing else: ``python -m compare.validators WHICH CLASS EVENTS SCHEMA``.

Prints how many messages were valid and the processor time, as one line of JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

Valid = Callable[[bytes], bool]


def jsonschema_rs_on_orjson(_: str, schema: Path) -> Valid:
    """A validator in Rust over Python objects."""
    import jsonschema_rs
    import orjson

    valid, loads = jsonschema_rs.validator_for(json.loads(schema.read_bytes())).is_valid, orjson.loads
    return lambda line: valid(loads(line))


def fastjsonschema_on_orjson(_: str, schema: Path) -> Valid:
    """A validator that is generated Python."""
    import fastjsonschema
    import orjson

    document = json.loads(schema.read_bytes()) | {"$schema": "http://json-schema.org/draft-07/schema#"}
    check, loads = fastjsonschema.compile(document), orjson.loads

    def valid(line: bytes) -> bool:
        try:
            check(loads(line))
        except fastjsonschema.JsonSchemaException:
            return False
        return True

    return valid


def pydantic(kind: str, _: Path) -> Valid:
    """Models."""
    from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

    text = Annotated[str, Field(min_length=1, max_length=600)]
    number = Annotated[float, Field(ge=0, le=1_000_000)]
    unit = Literal["EA", "KG", "LB", "M"]

    def model(name: str, **fields: Any) -> Any:
        return create_model(name, __base__=Strict, **{key: (one, ...) for key, one in fields.items()})

    if kind == "flat":
        texts, numbers = {f"t{one}": text for one in range(6)}, {f"n{one}": number for one in range(4)}
        message = model("Flat", id=text, **texts, **numbers, unit=unit)
    elif kind == "nested":
        item = model("Item", n=text, v=number)
        message = model(
            "Nested",
            id=text,
            at=model("At", plant=text, line=text),
            qty=model("Qty", good=number, unit=unit),
            items=Annotated[list[item], Field(max_length=500)],  # type: ignore[valid-type]
        )
    else:
        leaf = model("Leaf", kind=Literal["leaf"], v=number)

        class Branch(Strict):
            kind: Literal["branch"]
            of: Annotated[list[Annotated[leaf | Branch, Field(discriminator="kind")]], Field(max_length=200)]  # type: ignore[valid-type]

        Branch.model_rebuild(_types_namespace={"leaf": leaf, "Branch": Branch, **globals(), "Field": Field})
        message = model("Deep", id=text, root=Annotated[leaf | Branch, Field(discriminator="kind")])
    check = message.model_validate_json

    def valid(line: bytes) -> bool:
        try:
            check(line)
        except ValidationError:
            return False
        return True

    return valid


def msgspec(kind: str, _: Path) -> Valid:
    """Typed decoding."""
    import msgspec
    from msgspec import Meta, defstruct

    text = Annotated[str, Meta(min_length=1, max_length=600)]
    number = Annotated[float, Meta(ge=0, le=1_000_000)]
    unit = Literal["EA", "KG", "LB", "M"]

    def struct(name: str, fields: dict[str, Any], **options: Any) -> Any:
        return defstruct(name, list(fields.items()), forbid_unknown_fields=True, gc=False, **options)

    if kind == "flat":
        texts, numbers = {f"t{one}": text for one in range(6)}, {f"n{one}": number for one in range(4)}
        message = struct("Flat", {"id": text} | texts | numbers | {"unit": unit})
    elif kind == "nested":
        item = struct("Item", {"n": text, "v": number})
        fields = {
            "id": text,
            "at": struct("At", {"plant": text, "line": text}),
            "qty": struct("Qty", {"good": number, "unit": unit}),
            "items": Annotated[list[item], Meta(max_length=500)],
        }
        message = struct("Nested", fields)
    else:
        message = _deep_structs(struct, number, text)
    decode = msgspec.json.Decoder(message).decode

    def valid(line: bytes) -> bool:
        try:
            decode(line)
        except msgspec.MsgspecError:
            return False
        return True

    return valid


def _deep_structs(struct: Any, number: Any, text: Any) -> Any:
    import msgspec

    leaf = struct("Leaf", {"v": number}, tag="leaf", tag_field="kind")
    names = {"Leaf": leaf}
    node = 'typing.Annotated[list[typing.Union["Leaf", "Branch"]], msgspec.Meta(max_length=200)]'
    import typing

    module = sys.modules[__name__]
    branch = msgspec.defstruct(
        "Branch",
        [("of", node)],
        tag="branch",
        tag_field="kind",
        forbid_unknown_fields=True,
        gc=False,
        module=__name__,
    )
    for name, one in (names | {"Branch": branch, "typing": typing, "msgspec": msgspec}).items():
        # Where the quoted types are looked up.
        setattr(module, name, one)
    return struct("Deep", {"id": text, "root": leaf | branch})


WHICH: dict[str, Callable[[str, Path], Valid]] = {
    "jsonschema-rs": jsonschema_rs_on_orjson,
    "fastjsonschema": fastjsonschema_on_orjson,
    "pydantic": pydantic,
    "msgspec": msgspec,
}


def main() -> None:
    """Measure once, after a warm-up."""
    which, kind, events, schema = sys.argv[1:5]
    valid = WHICH[which](kind, Path(schema))
    lines = Path(events).read_bytes().splitlines()
    for line in lines[:200]:
        valid(line)
    gc.collect()
    began = time.process_time_ns()
    found = 0
    for line in lines:
        found += valid(line)
    spent = time.process_time_ns() - began
    print(json.dumps({"messages": len(lines), "valid": found, "cpu_ns": spent}))


if __name__ == "__main__":
    main()
