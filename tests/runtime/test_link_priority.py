"""Two streams over a line that is down and then slow: business waits and goes first, telemetry is shed and counted."""

import pytest
from durable_node import TOKEN, Target, serving
from link_nodes import Plant, command, once_and_in_order, status, until
from tests.engine.conftest import CONTRACT, MAPPING, message

#: Bytes of an event, more or less, and what each stream of the edge may hold.
EVENT, CAPACITY = 40_000, "2MiB"
READING = CONTRACT.replace("production.operation.completed", "machine.state.reported").replace(
    "kind: event\nstream: business", "kind: telemetry\nstream: telemetry"
)
READ = MAPPING.replace("production.operation.completed", "machine.state.reported")


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture(params=[True, False], ids=["first", "equal"])
def first(request):
    """Whether business goes first; where it does not, the same run shows what that is worth."""
    return request.param


@pytest.fixture
def plant(tmp_path, target, first):
    """An edge with both streams, and a core that gives each to a sink of its own."""
    one = Plant(tmp_path, target.url)
    contract = "contracts/machine.state.reported.v1.yaml"
    for folder in (one.edge_folder, one.core_folder):
        (folder / contract).write_text(READING)
    (one.edge_folder / "mappings/readings.yaml").write_text(READ)
    edge, core = (folder / "mfgroute.yaml" for folder in (one.edge_folder, one.core_folder))
    edge.write_text(
        edge.read_text()
        .replace(
            "capacity: 16MiB, when_full: block}",
            f"capacity: {CAPACITY}, when_full: block, first: {str(first).lower()}}}\n"
            f"  telemetry: {{durability: memory, capacity: {CAPACITY}, when_full: drop_oldest}}",
        )
        .replace("sinks:", f"  machines: {{adapter: http, mappings: [readings], token: {TOKEN}}}\nsinks:")
        .replace("{type: production.operation.completed/1}", '{type: ">"}')
    )
    erp = core.read_text().split("  erp:\n")[1].split("routes:\n")[0]
    memory = "  telemetry: {durability: memory, capacity: 16MiB, when_full: block}"
    route = "  - {name: to-historian, match: {type: machine.state.reported/1}, to: historian}"
    core.write_text(
        core.read_text()
        .replace("\nsources:", f"\n{memory}\nsources:")
        .replace("    edges:\n", "    edges:\n" if first else "    first: []\n    edges:\n")
        .replace("\nroutes:\n", f"\n  historian:\n{erp}routes:\n{route}\n")
    )
    yield one
    one.close()


def post(plant, source, number):
    """One large message; the answer's status."""
    body = message(0, order=source, id=f"{source}-{number}", text="x" * EVENT)
    return plant.edge.ask("POST", f"/v1/sources/{source}", body)[:2]


def of(target, source):
    """Numbers of what has arrived from a source, in their order, with the place of each among all."""
    found = [(place, report) for place, (*_, report) in enumerate(target.arrivals)]
    return [(place, int(report.rpartition("-")[2])) for place, report in found if report.startswith(source)]


def test_when_both_streams_are_full_business_goes_first_and_what_telemetry_lost_is_counted(
    plant, target, first
):
    plant.start_core()
    plant.relay.cut()
    plant.start_edge()
    # Telemetry is never refused: when its room is used up the oldest goes.
    readings = 150
    assert {post(plant, "machines", number)[0] for number in range(readings)} == {202}
    business = 0
    while (answer := post(plant, "mes", business))[0] == 202:
        business += 1
    # Business has room of its own, is never shed, and holds its sources back.
    assert (answer[0], "Retry-After" in answer[1]) == (503, True)
    assert business > 20
    sink = status(plant.edge)["stats"]["sinks"]["core"]
    held = sink["queued"] - business
    assert sink["dropped"] == readings - held
    assert 20 < held < readings
    # The line is back, and slow: 20 events a second.
    plant.relay.rate = 20 * EVENT
    plant.relay.mend()
    assert target.until([f"mes-{number}" for number in range(business)], 60) == set()
    ends = [place for place, _ in of(target, "mes")][-1]
    before = sum(place < ends for place, _ in of(target, "machines"))
    # Of nine that the link is handed one is not of the stream that goes first. Without that it waits its turn.
    assert (before <= held // 4) == first, (before, held, business)
    plant.relay.rate = None
    assert target.until([f"machines-{number}" for number in range(readings - held, readings)], 60) == set()
    assert [number for _, number in of(target, "machines")] == list(range(readings - held, readings))
    assert once_and_in_order(target) == {report for *_, report in target.arrivals}
    until(lambda: status(plant.edge)["stats"]["sinks"]["core"]["queued"] == 0)
    sink = status(plant.edge)["stats"]["sinks"]["core"]
    assert (sink["delivered"], sink["dropped"]) == (business + held, readings - held)
    told = command(plant.edge_folder, "link", "status")
    assert f"{readings - held} events were shed since the start" in told.stdout
    # And business is taken again.
    assert post(plant, "mes", business)[0] == 202
