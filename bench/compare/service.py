"""The usual Python service: orjson, a JSON Schema validator in Rust, and dicts."""

from __future__ import annotations

import sys
from pathlib import Path

import jsonschema_rs
import orjson

from compare.common import Route, Routed, canonical, drive, partition


def make() -> Route:
    """A router of slabs with a memory of its own."""
    valid = jsonschema_rs.validator_for(orjson.loads(Path(sys.argv[3]).read_bytes())).is_valid
    loads, dumps = orjson.loads, orjson.dumps
    seen: set[str] = set()

    def route(slab: bytes) -> Routed:
        out, rejected, duplicates = [], 0, 0
        for line in slab.splitlines():
            try:
                message = loads(line)
            except orjson.JSONDecodeError:
                rejected += 1
                continue
            if not valid(message):
                rejected += 1
            elif message["id"] in seen:
                duplicates += 1
            else:
                seen.add(message["id"])
                data = message["data"]
                event = canonical(data, message["id"], message["source"])
                out.append((partition(data["workcenter"]), dumps(event)))
        return Routed(out, rejected, duplicates)

    return route


if __name__ == "__main__":
    drive(make)
