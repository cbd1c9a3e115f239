"""``mfgroute bench``: what it prints adds up, it leaves nothing behind, and a disk that cannot take it is refused."""

import json
import shutil
import threading

import pytest

from mfgroute import errors
from mfgroute.cli import main
from mfgroute.testing import load
from mfgroute.testing.load.disk import SIZES
from mfgroute.testing.load.quantile import quantile


@pytest.fixture
def bench(tmp_path, capsys):
    """Run the command on a new folder."""

    def run(*options):
        capsys.readouterr()
        code = main(["bench", "--data-dir", str(tmp_path), "--events", "1000", "--rate", "5000", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_every_event_is_read_once_at_both_levels_and_the_disk_stands_beside_it(bench, tmp_path):
    code, out, err = bench("--output", "json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [one["bytes"] for one in found["disk"]] == list(SIZES)
    assert all(0 < one["p50_us"] <= one["p99_us"] for one in found["disk"])
    kinds = [(run["level"], run["rate"]) for run in found["runs"]]
    assert kinds == [("memory", None), ("memory", 5000), ("durable", None), ("durable", 5000)]
    for run in found["runs"]:
        assert run["events"] == run["read"] == 1000
        for latency in filter(None, (run["ack"], run["poll"])):
            assert 0 < latency["p50_us"] <= latency["p99_us"] <= latency["p99_9_us"] <= latency["max_us"]
        assert (run["poll"] is None) == (run["rate"] is None)
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_a_line_for_each_size_and_each_run(bench):
    code, out, err = bench("--senders", "1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("memory", "durable"))] == [
        "memory", "memory", "durable", "durable",
    ]  # fmt: skip
    assert sum(line.split()[1] in {"B", "KiB", "MiB"} for line in lines if len(line.split()) == 4) == len(
        SIZES
    )


def test_a_folder_that_is_missing_is_not_made(bench, tmp_path):
    code, _, err = bench("--data-dir", str(tmp_path / "none"))
    assert (code, err.splitlines()[0]) == (73, f"error: there is no folder `{tmp_path / 'none'}`")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_anything_is_written(bench, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    code, _, err = bench()
    assert (code, err.splitlines()[0]) == (
        74, f"error: the disk of `{tmp_path}` has 100 MiB free, expected 512 MiB"
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_refuses_ends_the_load_with_its_error(tmp_path):
    before = threading.active_count()
    with load.opened(tmp_path, "memory", 1000) as engine:
        engine.drain()
        with pytest.raises(errors.Closed):
            load.as_fast_as_possible(engine, 1000, 2)
    assert threading.active_count() == before


def test_messages_are_new_valid_and_of_several_orders(tmp_path):
    lines = load.messages(100)
    assert len(set(lines)) == 100
    assert len(set(lines) & set(load.messages(100, start=100))) == 0
    with load.opened(tmp_path, "memory", 1000) as engine:
        receipt = engine.submit_lines("mes", b"".join(lines))
        assert (receipt.accepted, receipt.rejected) == (100, 0)
        with engine.poll("reader") as batch:
            assert (len(batch), len({event.key for event in batch})) == (100, 5)
            batch.done_all()


def test_quantiles_are_values_that_were_measured():
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50.0, 99.0, 100.0, 100.0]
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
