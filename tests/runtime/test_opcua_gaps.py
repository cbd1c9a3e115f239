"""A node whose OPC UA server lost values says so by an event, although nothing in its project asks for one."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest
from durable_node import HERE, SOURCES, Node, Target, serving
from link_nodes import command, status, write

from mfgroute.testing.plant import PlantServer

MAIN = """\
apiVersion: mfgroute/v1
node: {{id: edge-1, site: DE04, namespace: com.example, data_dir: ./data}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: fsync, capacity: 16MiB, when_full: block}}
sources:
  press-7:
    adapter: opcua
    endpoint: {endpoint}
    insecure: true
    nodes: ["ns=2;s=P7.Good"]
    interval_ms: 50
    mappings: [values]
    {more}
sinks:
  erp:
    adapter: http
    url: "{url}0"
    allow_private: true
    effect: {{by: key}}
    owner: tests
routes:
  - {{name: to-erp, match: {{type: {types}}}, to: erp}}
"""
CONTRACT = """\
type: machine.value.reported
version: 1.0.0
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {node: [data.node]}
idempotency: [data.node, data.value]
business: {process: maintenance, transaction: data.node, step: value-reported}
schema:
  type: object
  required: [node, value]
  properties: {node: {type: string}, value: {type: integer}}
examples:
  - {node: n, value: 1}
"""
#: It has no `when`: it wants every message.
MAPPING = """\
from: {decode: json}
time: {path: source_time}
emit:
  - to: machine.value.reported/1
    fields: {node: {path: node}, value: {path: value}}
"""
#: It would leave out everything that has no value.
FILTER = "filter: {name: no-value, when: {path: value, present: false}}"


class Events(Target):
    """Keeps whole events."""

    def __init__(self):
        super().__init__()
        self.events, self.came = [], threading.Condition()

    def take(self, life, key, event):
        del life, key
        with self.came:
            self.events.append(event)
            self.came.notify_all()
        return True

    def wait(self, wanted):
        """Wait until an event fits; answers all."""
        with self.came:
            assert self.came.wait_for(lambda: any(map(wanted, self.events)), 60), self.events
            return [*self.events]


def value(number):
    return lambda event: event["data"].get("value") == number


@pytest.fixture
def target():
    with serving(Events()) as one:
        yield one


async def away(plant, folder, target):
    """A node sees a value, is away for three, and sees another one; what it says of itself then."""
    node = await asyncio.to_thread(Node, folder)
    assert node.ready is not None, node.log
    await plant["P7"].produce()
    await asyncio.to_thread(target.wait, value(1))
    assert await asyncio.to_thread(node.stop) == 0
    await plant["P7"].produce(3)
    node = await asyncio.to_thread(Node, folder)
    await asyncio.to_thread(target.wait, value(4))
    await plant["P7"].produce()
    events = await asyncio.to_thread(target.wait, value(5))
    told = await asyncio.to_thread(status, node)
    assert await asyncio.to_thread(node.stop) == 0
    return events, told


def project(folder, plant, target, *, more="", types='">"'):
    main = MAIN.format(endpoint=plant.endpoint, url=target.url, more=more, types=types)
    write(folder, {
        "mfgroute.yaml": main,
        "contracts/machine.value.reported.v1.yaml": CONTRACT,
        "mappings/values.yaml": MAPPING,
    })  # fmt: skip
    return folder


@pytest.mark.asyncio
@pytest.mark.parametrize("more", ["", FILTER], ids=["", "with a filter"])
async def test_what_a_server_lost_is_an_event_that_nobody_asked_for(tmp_path, target, more):
    async with PlantServer() as plant:
        folder = project(tmp_path, plant, target, more=more)
        events, told = await away(plant, folder, target)
    gaps = [event for event in events if event["type"] == "com.example.data.gap.detected.v1"]
    (gap,) = (event["data"] for event in gaps)
    assert gap.pop("from") < gap.pop("to")
    assert gap == {"site": "DE04", "source": "press-7", "item": "ns=2;s=P7.Good", "reason": "disconnected"}
    places = {event["data"].get("value", "gap"): place for place, event in enumerate(events)}
    assert sorted(places.values()) == list(range(len(events))), "nothing came twice"
    source = told["stats"]["sources"]["press-7"]
    assert source.get("rejected", 0) == 0, source


@pytest.mark.asyncio
async def test_an_event_of_a_gap_without_a_route_is_counted_and_check_says_so(tmp_path, target):
    async with PlantServer() as plant:
        folder = project(tmp_path, plant, target, types="machine.value.reported/1")
        said = await asyncio.to_thread(command, folder, "check")
        assert (said.returncode, "no route wants data.gap.detected/1" in said.stdout + said.stderr) == (
            0,
            True,
        )
        events, told = await away(plant, folder, target)
    assert {event["type"] for event in events} == {"com.example.machine.value.reported.v1"}
    assert told["stats"]["sources"]["press-7"]["unrouted"] == 1


@pytest.mark.asyncio
async def test_who_wants_no_events_of_gaps_says_so_and_has_the_count(tmp_path, target):
    async with PlantServer() as plant:
        folder = project(tmp_path, plant, target, more="gaps: count")
        events, told = await away(plant, folder, target)
    assert {event["type"] for event in events} == {"com.example.machine.value.reported.v1"}
    (part,) = (part for part in told["parts"] if part["name"] == "press-7")
    assert part["counters"]["gaps_disconnected"] == 1


@pytest.mark.asyncio
async def test_a_node_without_a_site_is_told_that_gaps_need_one(tmp_path, target):
    async with PlantServer() as plant:
        folder = project(tmp_path, plant, target)
    main = folder / "mfgroute.yaml"
    main.write_text(main.read_text().replace("site: DE04, ", ""))
    said = command(folder, "check")
    assert said.returncode == 78
    assert "events of `opcua-gap`, which source `press-7` makes itself, need a `site`" in (
        said.stdout + said.stderr
    )


def test_what_the_source_makes_of_itself_is_in_the_documents_of_the_project(tmp_path, target):
    plant = PlantServer()
    folder = project(tmp_path, plant, target)
    made = subprocess.run(
        [sys.executable, "-m", "mfgroute", "contract", "export", "asyncapi", "--output", "json"],
        cwd=folder, env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    document = json.loads(made.stdout)
    assert "sources.press-7.opcua-gap" in document["components"]["messages"]
    assert (HERE / "python/mfgroute/packs/opcua/contracts/data.gap.detected.v1.yaml").read_bytes() == (
        HERE / "python/mfgroute/packs/canonical/contracts/data.gap.detected.v1.yaml"
    ).read_bytes(), "one contract, whichever pack it comes from"
