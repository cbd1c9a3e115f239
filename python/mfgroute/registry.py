"""Adapters by name, through entry points; an adapter is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from mfgroute.adapter import Config, Sink, Source
from mfgroute.errors import AdapterError, UnknownName

SOURCES = "mfgroute.sources"
SINKS = "mfgroute.sinks"


class Registry:
    """The adapters that are installed, and those given here, which come first.

    Args:
        sources: source classes by name, such as fakes in a test or adapters of an embedding program.
        sinks: sink classes by name.
    """

    def __init__(
        self, sources: Mapping[str, type[Source]] | None = None, sinks: Mapping[str, type[Sink]] | None = None
    ) -> None:
        self._given: dict[str, dict[str, type]] = {SOURCES: dict(sources or {}), SINKS: dict(sinks or {})}
        self._installed: dict[str, dict[str, EntryPoint]] = {}

    def source(self, name: str) -> type[Source]:
        """The source adapter `name`.

        Raises:
            UnknownName: there is none; the message lists those that are known.
            AdapterError: it cannot be imported or is no source.
        """
        return cast("type[Source]", self._get(SOURCES, name, Source))

    def sink(self, name: str) -> type[Sink]:
        """The sink adapter `name`; raises as `source`."""
        return cast("type[Sink]", self._get(SINKS, name, Sink))

    def source_names(self) -> list[str]:
        """Sorted names of source adapters; nothing is imported."""
        return self._names(SOURCES)

    def sink_names(self) -> list[str]:
        """Sorted names of sink adapters; nothing is imported."""
        return self._names(SINKS)

    def configs(self) -> tuple[dict[str, type[Config]], dict[str, type[Config]]]:
        """Configurations of all source and sink adapters that can be imported, for the schema."""
        found: list[dict[str, type[Config]]] = []
        for group, kind in ((SOURCES, Source), (SINKS, Sink)):
            made: dict[str, type[Config]] = {}
            for name in self._names(group):
                with suppress(AdapterError):
                    made[name] = self._get(group, name, kind).Config
            found.append(made)
        return found[0], found[1]

    def _names(self, group: str) -> list[str]:
        return sorted({*self._given[group], *self._entry_points(group)})

    def _entry_points(self, group: str) -> dict[str, EntryPoint]:
        if group not in self._installed:
            self._installed[group] = {one.name: one for one in entry_points(group=group)}
        return self._installed[group]

    def _get(self, group: str, name: str, kind: type) -> Any:
        found = self._given[group].get(name)
        if found is not None:
            return found
        point = self._entry_points(group).get(name)
        what = kind.__name__.lower()
        if point is None:
            known = self._names(group)
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known) or 'none'}"
            raise UnknownName(f"no {what} adapter is called `{name}`\n{hint}")
        try:
            made = point.load()
        except Exception as error:
            raise AdapterError(f"{what} adapter `{name}` cannot be imported: {error}") from error
        if not (isinstance(made, type) and issubclass(made, kind)):
            raise AdapterError(f"{what} adapter `{name}` is {point.value}, which is no {what}")
        self._given[group][name] = made
        return made
