"""The benchmark's workload maps to its expected outputs, so that what is measured is right."""

import nodes
import workload


def test_the_first_outputs_of_w1_are_the_expected_ones():
    assert len(workload.expected()) == 20
    nodes.check_engine(nodes.plan())


def test_the_peer_of_the_benchmark_does_the_same_work():
    nodes.check_peer()
