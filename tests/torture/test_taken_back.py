"""Reports that waited together with their reversals: neither is posted, whatever step the node dies at."""

import json
import sqlite3
from contextlib import closing, suppress

import pytest

from mfgroute.api.client import Control, NotRunning
from mfgroute.testing.simulators.s4 import ROOT
from tests.runtime.durable_node import TOKEN
from tests.torture import traced
from tests.torture.effects import Killable, at_call
from tests.torture.effects_project import ALWAYS, NEVER, write_calendar
from tests.torture.s4_project import MAIN, MAPPING, ORDERS, SINK, Erp, operation, order, until

#: Reports of a life, each with a reversal: one of every order.
EACH = ORDERS
WHEN = "when: {path: evt, equals: %s}\nemit:"
REVERSED = """\
from: {decode: json}
emit:
  - to: production.confirmation.reversed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      operation: {path: operation}
      report: {path: report}
      reverses: {path: reverses}
      posting_date: {const: "2026-11-24"}
"""

pytestmark = pytest.mark.timeout(600)


class Scene:
    """A node, and the ERP that it would post to."""

    def __init__(self, folder):
        self.folder, self.erp = folder / "project", Erp(folder)
        self.erp.faults = ()
        (self.folder / "mappings").mkdir(parents=True)
        sink = SINK.format(sink="sap", port=self.erp.port, root=ROOT.rstrip("/"), by="lookup")
        main = MAIN.replace("TOKEN", TOKEN).replace("mappings: [done]", "mappings: [done, reversed]") + sink
        (self.folder / "mfgroute.yaml").write_text(
            main + 'routes: [{name: all, match: {type: ">"}, to: sap}]\n'
        )
        for name, mapping, evt in (("done", MAPPING, "DONE"), ("reversed", REVERSED, "BACK")):
            text = mapping.replace("emit:", WHEN % evt).replace("{path: day}", '{const: "2026-11-24"}')
            (self.folder / "mappings" / f"{name}.yaml").write_text(text)
        self.erp.start()
        self.node = None

    def wait_with(self, numbers):
        """Have reports and their reversals wait for a window to end, and kill the node."""
        write_calendar(self.folder, "sap", ALWAYS)
        self.live()
        said = [{"order": order(at), "operation": operation(at)} for at in numbers]
        reports = [
            one | {"evt": "DONE", "report": f"r{at}", "quantity": at + 1}
            for at, one in zip(numbers, said, strict=True)
        ]
        back = [
            one | {"evt": "BACK", "report": f"b{at}", "reverses": f"r{at}"}
            for at, one in zip(numbers, said, strict=True)
        ]
        receipt = self.node.send(b"\n".join(json.dumps(one).encode() for one in reports + back))
        assert (receipt["level"], receipt["accepted"]) == ("durable", 2 * len(numbers)), receipt
        self.node.kill()
        write_calendar(self.folder, "sap", NEVER)

    def live(self, prefix=()):
        """Start a life of the node, which may be traced."""
        self.node = Killable(self.folder, prefix=prefix)
        self.node.traced = bool(prefix)

    def idle(self):
        """Whether nothing waits, as far as the node says anything."""
        with suppress(OSError, NotRunning), Control(self.node.data) as control:
            at = control.ask("status")["stats"]["sinks"]["sap"]
            return not at["queued"] + at["in_flight"]
        return False

    def end(self):
        """Kill what runs."""
        if self.node is not None and self.node.alive:
            self.node.kill()
        self.erp.kill()

    def outcomes(self):
        """What the records say of each event, by its report."""
        with closing(sqlite3.connect(self.node.data / "effects.db")) as database:
            rows = database.execute("select state, code, reference, event from effects").fetchall()
        return {json.loads(event)["data"]["report"]: tuple(row) for *row, event in rows}


@pytest.fixture
def scene(tmp_path):
    one = Scene(tmp_path)
    yield one
    one.end()


def test_what_waited_with_its_reversal_is_not_posted_whatever_the_node_dies_at(
    scene, tmp_path, record_property
):
    traced.need()
    out, calls = tmp_path / "calls", ("pwrite64", "fdatasync", "write")
    scene.wait_with(range(EACH))
    scene.live(traced.every(out))
    assert until(scene.idle)
    scene.node.kill()
    found = traced.numbers(out, 0)
    assert set(calls) <= {call for call, _ in found}
    chosen, met, count = traced.chosen(found, len(calls), *calls), 0, EACH
    for point in chosen:
        scene.wait_with(range(count, count + EACH))
        count += EACH
        scene.live(at_call(*point))
        assert until(lambda: not scene.node.alive or scene.idle())
        met += not scene.node.kill()
    scene.live()
    assert until(scene.idle)
    assert scene.node.letters(verb="list") == []
    record_property("kills", met)
    wanted = {f"r{at}": ("skipped", "taken_back", None) for at in range(count)} | {
        f"b{at}": ("posted", None, f"nothing to reverse: the report r{at} was never posted")
        for at in range(count)
    }
    assert until(lambda: scene.outcomes() == wanted), scene.outcomes()
    ledger = scene.erp.ask("/ledger")
    assert (ledger["effects"], ledger["duplicates"]) == ([], 0)
    assert met >= len(chosen) // 2
