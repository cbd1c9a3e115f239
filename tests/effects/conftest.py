"""Databases of both kinds."""

from __future__ import annotations

import pytest

from mfgroute.effects.database import Database

from .feed import Feed
from .postgres import Server, why_not


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; skipped where there can be none."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """The URL of an empty database, or nothing for SQLite in the data folder."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").database()


@pytest.fixture
def open_database(url, tmp_path):
    """Opens the database, also once more; closes what is open."""
    opened = []

    def make(node="core-1"):
        database = Database(tmp_path, url=url, node=node)
        opened.append(database)
        database.open()
        return database

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def feed():
    """An engine's lines."""
    return Feed()
