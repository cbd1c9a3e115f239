"""The demo as a process: its contract, and that it notices what goes wrong."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from mfgroute.testing.demo.balance import _late, _wrong_amounts, _wrong_refusals
from mfgroute.testing.story import story
from mfgroute.testing.story.postings import amounts

ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
SOURCES = ("received", "accepted", "rejected", "duplicates", "filtered", "dropped")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def demo(tmp_path):
    running = []

    async def of(*arguments, **environ):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mfgroute",
            "demo",
            "--output",
            "json",
            "--dir",
            str(tmp_path / "demo"),
            *arguments,
            env=ENVIRON | environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(process)
        return process

    yield of
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def document(out):
    return json.loads(out.splitlines()[-1])


async def codes_of_commands(report):
    """Exit codes of the commands that the demo prints, run in a shell as they are."""
    codes = []
    lines = [line.strip() for line in report.splitlines() if line.startswith("  mfgroute ")]
    for line in lines:
        command = re.sub("^mfgroute", f"{sys.executable} -m mfgroute", line)
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_shell(command, env=ENVIRON, stdout=quiet, stderr=quiet)
        codes.append(await process.wait())
    return codes


def processes_of(folder):
    """Processes whose command line names the folder; those of the demo do, or write into it."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if Path(entry.path, "fd/2").readlink().is_relative_to(folder):
                    found.append(entry.name)
    return found


async def test_the_story_ends_with_every_effect_once_and_nothing_unaccounted(demo, tmp_path):
    process = await demo("--once")
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told = document(out)
    assert told["differences"] == []
    assert {name: told[name] for name in SOURCES} == {
        "received": 79,
        "accepted": 53,
        "rejected": 4,
        "duplicates": 15,
        "filtered": 7,
        "dropped": 0,
    }
    assert told["received"] == sum(told[name] for name in SOURCES[1:])
    assert told["matched"] == told["delivered"]
    waiting = ("queued", "in_flight", "parked", "in_doubt", "skipped", "dropped_at_sinks", "unaccounted")
    assert {name: told[name] for name in waiting} == dict.fromkeys(waiting, 0)
    assert told["delivered"] == sum(sum(kinds.values()) for kinds in told["effects"].values()) == 49
    assert (told["link"]["matched"], told["link"]["accepted"], told["link"]["unaccounted"]) == (32, 32, 0)
    kept = json.loads((tmp_path / "demo" / "ledgers.json").read_text())["erp"]
    # Every fault was met, and all that a person had to do was to open a period.
    assert kept["misbehaved"] == {"cut": 2, "error": 2, "expired": 1, "refuse": 2, "slow": 1, "too_many": 2}
    assert sorted(one["code"] for one in kept["refusals"]) == ["CO/469", "CO/469", "M7/053"]
    # What was cut after it was posted came twice more under its key, and got the first answer.
    assert (sum(kept["repeats"].values()), kept["posted_twice"], kept["keys_reused"]) == (2, 0, [])
    # What the ERP moves by itself was posted by nobody else, and what it does not was posted once.
    assert {one for one in amounts(kept)["order/DE04/1004733"] if one.startswith("movement/")} == {
        "movement/261/200-004/backflush",
        "movement/261/RM-555/document",
        "movement/101/100-210/document",
    }
    effects = told["effects"]
    assert set(effects) == {"erp", "wms", "qms", "mes", "cmms", "portal"}
    assert effects["erp"]["lot_restricted"] == effects["wms"]["shipment_blocked"] == 2
    assert effects["erp"]["lot_released"] == effects["wms"]["shipment_unblocked"] == 2
    assert effects["qms"] == {"inspection": 1, "nonconformance": 1}
    assert effects["cmms"] == {"work_order": 2}
    report = errors.decode()
    for reason in (
        "bad_xml",
        "bad_number",
        "1,234.50",
        "/qty/uom",
        "PRESS-99",
        "a row of table work-centers",
    ):
        assert reason in report
    assert await codes_of_commands(report) == [0, 0, 65, 0, 0]  # The third shows the wrong XML file.
    assert processes_of(tmp_path / "demo") == []


