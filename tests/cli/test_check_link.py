"""`mfgroute check` and what the link from an edge to the core can carry."""

import json

import pytest

from mfgroute.adapters.zeromq.frames import LANES_MAX
from mfgroute.errors import ConfigError
from mfgroute.project import load_project

MAIN = """\
apiVersion: mfgroute/v1
node: {id: edge-1, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams: {STREAMS}
sources:
  scales: {adapter: http, mappings: [MADE], token: change-me-before-use}
  doors: {adapter: http, mappings: [made-0], token: change-me-before-use}
sinks:
  core:
    adapter: zeromq
    connect: "tcp://127.0.0.1:9002"
    core_key: "public:0000000000000000000000000000000000000000000000000000000000000000"
    secret_key_file: keys/edge-1.secret
    effect: {by: key}
    owner: plant-it
  log: {adapter: files, path: "./out/all.jsonl", owner: plant-it}
routes:
  - {name: to-log, match: {type: ">"}, to: log}
  - {name: to-core, match: ROUTE, to: core}
"""
CONTRACT = """\
type: plant.thing.NAME
version: 1.0.0
owner: plant-it
stream: NAME
key: {thing: [data.id]}
idempotency: [data.id]
schema: {type: object, required: [id], additionalProperties: false, properties: {id: {type: string}}}
"""
MAPPING = """\
from: {decode: json}
when: {path: kind, equals: KIND}
emit:
  - to: plant.thing.NAME/1
    fields: {id: {path: id}}
"""


@pytest.fixture
def write(tmp_path):
    def write(count, made, route='{type: ">"}'):
        streams = {f"s-{number}": {"durability": "memory", "capacity": "16MiB"} for number in range(count)}
        main = MAIN.replace("{STREAMS}", json.dumps(streams)).replace("ROUTE", route)
        main = main.replace("MADE", ", ".join(f"made-{number}" for number in range(made)))
        (tmp_path / "contracts").mkdir()
        (tmp_path / "mappings").mkdir()
        (tmp_path / "mfgroute.yaml").write_text(main)
        for number in range(count):
            contract = CONTRACT.replace("NAME", f"s-{number}").replace("thing.s-", "thing.s")
            (tmp_path / "contracts" / f"plant.thing.s{number}.v1.yaml").write_text(contract)
            mapping = MAPPING.replace("NAME", f"s{number}").replace("KIND", f"k{number}")
            (tmp_path / "mappings" / f"made-{number}.yaml").write_text(mapping)
        return tmp_path

    return write


def test_more_streams_than_the_link_carries_are_an_error_with_place_and_hint(write):
    with pytest.raises(ConfigError) as found:
        load_project(write(LANES_MAX + 1, LANES_MAX + 1))
    assert (
        "mfgroute.yaml:9:3: sink `core` gets events of 5 streams (`s-0`, `s-1`, `s-2`, `s-3`, `s-4`), "
        "and takes 4 at most"
    ) in str(found.value)
    assert "hint: let contracts that belong together name the same `stream`" in str(found.value)
    assert len(found.value.problems) == 1


@pytest.mark.parametrize(
    ("count", "made", "route"),
    [
        (LANES_MAX, LANES_MAX, '{type: ">"}'),
        # Of one stream nothing is made, of another one nothing goes there, one source makes but one of them.
        (LANES_MAX + 1, LANES_MAX, '{type: ">"}'),
        (LANES_MAX + 1, LANES_MAX + 1, "{type: plant.thing.s1}"),
        (LANES_MAX + 1, LANES_MAX + 1, '{type: ">", source: doors}'),
    ],
)
def test_what_does_not_come_to_the_link_does_not_count(write, count, made, route):
    assert load_project(write(count, made, route)).model.sinks.keys() == {"core", "log"}
