"""Which stream of a sink goes first: one of commands, or one that says so."""

from contextlib import closing

import pytest

import mfgroute
from tests.engine.conftest import CONTRACT, MAIN, MAPPING, balanced, message

COMMAND = """\
type: material.staging.requested
version: 1.0.0
kind: {kind}
stream: commands
owner: tests
lifecycle: {{status: active}}
key: {{order: [data.order]}}
idempotency: [data.order, data.number]
schema:
  type: object
  required: [order, number]
  additionalProperties: false
  properties:
    order: {{type: string, minLength: 1}}
    number: {{type: string, minLength: 1}}
"""
STAGE = """\
from: {decode: json}
time: {path: ts}
emit:
  - to: material.staging.requested/1
    fields:
      order: {path: order}
      number: {path: id}
"""
BOTH = (
    MAIN.replace("sources:", "  commands: {durability: memory, capacity: 64MiB, STREAM}\nsources:")
    .replace("sinks:", "  wms: {adapter: files, path: ./wms/*.jsonl, mappings: [stage]}\nsinks:", 1)
    .replace("{type: production.operation.completed/1, source: mes-a}", '{type: ">"}')
)
SAME_KEY = CONTRACT.replace("[data.site, data.order]", "[data.order]")


@pytest.fixture
def order(write_project):
    """Makes a backlog of reports and then commands; returns the orders of what the sink gets, one by one."""

    def run(*, kind="command", stream="", reports=("1", "2", "3"), commands=("7", "8")):
        main = BOTH.replace(", STREAM", f", {stream}" if stream else "")
        folder = write_project(
            main=main,
            contract=SAME_KEY,
            mapping=MAPPING,
            **{
                "contracts__material.staging.requested.v1.yaml": COMMAND.format(kind=kind),
                "mappings__stage.yaml": STAGE,
            },
        )
        with closing(mfgroute.Engine(mfgroute.load_plan(folder))) as engine:
            for number, name in enumerate(reports):
                assert engine.submit("mes-a", [message(number, order=name)]).accepted == 1
            for number, name in enumerate(commands):
                assert engine.submit("wms", [message(number, order=name)]).accepted == 1
            seen = []
            while batch := engine.poll("erp", events_max=1):
                with batch:
                    seen += [(event.type.split(".")[-2], event.key.partition("/")[2]) for event in batch]
                    batch.done_all()
            assert balanced(engine.stats())
            return seen

    return run


def test_a_stream_of_commands_goes_first(order):
    assert [key for _, key in order()] == ["7", "8", "1", "2", "3"]


@pytest.mark.parametrize(("kind", "stream"), [("command", "first: false"), ("event", "")])
def test_any_other_stream_keeps_the_order_of_admission(order, kind, stream):
    assert [key for _, key in order(kind=kind, stream=stream)] == ["1", "2", "3", "7", "8"]


def test_a_stream_that_says_it_goes_first_whatever_its_contracts_are(order):
    assert [key for _, key in order(kind="event", stream="first: true")] == ["7", "8", "1", "2", "3"]


def test_a_command_comes_after_the_report_of_its_own_key(order):
    assert order(commands=("2",)) == [
        ("completed", "2"),
        ("requested", "2"),
        ("completed", "1"),
        ("completed", "3"),
    ]


def test_the_rest_has_its_turn(order):
    seen = order(reports=("a", "b", "c"), commands=tuple("123456789") + tuple("ABCDEFGHI"))
    reports = [at for at, (kind, _) in enumerate(seen) if kind == "completed"]
    assert reports == [8, 17, 20]
