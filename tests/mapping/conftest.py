"""Tiny projects around one mapping, and the lines that the hot path makes of one message."""

import json

import pytest

import mfgroute
from mfgroute import _core

MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  src: {adapter: files, path: ./in/*.jsonl, mappings: [m]}
sinks:
  log: {adapter: console, owner: tests}
routes:
  - {name: all, match: {type: ">"}, to: log}
"""

CONTRACT = """\
type: TYPE
version: 1.0.0
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {thing: [data.id]}
idempotency: [data.id]
schema:
  type: object
  required: [id]
  properties:
    id: {type: string, minLength: 1}
    date: {type: string, format: date}
    at: {type: string, format: date-time}
    n: {type: string, format: decimal, x-decimal: {digits: 38}}
    unit: {type: string, x-codes: rec20}
    items: {type: array, items: {type: object}}
    list: {type: array, items: {type: string}}
"""

BASE = 'id: {const: "1"}'


class Project:
    """A folder with two loose contracts (`thing/1`, `other/1`) and one mapping `m`."""

    def __init__(self, root):
        self.root = root
        self.write("mfgroute.yaml", MAIN)
        for name in ("thing", "other"):
            self.write(f"contracts/{name}.v1.yaml", CONTRACT.replace("TYPE", name))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def load(self, mapping=None, **files):
        if mapping is not None:
            self.write("mappings/m.yaml", mapping)
        for name, text in files.items():
            self.write(name, text)
        return mfgroute.load_plan(self.root)

    def run(self, mapping, message, *, meta=None, files=None):
        plan = self.load(mapping, **(files or {}))
        return lines(plan, message, meta)

    def problems(self, mapping=None, **files):
        """Every problem of a broken project as `(place, text)`."""
        with pytest.raises(mfgroute.ConfigError) as info:
            self.load(mapping, **files)
        return info.value


def lines(plan, message, meta=None, mapping="m"):
    """Run one message; dicts are sent as JSON."""
    raw = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    return [json.loads(line) for line in _core.run_mapping(plan, mapping, raw, meta or {}).splitlines()]


def mapping(fields, *, head="from: {decode: json}", entry=""):
    """A mapping with one entry; `fields` is YAML of the fields, one per line."""
    body = "\n".join(f"      {line}" for line in [BASE, *fields.strip().splitlines()])
    extra = "".join(f"    {line}\n" for line in entry.strip().splitlines() if line.strip())
    return f"{head}\nemit:\n  - to: thing/1\n{extra}    fields:\n{body}\n"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def one(project):
    """The `data` of the one event of a message, or its reject, for fields given as YAML."""

    def run(fields, message, *, meta=None, files=None, **parts):
        result = project.run(mapping(fields, **parts), message, meta=meta, files=files)
        assert len(result) == 1, result
        (line,) = result
        return line["reject"] if "reject" in line else line.get("data", line)

    return run


def problems_of(error):
    """The problems of a `ConfigError` as a list."""
    return list(error.problems)
