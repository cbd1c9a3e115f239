"""How far the clocks of edges are off: what is measured, what is said of it, and that it decides nothing."""

import asyncio
import json
import time

import pytest

from mfgroute.adapters.zeromq.clocks import Clocks
from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import Clock, Ping, Pong, decode, encode
from mfgroute.events import Done, Receipt
from mfgroute.observe import health
from mfgroute.observe.metrics import Metrics

from .conftest import make_event, until
from .test_zeromq import Plant, logged, take

DAY = 86_400.0


class Wire:
    """A core's measure of one edge, in virtual time."""

    def __init__(self, off_max_s=5.0):
        self.now, self.wall = 100.0, 1_800_000_000.0
        self.clocks = Clocks(off_max_s, monotonic=lambda: self.now, wall=lambda: self.wall)

    def wait(self, seconds):
        self.now += seconds
        self.wall += seconds

    def measure(self, ahead_s, there_s=0.01, back_s=0.01):
        """One question and its answer over a line that takes so long."""
        self.wait(10.0)
        ping = self.clocks.ask("e")
        self.wait(there_s)
        answer = Clock(ping.nonce, round((self.wall + ahead_s) * 1e6))
        self.wait(back_s)
        self.clocks.take("e", answer)
        return self.clocks.details("e")


@pytest.mark.parametrize("ahead_s", [0.0, 3.0, -DAY, 366 * DAY])
@pytest.mark.parametrize(("there_s", "back_s"), [(0.01, 0.01), (0.4, 0.001), (0.0, 3.0)])
def test_the_truth_is_within_half_of_the_round_trip(ahead_s, there_s, back_s):
    found = Wire().measure(ahead_s, there_s, back_s)
    assert abs(found["ahead_s"] - ahead_s) <= found["error_s"] + 1e-6
    assert found["error_s"] == pytest.approx((there_s + back_s) / 2)


def test_a_slow_line_makes_no_clock_wrong_and_none_right():
    wire = Wire(off_max_s=1.0)
    assert not wire.measure(0.0, 0.0, 8.0)["off"]
    assert not wire.measure(3.0, 0.0, 8.0)["off"], "it may be right"
    assert wire.measure(3.0)["off"]
    assert wire.measure(0.0, 0.0, 8.0)["off"], "it may still be wrong"
    assert not wire.measure(0.0)["off"]


def test_an_edge_is_asked_every_ten_seconds_and_only_the_answer_to_that_counts():
    wire = Wire()
    first = wire.clocks.ask("e")
    wire.wait(9.9)
    assert wire.clocks.ask("e") is None
    wire.wait(0.1)
    second = wire.clocks.ask("e")
    wire.clocks.take("e", Clock(first.nonce, 0))
    wire.clocks.take("other", Clock(second.nonce, 0))
    assert wire.clocks.details("e") is None
    wire.clocks.take("e", Clock(second.nonce, round(wire.wall * 1e6)))
    # A relay that sends the answer again later changes nothing.
    wire.wait(5.0)
    wire.clocks.take("e", Clock(second.nonce, round(wire.wall * 1e6)))
    assert (wire.clocks.details("e")["ahead_s"], wire.clocks.details("e")["measured_s"]) == (0.0, 5.0)
    third = (wire.wait(6.0), wire.clocks.ask("e"))[1]
    wire.wait(10.1)
    wire.clocks.take("e", Clock(third.nonce, 0))
    assert wire.clocks.details("e")["ahead_s"] == 0.0, "it took too long to say anything"


