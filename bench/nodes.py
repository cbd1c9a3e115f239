"""The engine on workload W1, and the checks that come before a measurement."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import same
import workload
from compare import plain

from mfgroute import load_plan
from mfgroute._core import Engine, Plan


def plan() -> Plan:
    """The project of the workload, compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_plan(Path(workload.PROJECT))


def submit(engine: Engine, slabs: list[bytes]) -> int:
    """Offer slabs one after the other; how many events were accepted."""
    return sum(engine.submit_lines(workload.SOURCE, slab).accepted for slab in slabs)


def drain(engine: Engine, *, events_max: int = workload.SLAB) -> Iterator[bytes]:
    """Hand out what waits, as bytes, and settle it."""
    while True:
        with engine.poll(workload.SINK, events_max=events_max) as batch:
            if len(batch) == 0:
                return
            yield from (event.json for event in batch)
            batch.done_all()


def check_engine(compiled: Plan) -> None:
    """The first outputs are the expected ones, field for field and digit for digit.

    Raises:
        AssertionError: with the first difference.
    """
    expected = workload.expected()
    lines = b"\n".join(workload.messages(len(expected)))
    with closing(Engine(compiled)) as engine:
        receipt = engine.submit_lines(workload.SOURCE, lines)
        assert (receipt.accepted, receipt.rejected) == (len(expected), 0), receipt
        found = {data["event"]: data for data in (json.loads(one)["data"] for one in drain(engine))}
    for data in expected:
        assert found.pop(data["event"]) == data, data["event"]
    assert not found, found


def check_peer() -> None:
    """The best plain Python does the same work, to the last place of a float.

    Raises:
        AssertionError: with the first differences.
    """
    expected = workload.expected()
    routed = plain.make()(b"\n".join(workload.messages(len(expected))))
    counts = {"messages": len(expected), "accepted": len(expected), "rejected": 0, "duplicates": 0}
    wanted = same.read(counts, (b"-\t" + json.dumps(one).encode() for one in expected))
    counts |= {"accepted": len(routed.events), "rejected": routed.rejected, "duplicates": routed.duplicates}
    found = same.read(counts, (b"%d\t%s" % one for one in routed.events))
    assert same.differences(wanted, found) == []
