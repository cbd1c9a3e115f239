"""The URL of a database of effects on a server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from mfgroute.errors import DatabaseUnfit


def postgresql(url: str, **options: Any) -> Engine:
    """An engine for a PostgreSQL database; it connects with the first question.

    Args:
        url: ``postgresql://user:password@host/name``. It is in no message: it holds the password.
        options: further arguments of `sqlalchemy.create_engine`.

    Raises:
        DatabaseUnfit: it is no such URL, or the driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
            raise DatabaseUnfit(
                f"the URL of the effects database begins with `{parsed.drivername}:`, expected `postgresql:`"
            )
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **options)
    except ArgumentError:
        raise DatabaseUnfit(
            "the URL of the effects database cannot be read, expected postgresql://user:password@host/name"
        ) from None
    except (NoSuchModuleError, ModuleNotFoundError):
        raise DatabaseUnfit(
            "the driver for PostgreSQL is not installed\ninstall it with `pip install 'mfgroute[postgresql]'`"
        ) from None
