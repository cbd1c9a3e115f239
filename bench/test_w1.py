"""The border of the engine on workload W1: slabs in, batches out."""

from contextlib import closing

import nodes
import pytest
import workload
from compare import plain

from mfgroute._core import Engine

SLABS = 40


@pytest.fixture(scope="module")
def plan():
    compiled = nodes.plan()
    nodes.check_engine(compiled)
    return compiled


@pytest.fixture(scope="module")
def slabs():
    return workload.slabs(SLABS * workload.SLAB)


def test_submit_lines(benchmark, plan, slabs):
    """A fresh engine each round: a duplicate is not the work."""
    accepted = benchmark.pedantic(
        lambda engine: nodes.submit(engine, slabs), setup=lambda: ((Engine(plan),), {}), rounds=5
    )
    assert accepted == SLABS * workload.SLAB


def test_poll(benchmark, plan, slabs):
    def full():
        engine = Engine(plan)
        nodes.submit(engine, slabs)
        return (engine,), {}

    def empty(engine):
        with closing(engine):
            return sum(1 for _ in nodes.drain(engine))

    assert benchmark.pedantic(empty, setup=full, rounds=5) == SLABS * workload.SLAB


def test_msgspec_peer(benchmark, slabs):
    nodes.check_peer()
    events = benchmark.pedantic(
        lambda run: sum(len(run(slab).events) for slab in slabs),
        setup=lambda: ((plain.make(),), {}),
        rounds=5,
    )
    assert events == SLABS * workload.SLAB
