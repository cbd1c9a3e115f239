"""What `check` refuses: versions that no conversion leads to, circles, two ways, and what is no conversion."""

import pytest

from .version_project import MAKES_1, MAKES_2, NEXT, UP, V3, Versions, as_route


@pytest.fixture
def project(tmp_path):
    return Versions(tmp_path)


def test_a_version_that_cannot_be_reached_is_refused_with_the_way_out(project):
    project.files(m=MAKES_1).main(as_route("new", "plant.order/2", "erp"))
    assert project.refused() == [(
        "mfgroute.yaml", 12, 31,
        "the route new takes plant.order/2, but src makes plant.order/1 and no conversion leads from there",
        "write a mapping with from: {contract: plant.order/1} and to: plant.order/2, or take plant.order/1 as well",
    )]  # fmt: skip


def test_what_a_canonical_source_may_bring_and_no_way_leads_from_is_a_warning(project):
    project.main(as_route("new", "plant.order", "erp"), mappings="")
    [problem] = project.load().problems
    assert (problem["line"], problem["severity"]) == (12, "warning")
    assert problem["message"] == (
        "the route new takes plant.order/2; plant.order/1, which src may bring, does not reach it without a conversion"
    )


def test_two_routes_cannot_send_two_versions_of_an_event_to_one_sink(project):
    project.files(m=MAKES_1, up=UP).main(
        as_route("new", "plant.order/2", "erp"), as_route("all", ">", "[log, erp]")
    )
    [(file, line, _, message, hint)] = project.refused()
    assert (file, line) == ("mfgroute.yaml", 13)
    assert message == (
        "the routes new and all send plant.order/1 to the sink erp as plant.order/2 and as plant.order/1, "
        "expected one version"
    )
    assert hint == "take the same version in both routes, or send to another sink"


CIRCLE = """\
from: {contract: plant.order/3}
emit:
  - to: plant.order/1
    fields: {number: {path: order}, quantity: {path: total.value}, unit: {path: total.unit}}
"""


def test_a_circle_of_conversions_is_refused_at_the_last_of_them(project):
    project.files(m=MAKES_1, v3=V3, up=UP, next=NEXT, round=CIRCLE).main(
        as_route("r", "plant.order/3", "erp")
    )
    assert project.refused() == [(
        "mappings/up.yaml", 1, 18,
        "the conversions are circular: plant.order/1 → plant.order/2 → plant.order/3 → plant.order/1",
        "remove one of next, round, up",
    )]  # fmt: skip


def test_a_conversion_of_a_version_to_itself_is_circular(project):
    same = UP.replace("order/1", "order/2").replace("number", "order").replace("quantity", "amount.value")
    project.files(m=MAKES_2, same=same).main(as_route("r", "plant.order/2", "erp"))
    [(file, line, column, message, hint)] = project.refused()
    assert (file, line, column) == ("mappings/same.yaml", 1, 18)
    assert message == "the conversion is circular: it makes plant.order/2 of plant.order/2"
    assert hint == "emit another version of plant.order"


def test_two_ways_to_one_version_are_refused(project):
    direct = UP.replace("to: plant.order/2", "to: plant.order/3").replace("amount", "total")
    project.files(m=MAKES_1, v3=V3, up=UP, next=NEXT, direct=direct).main(
        as_route("r", "plant.order/3", "erp")
    )
    [(file, _, _, message, hint)] = project.refused()
    assert file == "mappings/up.yaml"
    assert message.startswith("the conversions go two ways to one version: plant.order/1 → ")
    assert hint == "remove one of direct, next, up"
    project.files(direct=UP)
    [(file, _, _, message, hint)] = project.refused()
    assert (file, message) == (
        "mappings/up.yaml",
        "two conversions do the same: plant.order/1 → plant.order/2",
    )
    assert hint == "remove one of direct, up"


WRONG = [
    (UP.replace("plant.order/1}", "plant.order/7}"), 1, "there is no contract plant.order/7"),
    (UP.replace("/1}", "/1, decode: json}"), 1, "decode has no meaning in the `from` of a conversion"),
    (UP + "when: {path: unit, equals: kg}\n", 8, "a conversion has when, expected none: it converts every event of its contract"),
    (UP + "time: {path: at}\n", 8, "a conversion has time, expected none: the event keeps its time"),
    (UP.replace("    fields:", "    each: list\n    fields:"), 4, "a conversion has each, expected none: one event becomes one event"),
    (UP + UP[UP.index("  - to") :], 8, "a conversion has several entries in emit, expected one"),
    (UP.replace("to: plant.order/2", "to: thing/1"), 3, "a conversion of plant.order/1 makes thing/1, expected the same type"),
    (UP.replace("{path: number}", "{meta: source.name}"), 5, "a conversion has no meta, expected values of data"),
    (UP.replace("{path: number}", "{cel: 'meta.source.name'}"), 5, "meta does not exist here"),
    (UP.replace("{path: number}", "{cel: 'source'}"), 5, "source does not exist here"),
    (UP.replace("      order: {path: number}\n", ""), 3, "the contract plant.order/2 requires order, which no field makes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_what_is_no_conversion_is_refused_at_its_place(project, text, line, said):
    project.files(m=MAKES_1, up=text).main(as_route("r", "plant.order/2", "erp"))
    found = [(at, message) for file, at, _, message, _ in project.refused() if file == "mappings/up.yaml"]
    assert any(at == line and said in message for at, message in found), found
    # That the version cannot be reached without it is no further problem.
    assert not any(file == "mfgroute.yaml" for file, *_ in project.refused())


def test_a_source_cannot_use_a_conversion(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"), mappings="m, up")
    [(file, line, _, message, hint)] = project.refused()
    assert (file, line) == ("mfgroute.yaml", 6)
    assert message == "the mapping up is a conversion, expected one that reads messages"
    assert hint == "remove it; routes find conversions by themselves"


def test_examples_of_a_conversion_are_run(project):
    good = (
        UP
        + 'examples:\n  - {name: kg, given: {number: "1", quantity: "2", unit: kg}, expect: [{data: {order: "1", amount: {value: "VALUE", unit: KGM}}}]}\n  - {name: lb, given: {number: "1", quantity: "2", unit: lb}, reject: {code: code_unknown, pointer: /unit}}\n'
    )
    project.files(m=MAKES_1, up=good.replace("VALUE", "2")).main(as_route("r", "plant.order/2", "erp"))
    assert project.load().summary["examples"] == 2
    project.files(up=good.replace("VALUE", "3"))
    assert "kg" in str(project.refused())
