"""`effects.url`: where the database is, and what is said of one that cannot be used."""

import json

import pytest
from sqlalchemy import update

from mfgroute.config.load import read_project
from mfgroute.effects.database import Database
from mfgroute.effects.tables import ABOUT, VERSION
from mfgroute.errors import ConfigError, SchemaNewer
from tests.effects.test_node import PROJECT, Ledger, done, node, settled
from tests.effects.test_node import folder as folder  # noqa: PLC0414 - fixtures of that file
from tests.effects.test_node import registry as registry  # noqa: PLC0414
from tests.effects.test_node import run as run  # noqa: PLC0414

CANARY = "canary-4711"


def write(folder, line):
    (folder / "mfgroute.yaml").write_text(PROJECT.replace("streams:", f"{line}\nstreams:", 1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'effects: {url: "mysql://u:canary-4711@host/name"}',
            "5:16: `effects.url` does not begin with `postgresql://`",
        ),
        ("effects: {url: 7}", "5:16: `effects.url` is a value that is not shown, expected a text"),
        ("effects: {urls: x}", "5:11: unknown key `urls` in `effects`"),
        ("effects: sqlite", "5:10: `effects` is `sqlite`, expected a map"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_its_place(folder, registry, line, said):
    write(folder, line)
    with pytest.raises(ConfigError) as found:
        read_project(folder, registry, environ={})
    assert said in str(found.value)
    assert CANARY not in str(found.value)


def test_a_url_with_its_password_is_not_shown(folder, registry):
    write(folder, "effects: {url: 'postgresql://u:canary-4711@host/name'}")
    project = read_project(folder, registry, environ={})
    assert CANARY not in json.dumps(project.redacted())
    assert any(CANARY in secret for secret in project.secrets)
    assert CANARY not in repr(project.model.effects)


async def test_a_node_records_in_postgresql_and_a_reload_cannot_move_it(folder, registry, run, postgres):
    write(folder, f"effects: {{url: '{postgres.database()}'}}")
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1)])
        await settled(router)
        ended = await run("effects", "list", "--sink", "sap")
        assert (ended.code, "49-R-1" in ended.out) == (0, True), ended.err
        write(folder, "effects: {}")
        with pytest.raises(ConfigError, match="`effects` cannot change while the node runs"):
            await router.reload()
        write(folder, f"effects: {{url: '{postgres.database()}'}}")
    assert not (folder / "data" / "effects.db").exists()
    assert (folder / "data" / "effects.life").read_text().endswith(" postgresql\n")
    # A new, empty database gets what the log still has.
    async with node(folder, registry) as router:
        await router.submit("mes", [done(2)])
        await settled(router)
        ended = await run("effects", "list")
        assert (ended.code, "49-R-1" in ended.out, "49-R-2" in ended.out) == (0, True, True), ended.err
        assert router.health().notes == []
    assert Ledger.target.held["order/DE04/4711"]["operation/0010/yield/H87"].amount == 20


async def test_a_database_of_a_later_version_ends_the_start(folder, registry, run):
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1)])
        await settled(router)
    database = Database(folder / "data", node="core-1")
    with database.reading() as connection:
        connection.execute(update(ABOUT).where(ABOUT.c.name == "version").values(value=str(VERSION + 1)))
    database.close()
    with pytest.raises(SchemaNewer, match=f"tables of version {VERSION + 1}, expected at most {VERSION}"):
        async with node(folder, registry):
            pytest.fail("it started")
    ended = await run("effects", "list")
    assert (ended.code, f"tables of version {VERSION + 1}" in ended.err) == (78, True)


async def test_a_node_whose_database_is_down_sends_nothing_new_and_goes_on_when_it_is_there(
    folder, registry, run, postgres
):
    write(folder, f"effects: {{url: '{postgres.database()}'}}")
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1)])
        await settled(router)
        postgres.crash()
        try:
            await router.submit("mes", [done(2)])
            ended = await run("effects", "list")
            assert (ended.code, "cannot be used" in ended.err) == (69, True)
            assert "what the log has forgotten is not shown" in (await run("trace", "order/DE04/4711")).err
            assert router.queued()["sap"] == 1
        finally:
            postgres.start()
        await settled(router)
    assert Ledger.target.held["order/DE04/4711"]["operation/0010/yield/H87"].amount == 20