async def test_an_outage_of_the_line_and_the_core_loses_doubles_and_reorders_nothing(demo, tmp_path):
    process = await demo("--outage", "--once")
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told = document(out)
    assert [told[name] for name in ("lost", "double", "out_of_order")] == [0, 0, 0]
    assert (told["accepted"], told["delivered"], told["unaccounted"], told["differences"]) == (53, 49, 0, [])
    report = errors.decode()
    for line in (
        "the line between edge and core is cut",
        "the core is killed",
        "the core is back",
        "after the outage: 0 lost, 0 double, 0 out of order",
    ):
        assert line in report
    assert int(re.search(r"(\d+) events waited", report)[1]) > 10
    # The balance would have said so, had it been otherwise.
    kept = json.loads((tmp_path / "demo" / "ledgers.json").read_text())
    assert list(_late(story(), kept)) == []
    assert list(_wrong_amounts(story(), kept["erp"])) == []
    done = kept["erp"]["effects"]
    done.sort(key=lambda effect: not effect["detail"].startswith("A-1010"))
    assert any(
        "A-1002" in said and said.endswith("happened after a later one") for said in _late(story(), kept)
    )
    assert processes_of(tmp_path / "demo") == []


async def test_the_story_fails_when_a_system_forgets(demo):
    process = await demo("--once", MFGROUTE_DEMO_FAULT="wms:forgets")
    out, _ = await process.communicate()
    told = document(out)
    assert process.returncode == 1
    assert told["unaccounted"] == 0
    [difference] = told["differences"]
    assert difference.startswith("wms ")
    assert difference.endswith(" is missing")


@pytest.mark.parametrize(
    ("fault", "said", "amount"),
    [
        ("erp:posts-twice", "happened again", 320),
        ("erp:forgets", "is missing", 120),
    ],
)
async def test_the_story_fails_to_the_piece_when_the_erp_does_not_do_everything_once(
    demo, fault, said, amount
):
    process = await demo("--once", MFGROUTE_DEMO_FAULT=fault)
    out, _ = await process.communicate()
    told = document(out)
    assert process.returncode == 1
    counted = [told[name] for name in ("unaccounted", "out_of_order", "lost", "double")]
    assert counted == [0, 0, int(amount < 220), int(amount > 220)]
    [first] = [one for one in told["differences"] if said in one]
    assert first == f"erp confirmation order/DE04/1004733 (A-1002, 0010, 100 PC, 2 scrap) {said}"
    assert f"erp order/DE04/1004733: operation/0010/yield is {amount}, expected 220" in told["differences"]


def test_a_refusal_too_many_and_one_too_few_are_differences():
    known = {"code": "M7/053", "key": "a", "message": "closed"}
    assert list(_wrong_refusals("erp", {"M7/053": 1}, [known])) == []
    assert list(_wrong_refusals("erp", {"M7/053": 1}, [known, known])) == ["erp refused a: closed"]
    assert list(_wrong_refusals("erp", {"M7/053": 2}, [known])) == ["erp refused nothing as M7/053"]


async def test_without_once_the_nodes_go_on_and_answer_the_commands_until_ctrl_c(demo, tmp_path):
    process = await demo(MFGROUTE_DEMO_PACE_S="0")
    report = b""
    while b"The nodes go on running" not in report:
        line = await process.stderr.readline()
        assert line, report.decode()
        report += line
    assert await codes_of_commands(report.decode()) == [0] * 7
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert document(out)["differences"] == []
    assert processes_of(tmp_path / "demo") == []


async def test_ctrl_c_ends_all_processes(demo, tmp_path):
    process = await demo()
    while b"the core is ready" not in await process.stderr.readline():
        pass
    assert len(processes_of(tmp_path / "demo")) == 4
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert processes_of(tmp_path / "demo") == []


async def test_a_process_that_dies_ends_the_demo_and_is_named(demo, tmp_path):
    process = await demo()
    while b"the edge is ready" not in (line := await process.stderr.readline()):
        assert line
    os.kill(int(line.rsplit(b"pid", 1)[1]), signal.SIGKILL)
    _, errors = await process.communicate()
    assert process.returncode == 70
    assert b"error: edge ended with exit code -9" in errors
    assert processes_of(tmp_path / "demo") == []


async def test_processes_end_when_the_demo_is_killed(demo, tmp_path):
    process = await demo()
    while b"the edge is ready" not in await process.stderr.readline():
        pass
    process.kill()
    await process.communicate()
    async with asyncio.timeout(20):
        while processes_of(tmp_path / "demo"):  # noqa: ASYNC110 - they are not ours to wait for
            await asyncio.sleep(0.1)


async def test_a_folder_with_other_files_is_left_alone(demo, tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    process = await demo("--once")
    _, errors = await process.communicate()
    assert process.returncode == 73
    assert errors.startswith(b"error: ")
    assert b"holds other files" in errors
    assert [file.name for file in folder.iterdir()] == ["letter.txt"]