def test_each_change_is_logged_once_and_a_clock_at_the_bound_does_not_flap(caplog):
    wire = Wire()
    with caplog.at_level("DEBUG", logger="mfgroute"):
        for ahead_s in (4.9, 5.1, 4.9, 5.1, 4.6, DAY, 4.0, -4.9, -5.1):
            wire.measure(ahead_s)
    told = [(line["event"], line["level"], line["ahead_s"]) for line in logged(caplog)]
    assert told == [
        ("edge_clock_off", "warning", 5.1),
        ("edge_clock_right", "info", 4.0),
        ("edge_clock_off", "warning", -5.1),
    ]


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (DAY, "its clock is 1 day ahead of ours"),
        (DAY - 0.02, "its clock is 1 day ahead of ours"),
        (-90 * 60, "its clock is 2 hours behind ours"),
        (-420.4, "its clock is 7 minutes behind ours"),
        (0.25, "its clock is 250 ms ahead of ours"),
    ],
)
def test_a_difference_is_said_in_words(ahead_s, words):
    assert Wire().measure(ahead_s)["words"] == f"{words}, and so are the times that it gives its events"


def test_a_core_that_does_not_measure_asks_nobody_and_drops_answers():
    core = CoreLink(credit_blocks=4, credit_bytes=1 << 20, block_max=1 << 16)
    assert [decode(one) for one in core.receive("e", encode(Ping(5))).replies] == [Pong(5)]
    assert core.receive("e", encode(Clock(5, -1))) == ([], None)
    assert core.counts["bad_frames"] == 0


@pytest.mark.parametrize("ahead_s", [DAY, -DAY, 400 * DAY, -400 * DAY])
async def test_an_edge_whose_clock_is_off_delivers_all_once_in_order_and_is_told_of(
    tmp_path, ahead_s, caplog
):
    plant = Plant(tmp_path)
    pulse = health.Pulse("source", "edges", "zeromq")
    with caplog.at_level("DEBUG", logger="mfgroute"):
        source = await plant.start()
        pulse.count_with(lambda: source.counters, lambda: source.details)
        sink = plant.sink()
        sink.link.wall = lambda: time.time() + ahead_s
        await sink.open()
        writes = [asyncio.create_task(sink.write([make_event(n)])) for n in range(1, 31)]
        got = []
        while len(got) < 30:
            got += [json.loads(message)["id"] for message in (await take(source)).messages]
        assert await asyncio.gather(*writes) == [[Done()]] * 30
        await until(lambda: source.details["edges"][0]["clock"] is not None)
    assert got == [make_event(n).id for n in range(1, 31)]
    (edge,) = source.details["edges"]
    assert edge["clock"]["off"]
    assert edge["clock"]["ahead_s"] == pytest.approx(ahead_s, abs=edge["clock"]["error_s"] + 0.01)
    assert health.check([pulse], {}).notes == [f"edge edge-1: {edge['clock']['words']}"]
    text = Metrics(lambda: {"sources": {}, "sinks": {}, "streams": {}}, lambda: [pulse]).expose().decode()
    (line,) = [
        line for line in text.splitlines() if line.startswith("mfgroute_edge_clock_difference_seconds{")
    ]
    assert line.startswith('mfgroute_edge_clock_difference_seconds{edge="edge-1",source="edges"}')
    assert float(line.split()[1]) == pytest.approx(ahead_s, abs=1.0)
    assert [line["event"] for line in logged(caplog)].count("edge_clock_off") == 1
    await sink.close()
    await source.close()


async def test_a_clock_that_is_right_is_measured_and_not_spoken_of(tmp_path, caplog):
    plant = Plant(tmp_path)
    with caplog.at_level("DEBUG", logger="mfgroute"):
        source = await plant.start()
        sink = plant.sink()
        await sink.open()
        await until(lambda: source.details["edges"][0]["clock"] is not None)
        writing = asyncio.create_task(sink.write([make_event(1)]))
        intake = await asyncio.wait_for(source.read(), 5)
        await source.ack(intake, Receipt(accepted=1, level="durable"))
        assert await writing == [Done()]
    assert source.details["notes"] == []
    assert abs(source.details["edges"][0]["clock"]["ahead_s"]) < 1.0
    assert not [line for line in logged(caplog) if line["event"].startswith("edge_clock")]
    await sink.close()
    await source.close()
