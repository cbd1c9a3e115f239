"""Effects: what was posted, and what a person says of an event whose outcome is unknown."""

import json
import signal
from decimal import Decimal
from types import SimpleNamespace

from cli_projects import PROJECT, report, until, write_project  # isort: skip
import pytest
from sqlalchemy import update
from tests.effects.feed import Feed

import mfgroute as package
from mfgroute.cli import main
from mfgroute.effects import lines, questions
from mfgroute.effects.database import Database
from mfgroute.effects.tables import ABOUT

ORDER = "order/DE04/4711"


@pytest.fixture
def project(tmp_path):
    """The project of the other tests, with durable streams."""
    text = PROJECT.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 16MiB")
    return write_project(tmp_path / "project", text)


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Run a command in the project's folder, in this process; its code, output and errors."""
    monkeypatch.chdir(project)

    def of(*arguments):
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return code, *capsys.readouterr()

    return of


def read(run, *arguments):
    code, out, err = run(*arguments, "--output", "json")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("posted", [True, False])
def test_a_person_says_what_became_of_a_refused_event_and_the_others_go_on(run, start, target, posted):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1), report(2))
    parked = until(lambda: read(run, "parked", "list"), lambda found: len(found) == 2)
    first, second = sorted(parked, key=lambda one: one["number"])

    def resolve(event, *options):
        return run("effects", "resolve", event, "--sink", "sap", "--reason", "seen in CO14", *options)

    code, _, err = resolve(second["id"], "--not-posted")
    assert (code, f"waits at sap behind an earlier event of {ORDER}" in err) == (1, True), err
    code, _, err = resolve("0" * 8, "--not-posted")
    assert (code, "is neither in doubt nor parked at sap" in err) == (1, True), err
    assert resolve(first["id"])[0] == resolve(first["id"], "--posted", "1", "--not-posted")[0] == 2

    target.refusing = None
    way = ["--posted", "4900012345"] if posted else ["--not-posted"]
    code, out, err = resolve(first["id"], *way)
    assert (code, f"event {first['id']} of {ORDER}" in out) == (0, True), err
    if posted:
        # What waited behind it was not refused itself: it goes on, and is refused by itself if at all.
        until(lambda: list(target.taken), lambda taken: taken == ["A-2"])
        assert "posted by hand as 4900012345" in run("trace", ORDER)[1]
        code, _, err = resolve(first["id"], "--not-posted")
        assert (code, "it is skipped there as 4900012345" in err) == (1, True), err
    else:
        until(lambda: list(target.taken), lambda taken: taken == ["A-1", "A-2"])
    wanted = ("skipped", "4900012345") if posted else ("posted", "/documents/4900000001")
    until(
        lambda: {one["id"]: one for one in read(run, "effects", "list")["effects"]},
        lambda found: (found[first["id"]]["state"], found[first["id"]]["reference"]) == wanted,
    )
    (one,) = read(run, "effects", "show", first["id"])
    assert [change["state"] for change in one["history"]][:2] == ["intent", "refused"]
    assert ("posted by hand" in run("effects", "list")[1]) == posted
    node.logged("effect resolved")


def intend(batch, event):
    """Write a request down, as the runtime does."""
    document = json.loads(event.json)
    good = document["data"]["quantity"]["good"]
    about = {"object": event.key, "amounts": {"yield": good}, "sha256": "ab" * 32, "event": document}
    batch.intend([(event, f"key-{event.id}", b"body", json.dumps(about).encode())])


@pytest.fixture
def kept(project, monkeypatch):
    """A data folder whose sink `sap` is a poster: one event posted, one in doubt, one waiting behind it.

    Another one was posted so long ago that only the database knows it.
    """
    monkeypatch.chdir(project)
    folder = project / "data"
    folder.mkdir(mode=0o700)
    feed = Feed()
    feed.post("sap", "long-gone", reference="4800000007/2025", batch="L-77", amounts={"yield": "1"})
    database = Database(folder, node="core-1")
    database.take("sap", "another life", lines.read(feed.effects("sap", 0, 100)))
    database.close()

    engine = package.Engine(package.load_plan(project), data_dir=str(folder))
    messages = [json.dumps(report(number, order="4711")).encode() for number in range(1, 4)]
    engine.submit("mes", messages, ack="durable")
    with engine.poll("sap", wait_s=5.0) as batch:
        (posted,) = batch
        intend(batch, posted)
        batch.done(posted, reference="4900000001/2026")
    with engine.poll("sap", wait_s=5.0) as batch:
        (doubt,) = batch
        intend(batch, doubt)
        batch.in_doubt(doubt, "no answer within 30 s")
    engine.close()
    return SimpleNamespace(posted=posted.id, doubt=doubt.id)


