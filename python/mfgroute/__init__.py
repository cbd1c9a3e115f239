"""mfgroute carries validated business events from the shop floor to the systems that must react.

    plan = mfgroute.load_plan("project/")
    engine = mfgroute.Engine(plan, data_dir="data")

Parts in reading order: `errors`, `events` and `adapter` are the contract with adapters; `config` reads a
project and `registry` finds its adapters; `runtime` moves messages; `observe` shows how it goes; `api` is
HTTP and the control socket; `cli` is the command.

Names are imported when they are first used, so that a command that needs few of them starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfgroute._core import Engine, Plan
    from mfgroute.adapter import (
        Books,
        Config,
        Context,
        Effect,
        Poster,
        Request,
        Secret,
        Sink,
        Source,
    )
    from mfgroute.api.node import Router
    from mfgroute.errors import (
        AdapterError,
        Closed,
        ConfigError,
        Disconnected,
        Full,
        MfgrouteError,
        UnknownName,
    )
    from mfgroute.events import (
        Absent,
        Accepted,
        Done,
        Event,
        InDoubt,
        Intake,
        NotYet,
        Outcome,
        Receipt,
        Refused,
        Reject,
        Retry,
    )
    from mfgroute.project import load_plan

__all__ = [
    "Absent",
    "Accepted",
    "AdapterError",
    "Books",
    "Closed",
    "Config",
    "ConfigError",
    "Context",
    "Disconnected",
    "Done",
    "Effect",
    "Engine",
    "Event",
    "Full",
    "InDoubt",
    "Intake",
    "MfgrouteError",
    "NotYet",
    "Outcome",
    "Plan",
    "Poster",
    "Receipt",
    "Refused",
    "Reject",
    "Request",
    "Retry",
    "Router",
    "Secret",
    "Sink",
    "Source",
    "UnknownName",
    "load_plan",
]

_HOMES = {
    "mfgroute._core": ("Engine", "Plan"),
    "mfgroute.adapter": (
        "Books", "Config", "Context", "Effect", "Poster", "Request", "Secret", "Sink", "Source",
    ),
    "mfgroute.api.node": ("Router",),
    "mfgroute.errors": (
        "AdapterError", "Closed", "ConfigError", "Disconnected", "Full", "MfgrouteError", "UnknownName",
    ),
    "mfgroute.events": (
        "Absent", "Accepted", "Done", "Event", "InDoubt", "Intake", "NotYet", "Outcome", "Receipt", "Refused",
        "Reject", "Retry",
    ),
    "mfgroute.project": ("load_plan",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        if name == "__version__":
            return import_module("mfgroute._core").__version__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
