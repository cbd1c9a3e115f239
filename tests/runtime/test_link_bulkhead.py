"""A stream that is full in the core holds back nothing of the edges' other streams."""

import pytest
from durable_node import TOKEN, Target, serving
from link_nodes import Plant, command, status, until
from tests.engine.conftest import CONTRACT, MAPPING, message

#: Bytes of a reading, and what telemetry may hold in the core.
EVENT, CAPACITY = 200_000, "8MiB"
#: More than there is room for.
READINGS = 50
READING = CONTRACT.replace("production.operation.completed", "machine.state.reported").replace(
    "kind: event\nstream: business", "kind: telemetry\nstream: telemetry"
)
READ = MAPPING.replace("production.operation.completed", "machine.state.reported")


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture
def plant(tmp_path, target):
    """An edge with both streams, and a core that has little room for telemetry and sheds none of it."""
    one = Plant(tmp_path, target.url, window=10)
    contract = "contracts/machine.state.reported.v1.yaml"
    for folder in (one.edge_folder, one.core_folder):
        (folder / contract).write_text(READING)
    (one.edge_folder / "mappings/readings.yaml").write_text(READ)
    edge, core = (folder / "mfgroute.yaml" for folder in (one.edge_folder, one.core_folder))
    telemetry = "\n  telemetry: {{durability: fsync, capacity: {}, when_full: block}}\nsources:"
    edge.write_text(
        edge.read_text()
        .replace("\nsources:", telemetry.format("32MiB"))
        .replace("sinks:", f"  machines: {{adapter: http, mappings: [readings], token: {TOKEN}}}\nsinks:")
        .replace("{type: production.operation.completed/1}", '{type: ">"}')
    )
    erp = core.read_text().split("  erp:\n")[1].split("routes:\n")[0]
    route = "  - {name: to-historian, match: {type: machine.state.reported/1}, to: historian}"
    core.write_text(
        core.read_text()
        .replace("\nsources:", telemetry.format(CAPACITY))
        .replace("\nroutes:\n", f"\n  historian:\n{erp}routes:\n{route}\n")
    )
    yield one
    one.close()


def post(plant, source, numbers, size=1):
    for number in numbers:
        body = message(0, order=source, id=f"{source}-{number}", text="x" * size)
        assert plant.edge.ask("POST", f"/v1/sources/{source}", body)[0] == 202


@pytest.mark.timeout(180)
def test_business_goes_on_while_telemetry_is_full_in_the_core_and_no_mark_passes_what_waits(plant, target):
    plant.start_core()
    assert command(plant.core_folder, "pause", "historian").returncode == 0
    plant.start_edge()
    post(plant, "machines", range(READINGS), EVENT)
    until(lambda: "telemetry is full" in str(plant.core.ask("GET", "/readyz")[2]))
    business = {f"mes-{number}" for number in range(20)}
    post(plant, "mes", range(20))
    assert target.until(business, 60) == set()
    assert target.seen() == business
    assert status(plant.core)["parts"][0]["faults"] == 0
    # The mark that came with business says nothing of telemetry that was put back.
    plant.core.process.kill()
    plant.core.ended()
    plant.start_core()
    command(plant.core_folder, "resume", "historian")
    everything = business | {f"machines-{number}" for number in range(READINGS)}
    assert target.until(everything, 60) == set()
    readings = [report for *_, report in target.arrivals if report.startswith("machines")]
    assert list(dict.fromkeys(readings)) == [f"machines-{number}" for number in range(READINGS)]
    source = status(plant.core)["stats"]["sources"]["edges"]
    assert source["rejected"] == 0