def test_effects_are_listed_and_shown_without_a_node(run, kept):
    found = read(run, "effects", "list")
    assert [(one["id"], one["state"]) for one in found["effects"]] == [
        (kept.doubt, "in_doubt"), (kept.posted, "posted"), ("long-gone", "posted"),
    ]  # fmt: skip
    assert found["missing"] == {}
    code, out, err = run("effects", "list", "--state", "in_doubt", "--object", ORDER)
    assert (code, "sent, no answer" in out, "no answer within 30 s" in out, out.count("\n")) == (
        0,
        True,
        True,
        2,
    )
    assert "no node runs on" in err
    assert read(run, "effects", "list", "--sink", "wms")["effects"] == []
    assert read(run, "effects", "list", "--since", "2030-01-01T00:00:00Z")["effects"] == []
    assert len(read(run, "effects", "list", "--count", "1")["effects"]) == 1
    assert run("effects", "list", "--since", "yesterday")[0] == 2
    assert run("effects", "list", "--state", "lost")[0] == 2

    code, out, _ = run("effects", "show", kept.doubt)
    assert (code, "sap: sent, no answer at" in out, f"request key-{kept.doubt} to" in out) == (
        0,
        True,
        True,
    ), out
    assert f"next: mfgroute effects resolve {kept.doubt} --sink sap" in out
    (one,) = read(run, "effects", "show", kept.posted)
    assert [change["state"] for change in one["history"]] == ["intent", "posted"]
    assert one["event"]["subject"] == ORDER
    code, _, err = run("effects", "show", "never")
    assert (code, "has no effect" in err) == (1, True)


def test_a_person_resolves_what_is_in_doubt_without_a_node(run, kept):
    code, out, err = run(
        "effects", "resolve", kept.doubt, "--sink", "sap", "--posted", "4900000002", "--reason", "seen there"
    )
    assert (code, "counts as posted as 4900000002" in out) == (0, True), err
    assert "this is recorded, and done when one starts" in err
    (event,) = [one for one in read(run, "trace", ORDER)["events"] if one["id"] == kept.doubt]
    (sink,) = [one for one in event["sinks"] if one["sink"] == "sap"]
    assert (sink["state"], sink["posted_as"], sink["reason"]) == ("skipped", "4900000002", "seen there")


def test_a_trace_joins_what_the_log_and_the_database_know(run, kept):
    events = read(run, "trace", ORDER)["events"]
    states = [
        (event["id"], sink["state"], sink.get("effect", {}).get("state"))
        for event in events
        for sink in event["sinks"]
        if sink["sink"] == "sap"
    ]
    assert states[:3] == [
        ("long-gone", "forgotten", "posted"),
        (kept.posted, "delivered", "posted"),
        (kept.doubt, "in_doubt", "in_doubt"),
    ]
    assert [state for _, state, _ in states[3:]] == ["parked"]
    code, out, _ = run("trace", ORDER, "-v")
    assert code == 0
    assert "in the log no more  id long-gone" in out
    assert "sap: posted as 4800000007/2025 at" in out
    assert "sap: sent, no answer" in out
    assert "to order/DE04/4711: yield 5" in out


@pytest.mark.parametrize("query", ["L-77", "4800000007", "4800000007/2025", "R-long-gone", "long-gone"])
def test_a_trace_finds_what_the_log_has_forgotten(run, kept, query):
    assert [event["id"] for event in read(run, "trace", query)["events"]] == ["long-gone"]


