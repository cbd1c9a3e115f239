"""Projects with the adapters that are installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfgroute.config.load import Adapters, Project, read_project
from mfgroute.config.schema import schema as config_schema
from mfgroute.registry import Registry

if TYPE_CHECKING:
    from mfgroute._core import Plan

__all__ = ["Project", "load_plan", "load_project", "schema"]


def load_project(
    path: str | Path,
    *,
    adapters: Adapters | None = None,
    environ: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Project:
    """Read, check and compile a project.

    Args:
        path: the project folder or its ``mfgroute.yaml``.
        adapters: where adapters come from; the installed ones if not given.
        environ: values for ``${VAR}``; the process environment if not given.
        today: the day (UTC) on which the project is to be right: a mapping to a contract that is past its
            sunset is an error then. Without it that is a warning, so that a node starts on any day; it
            rejects such events.

    Raises:
        ConfigError: with every problem, each with file, line and column.
    """
    values = os.environ if environ is None else environ
    return read_project(path, adapters or Registry(), environ=values, today=today)


def load_plan(path: str | Path) -> Plan:
    """Read, check and compile a project; only its plan, for an `Engine` of your own.

    Raises:
        ConfigError: with every problem, each with file, line and column.
    """
    plan: Plan = load_project(path).plan
    return plan


def schema() -> dict[str, Any]:
    """JSON Schema of ``mfgroute.yaml`` with the configurations of all installed adapters."""
    sources, sinks = Registry().configs()
    return config_schema(sources, sinks)
