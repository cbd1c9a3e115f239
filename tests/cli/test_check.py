"""`mfgroute check` and the calendar."""

import pytest

from mfgroute.config.packs import SHIPPED
from mfgroute.project import load_project

NAME = "production.operation.completed.v1.yaml"


@pytest.mark.parametrize(("sunset", "code", "told"), [
    ("2020-01-01", 78, "production.operation.completed/1 ended on 2020-01-01, its events are rejected"),
    ("9999-12-31", 0, "production.operation.completed/1 is deprecated, its events are rejected from 9999-12-31 on"),
])  # fmt: skip
def test_a_mapping_whose_contract_has_ended_is_refused_and_a_node_would_start(
    mfgroute, project, sunset, code, told
):
    going = f"{{status: deprecated, sunset: {sunset}, successor: production.operation.completed/2}}"
    text = (SHIPPED / "canonical" / "contracts" / NAME).read_text(encoding="utf-8")
    (project / "contracts").mkdir(exist_ok=True)
    (project / "contracts" / NAME).write_text(text.replace("{status: active}", going), encoding="utf-8")
    found = mfgroute("check")
    assert (found.code, told in found.err) == (code, True), found.err
    assert "emit its successor production.operation.completed/2" in found.err
    warnings = [problem.message for problem in load_project(project).warnings]
    assert any(message.endswith(f"its events are rejected from {sunset} on") for message in warnings)


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_a_capacity_without_room_for_one_message_is_refused_with_its_place(mfgroute, project, durability):
    file = project / "mfgroute.yaml"
    written = f"durability: {durability}, capacity: 512KiB"
    file.write_text(file.read_text().replace("durability: memory, capacity: 16MiB", written))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if written in text)
    column = file.read_text().splitlines()[line - 1].index("512KiB") + 1
    ended = mfgroute("check")
    assert ended.code == 78
    found = f"mfgroute.yaml:{line}:{column}: stream business has a capacity of 524288 bytes, expected at least the 1048576"
    assert found in ended.err
    assert "hint: write for example capacity: 64MiB" in ended.err


def test_a_durable_stream_whose_segments_are_smaller_than_a_message_is_warned_about(mfgroute, project):
    file = project / "mfgroute.yaml"
    text = file.read_text()
    file.write_text(text.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 4MiB"))
    [problem] = mfgroute("check", "--output", "json").json["problems"]
    assert problem["severity"] == "warning"
    assert "stream business refuses events of more than 257964 bytes for good" in problem["message"]
    file.write_text(text.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 32MiB"))
    assert mfgroute("check", "--output", "json").json["problems"] == []


def test_capacities_beyond_the_disk_are_warned_about_where_the_data_folder_is(mfgroute, project):
    file = project / "mfgroute.yaml"
    text = file.read_text().replace(
        "durability: memory, capacity: 16MiB", "durability: fsync, capacity: 900TiB"
    )
    file.write_text(text)
    assert mfgroute("check", "--output", "json").json["problems"] == []
    (project / "data").mkdir()
    [problem] = mfgroute("check", "--output", "json").json["problems"]
    assert (problem["severity"], text.splitlines()[problem["line"] - 1]) == ("warning", "streams:")
    assert "the disk of the data folder has room for" in problem["message"]
    assert mfgroute("check", "--strict").code == 1