def test_a_document_leads_to_its_event_also_if_the_log_has_only_its_outcome(run, kept):
    (event,) = read(run, "trace", "4900000001")["events"]
    assert event["id"] == kept.posted
    assert event["data"]["report"] == "A-1"


def test_without_its_database_a_trace_says_what_is_missing_and_a_list_ends_with_69(run, kept, project):
    (project / "data" / "effects.db").write_bytes(b"what is this? " * 100)
    code, out, err = run("trace", ORDER)
    assert (code, out.count(kept.doubt), "file is not a database" in err) == (0, 1, True)
    code, _, err = run("effects", "list")
    assert (code, "file is not a database" in err, "hint: see that the database runs" in err) == (
        69,
        True,
        True,
    )


def test_a_database_of_another_node_ends_with_78(run, kept, project):
    database = Database(project / "data", node="core-1")
    with database.reading() as connection:
        connection.execute(update(ABOUT).where(ABOUT.c.name == "node").values(value="core-2"))
    database.close()
    code, _, err = run("effects", "list")
    assert (code, "belongs to node `core-2`, and this is node `core-1`" in err) == (78, True), err


def test_what_the_commands_take_is_there_for_the_node(run, kept, project):
    run("effects", "list")
    database = Database(project / "data", node="core-1")
    with database.reading() as connection:
        assert questions.posted(connection, "sap", ORDER) == {"yield": Decimal(6)}
    database.close()


def test_a_backup_has_the_effects_and_a_restored_folder_goes_on_with_them(run, kept, project, monkeypatch):
    before = read(run, "effects", "list")["effects"]
    busy = Database(project / "data", node="core-1")
    with busy.reading() as connection:  # As a node that writes meanwhile: its transaction is not in the copy.
        connection.execute(update(ABOUT).where(ABOUT.c.name == "node").values(value="core-2"))
        code, out, err = run("backup", "saved", "--output", "json")
        connection.rollback()
    busy.close()
    assert (code, json.loads(out)["effects"]) == (0, "sqlite"), err
    names = {path.name for path in (project / "saved" / "data").iterdir()}
    assert names == {"effects.db", "node", "streams"}
    assert run("restore", "saved", "--data-dir", "again")[0] == 0
    monkeypatch.setenv("MFGROUTE_DATA_DIR", str(project / "again"))
    after = read(run, "effects", "list")
    assert (after["effects"], after["missing"]) == (before, {})
    lives = {(project / name / "effects.life").read_text() for name in ("data", "again")}
    assert len(lives) == 2


def test_a_backup_says_that_postgresql_is_not_in_it(run, kept, project):
    (project / "data" / "effects.life").write_text("0" * 32 + " postgresql\n")
    code, out, err = run("backup", "saved")
    assert (code, "effects are in a PostgreSQL database, which is not in this backup" in out) == (0, True), (
        err
    )
    assert not (project / "saved" / "data" / "effects.db").exists()


def test_a_damaged_database_makes_no_backup(run, kept, project):
    run("effects", "list")
    (project / "data" / "effects.db").write_bytes(b"what is this? " * 100)
    code, _, err = run("backup", "saved")
    assert (code, "the effects database cannot be copied" in err) == (75, True), err
    assert not (project / "saved" / "manifest.json").exists()


def test_a_node_that_is_killed_again_and_again_records_every_effect_once(run, start, target):
    posted, kills = 12, 3
    for life in range(kills):
        node = start(SAP_URL=target.url)
        node.post(*(report(life * posted + number, order=str(4000 + number)) for number in range(posted)))
        until(lambda: len(set(target.taken)), lambda count, least=life * posted + 2: count >= least)
        node.stop(signal.SIGKILL)
    start(SAP_URL=target.url)
    found = until(
        lambda: read(run, "effects", "list"),
        lambda answer: [one["state"] for one in answer["effects"]] == ["posted"] * posted * kills,
    )
    assert found["missing"] == {}
    assert len({one["id"] for one in found["effects"]}) == len(set(target.taken)) == posted * kills
    for one in read(run, "effects", "show", found["effects"][-1]["id"]):
        states = [change["state"] for change in one["history"]]
        assert (states[0], states[-1], states.count("posted")) == ("intent", "posted", 1)
