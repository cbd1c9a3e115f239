"""Helpers for tests of projects and adapters.

``check_schema``, ``run_mapping``  schemas and mappings, by exactly the code that runs in a node
``conformance``  the suite every adapter passes, ours and others'
``fakes``        a source and a sink in memory, and a TCP proxy that misbehaves
``simulators``   business systems of a plant as small web servers
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfgroute.testing.mapping import Filtered, check_schema, run_mapping

__all__ = ["Filtered", "check_schema", "run_mapping"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mfgroute.testing.mapping"), name)
