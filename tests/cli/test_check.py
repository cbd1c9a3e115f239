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
