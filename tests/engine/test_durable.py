"""A durable stream: what was acknowledged is there after every end of the process, and nothing is delivered twice."""

import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

import mfgroute
from mfgroute import errors
from tests.engine.conftest import message


@pytest.fixture
def project(write_project, monkeypatch):
    """A project with a durable stream."""
    folder = write_project()
    file = folder / "mfgroute.yaml"
    file.write_text(file.read_text().replace("durability: memory", "durability: fsync"))
    return folder


@pytest.fixture
def open_engine(project, tmp_path):
    """Opens the same data folder again and again; closes what is still open."""
    engines = []

    def make():
        engine = mfgroute.Engine(mfgroute.load_plan(project), data_dir=str(tmp_path / "data"))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def sink_of(engine):
    return next(iter(engine.stats()["sinks"]))


def drain(engine, sink):
    """Everything that the sink gets until nothing waits for it any more, each done."""
    ids = []
    while (counts := engine.stats()["sinks"][sink])["queued"] + counts["in_flight"]:
        # A settlement takes effect once it is on the disk; the next event of its key comes after it.
        with engine.poll(sink, wait_s=1.0) as batch:
            ids += [event.id for event in batch]
            batch.done_all()
    return ids


def test_without_a_data_folder_a_durable_stream_is_refused(project):
    with pytest.raises(ValueError, match="stream business is durable: give the engine a data_dir"):
        mfgroute.Engine(mfgroute.load_plan(project))


def test_the_receipt_names_the_level_that_was_reached(open_engine):
    engine = open_engine()
    assert engine.submit("mes-a", [message(1)]).level == "durable"
    assert engine.submit("mes-a", [message(2)], ack="sealed").level == "sealed"
    assert engine.submit("mes-a", [message(3)], ack="memory").level == "memory"
    again = engine.submit("mes-a", [message(1)])
    assert (again.duplicates, again.level) == (1, "durable")


def test_what_was_acknowledged_is_delivered_after_a_restart_once(open_engine):
    engine = open_engine()
    sink = sink_of(engine)
    assert engine.submit("mes-a", [message(n) for n in range(50)]).accepted == 50
    engine.close()
    engine = open_engine()
    assert engine.submit("mes-a", [message(n) for n in range(50)]).duplicates == 50
    assert len(drain(engine, sink)) == 50
    engine.close()
    engine = open_engine()
    assert drain(engine, sink) == []
    assert engine.submit("mes-a", [message(n) for n in range(50)]).duplicates == 50


def test_what_was_in_flight_comes_again_with_the_same_id(open_engine):
    engine = open_engine()
    sink = sink_of(engine)
    engine.submit("mes-a", [message(1)])
    batch = engine.poll(sink, wait_s=1.0)
    first = [event.id for event in batch]
    engine.close()
    assert drain(open_engine(), sink) == first


def test_a_slab_larger_than_a_segment_is_taken_once_there_are_enough_of_them(open_engine, project):
    file = project / "mfgroute.yaml"
    text, changes = re.subn(r"capacity: \w+", "capacity: 4MiB", file.read_text())
    assert changes == 1
    file.write_text(text)
    engine = open_engine()
    # Segments of a stream of 4 MiB have 256 KiB.
    slab = b"\n".join(message(n, text="x" * 600) for n in range(2000))
    assert len(slab) > 4 * (256 << 10)
    receipt = engine.submit_lines("mes-a", slab, wait_s=30.0)
    while receipt.resume is not None:
        receipt = engine.submit_lines("mes-a", slab, wait_s=30.0, resume=receipt.resume)
    assert engine.stats()["streams"]["business"]["count"] == 2000


def test_parked_events_rejects_pauses_and_positions_survive(open_engine):
    engine = open_engine()
    sink = sink_of(engine)
    engine.submit("mes-a", [message(1), message(1, state="DONE")], position=b"line 2")
    engine.submit("mes-a", [b"{"])
    with engine.poll(sink, wait_s=1.0) as batch:
        (event,) = batch
        batch.refused(event, "M7/053", "period closed")
    engine.pause(sink, who="ann", why="stocktaking")
    before = {
        name: engine.stats()["sinks"][sink][name] for name in ("parked", "in_doubt", "queued", "paused")
    }
    kept = engine.stats()["sources"]["mes-a"]["rejects_kept"]
    engine.close()
    engine = open_engine()
    found = engine.stats()["sinks"][sink]
    assert {name: found[name] for name in before} == before
    assert before["parked"] >= 1
    assert engine.stats()["sources"]["mes-a"]["rejects_kept"] == kept == 1
    assert engine.position("mes-a") == b"line 2"
    assert engine.stats()["unaccounted"] == 0


CLIENT = """
    import sys
    import mfgroute
    from tests.engine.conftest import message
    engine = mfgroute.Engine(mfgroute.load_plan(sys.argv[1]), data_dir=sys.argv[2])
    start = int(sys.argv[3])
    print("ready", flush=True)
    for n in range(start, start + 100_000):
        engine.submit("mes-a", [message(n)])
        print(n, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(project, open_engine, tmp_path):
    """The ledger is what the client printed after each receipt."""
    acknowledged, rounds, start = [], 6, 0
    for turn in range(rounds):
        client = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CLIENT), str(project), str(tmp_path / "data"), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        for _ in range(5 + 17 * turn):
            client.stdout.readline()
        client.send_signal(signal.SIGKILL)
        rest = client.stdout.read().splitlines()
        client.wait()
        client.stdout.close()
        count = 5 + 17 * turn + sum(1 for line in rest if line.isdigit())
        acknowledged += range(start, start + count)
        start += 100_000
    engine = open_engine()
    sink = sink_of(engine)
    messages = [message(n) for n in acknowledged]
    receipt = engine.submit("mes-a", messages)
    assert (receipt.duplicates, receipt.accepted) == (len(messages), 0)
    delivered = drain(engine, sink)
    assert len(delivered) == len(set(delivered))
    # One more per kill may have been written and not acknowledged.
    assert len(messages) <= len(delivered) <= len(messages) + rounds


def test_a_start_keeps_the_size_of_segments_that_the_capacity_asks_for(open_engine, tmp_path):
    folder = tmp_path / "data" / "streams" / "business"
    for _ in range(3):
        engine = open_engine()
        engine.submit("mes-a", [message(1)])
        engine.close()
        sizes = {path.stat().st_size for path in folder.iterdir() if path.suffix in {".log", ".spare"}}
        assert sizes == {4 << 20}


def test_a_damaged_log_is_refused_with_its_place_and_nothing_is_deleted(open_engine, tmp_path):
    engine = open_engine()
    engine.submit("mes-a", [message(n) for n in range(20)])
    engine.close()
    (segment,) = (tmp_path / "data" / "streams" / "business").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[4096 + 100] ^= 1
    segment.write_bytes(content)
    with pytest.raises(errors.LogDamaged, match=r"log of business .*damaged at byte 4136: records 0 to 19"):
        open_engine()
    assert segment.read_bytes() == content
