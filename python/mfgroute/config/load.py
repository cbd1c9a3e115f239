"""From ``mfgroute.yaml`` to a checked project, with every problem at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mfgroute import _core
from mfgroute.adapter import Config, Inbox, Secret
from mfgroute.adapter import Sink as SinkAdapter
from mfgroute.adapter import Source as SourceAdapter
from mfgroute.config import calendar, checks, documents, lock, own, owners, packs
from mfgroute.config.convert import Notes, close, convert, convert_struct, dotted, escape
from mfgroute.config.model import (
    Effects,
    Http,
    Model,
    Node,
    Route,
    Section,
    Sink,
    SinkSection,
    Source,
    SourceSection,
    Stream,
)
from mfgroute.config.substitute import Substitution, replaceable
from mfgroute.errors import ConfigError, MfgrouteError, Problem

API_VERSION = "mfgroute/v1"
_FILE_BYTES_MAX = 1 << 20
_KEYS = (
    "apiVersion", "packs", "owner", "owners", "node", "http", "effects",
    "streams", "sources", "sinks", "routes",
)  # fmt: skip
_MASK = "********"


class Adapters(Protocol):
    """Where adapters come from; `mfgroute.registry.Registry` is one."""

    def source(self, name: str) -> type[SourceAdapter]:
        """The source adapter `name`; raises `UnknownName` or `AdapterError`."""

    def sink(self, name: str) -> type[SinkAdapter]:
        """The sink adapter `name`; raises `UnknownName` or `AdapterError`."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project that can be installed.

    Attributes:
        root: the project folder.
        file: its ``mfgroute.yaml``.
        model: the file, checked.
        plan: contracts, mappings, lookups and routes, compiled.
        raw: the file after substitution. Holds secrets: show `redacted` instead.
        hidden: pointers of values in `raw` that are never shown.
        secrets: texts that came from a replacement; logs mask them.
        warnings: what works, but probably not as meant.
        packs: the packs that it uses.
        abouts: what the project (`None`) and each pack say of owners.
    """

    root: Path
    file: Path
    model: Model
    plan: Any
    raw: dict[str, Any]
    hidden: frozenset[str]
    secrets: frozenset[str]
    warnings: list[Problem]
    packs: list[packs.Pack] = []
    abouts: dict[str | None, owners.About] = {}

    @property
    def data_dir(self) -> Path:
        """Folder of the node's own files; ``node.data_dir`` starts at the project folder."""
        return self.root / self.model.node.data_dir

    def redacted(self) -> Any:
        """`raw` with stars for secret fields and for values that came from a replacement."""
        return _redacted(self.raw, "", self.hidden)


def find_project(path: str | Path) -> Path:
    """The ``mfgroute.yaml`` at `path`, a folder or the file itself.

    Raises:
        ConfigError: there is none.
    """
    given = Path(path)
    file = given / packs.FILE_NAME if given.is_dir() else given
    if file.is_file():
        return file
    hint = "name a project folder with -c, or make one with `mfgroute init`"
    raise _error(str(file), f"no project at `{given}`", hint)


def read_project(
    path: str | Path, adapters: Adapters, *, environ: Mapping[str, str], today: date | None = None
) -> Project:
    """Read, check and compile the project at `path`.

    Args:
        path: the project folder or its ``mfgroute.yaml``.
        adapters: where adapters come from.
        environ: values for ``${VAR}``.
        today: the day (UTC) on which the project is to be right: a mapping to a contract that is past its
            sunset is an error then, else a warning.

    Raises:
        ConfigError: with every problem of every file.
    """
    file = find_project(path)
    root = file.parent
    values = Substitution(environ, root)
    found: list[Problem] = []
    try:
        document, places, replaced = _core.parse_yaml(_content(file), file.name, values)
    except ConfigError as error:
        found = _problems(error.problems)
        if error.partial is None:
            raise ConfigError(_masked(found, values)) from None
        document, places, replaced = error.partial
    notes = Notes(file.name, places, frozenset(replaced))
    reader = _Reader(notes, adapters)
    model = reader.model(document)
    calendars, in_calendars = calendar.read(document, root, notes, today=today)
    core_document = reader.for_core(document)
    used: list[packs.Pack] = []
    abouts: dict[str | None, owners.About] = {}
    others: list[Problem] = []
    if isinstance(core_document, dict):
        used = packs.resolve(core_document, root, notes)
        known = {pack.path for pack in used}
        used += [pack for pack in own.packs(core_document, adapters) if pack.path not in known]
        own.check_site(core_document, adapters, notes)
        abouts, others = owners.read(core_document, used, packs.parts(root, used), notes)
        core_document = own.brought(core_document, adapters, own.KEY)
        core_document = {**core_document, "packs": packs.for_core(used)}
    plan, core_problems = _compile(root, core_document, places, today)
    if model is not None and plan is not None:
        checks.check_streams(model, adapters, plan.summary, notes)
    if not any(problem.severity == "error" for problem in notes.problems):
        others += _released(root, used, core_problems, model, notes)
    others += in_calendars
    problems = _merged(notes.problems + others, core_problems)
    if found:
        # What follows from a value that could not be replaced says nothing new.
        unset = {places[pointer] for pointer in replaceable(document, "") if pointer in places}
        problems = [problem for problem in problems if (problem.line, problem.column) not in unset]
        problems = _merged(found, problems)
    problems = _masked(problems, values)
    if model is None or plan is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    return Project(
        root=root,
        file=file,
        model=_with_calendars(model, calendars),
        plan=plan,
        raw=document,
        hidden=frozenset(replaced) | reader.secret_pointers,
        secrets=values.given | reader.secret_texts,
        warnings=problems,
        packs=used,
        abouts=abouts,
    )


class _Reader:
    """Reads the sections of one file, each on its own."""

    def __init__(self, notes: Notes, adapters: Adapters) -> None:
        self.notes = notes
        self.secret_pointers: set[str] = set()
        self.secret_texts: set[str] = set()
        self._adapters = adapters
        self._inboxes: dict[str, bool] = {}
        self._one_per_key: dict[str, bool] = {}

    def model(self, document: Any) -> Model | None:
        """The model, or `None` when there are problems."""
        notes = self.notes
        if not isinstance(document, dict):
            notes.error("", f"the file is {notes.shown('', document)}, expected a map with `apiVersion`")
            return None
        document = checks.without(document, checks.check_unavailable(document, notes))
        self._top(document)
        node = convert_struct(Node, document.get("node"), "/node", notes) if "node" in document else None
        streams = self._streams(document.get("streams", {}))
        sources = self._adapted("sources", document)
        sinks = self._adapted("sinks", document)
        routes = self._routes(document)
        checks.check_sink_names(sources, _map(document, "sinks"), notes)
        checks.check_routes(routes, _map(document, "sources"), _map(document, "sinks"), notes)
        http = self._http(document)
        effects = self._effects(document, streams)
        if node is None or any(problem.severity == "error" for problem in notes.problems):
            return None
        return Model(
            node=node,
            http=http,
            effects=effects,
            streams=streams,
            sources=sources,
            sinks=sinks,
            routes=[route for _, route in routes],
        )

    def for_core(self, document: Any) -> Any:
        """The document as the core gets it: each sink says whether it takes one event of a key at a time."""
        if not isinstance(document, dict):
            return document
        document = {key: value for key, value in document.items() if key != "effects"}
        if not isinstance(document.get("sinks"), dict):
            return document
        sinks = {
            name: {**sink, "one_per_key": self._one_per_key.get(name, True)}
            if isinstance(sink, dict)
            else sink
            for name, sink in document["sinks"].items()
        }
        return {**document, "sinks": sinks}

    def _top(self, document: dict[str, Any]) -> None:
        for key in document:
            if key not in _KEYS:
                hint = close(str(key), list(_KEYS))
                self.notes.error(f"/{escape(str(key))}#key", f"unknown key `{key}` in the file", hint)
        version = document.get("apiVersion")
        if version != API_VERSION:
            found = self.notes.shown("/apiVersion", version) if "apiVersion" in document else "missing"
            self.notes.error("/apiVersion", f"`apiVersion` is {found}, expected `{API_VERSION}`")
        if "node" not in document:
            hint = "write `node: {id: core-1, namespace: com.example}`"
            self.notes.error("", "the file has no `node`", hint)

    def _http(self, document: dict[str, Any]) -> Http | None:
        if "http" not in document and not self._inboxes:
            return None
        http = convert_struct(Http, document.get("http", {}), "/http", self.notes)
        if http is not None:
            checks.check_listen(http, self._inboxes, self.notes)
        return http

    def _effects(self, document: dict[str, Any], streams: dict[str, Stream]) -> Effects:
        raw = document.get("effects", {})
        effects = convert_struct(Effects, raw, "/effects", self.notes) or Effects()
        self._remember_secrets(effects, raw, "/effects")
        checks.check_effects(effects, streams, self.notes)
        return effects

    def _streams(self, value: Any) -> dict[str, Stream]:
        made = convert(dict[str, Stream], value, "/streams", self.notes)
        if not isinstance(made, dict):
            return {}
        checks.check_names("streams", made, self.notes)
        return made

    def _adapted(self, section: str, document: dict[str, Any]) -> dict[str, Any]:
        """The sources or the sinks."""
        value = document.get(section, {})
        if not isinstance(value, dict):
            self.notes.error(f"/{section}", f"`{section}` is not a map of names")
            return {}
        checks.check_names(section, value, self.notes)
        common: type[Section] = SourceSection if section == "sources" else SinkSection
        model = Source if section == "sources" else Sink
        made = {}
        for name, raw in value.items():
            pointer = f"/{section}/{escape(str(name))}"
            if not isinstance(raw, dict):
                found = self.notes.shown(pointer, raw)
                self.notes.error(pointer, f"`{dotted(pointer)}` is {found}, expected a map")
                continue
            kind = self._kind(section, raw, pointer)
            config = self._config(kind, common, raw, pointer)
            shared = {key: child for key, child in raw.items() if key in _fields(common)}
            part = convert_struct(common, shared, pointer, self.notes)
            if kind is not None and issubclass(kind, SinkAdapter):
                self._one_per_key[str(name)] = kind.refuses_single
                checks.check_sink(kind, part, pointer, self.notes)
            if kind is not None and issubclass(kind, Inbox):
                self._inboxes[str(name)] = checks.has_token(kind, raw)
            if config is not None and part is not None:
                made[str(name)] = model(section=part, config=config, raw=raw)  # type: ignore[arg-type]
        return made

    def _kind(
        self, section: str, raw: dict[str, Any], pointer: str
    ) -> type[SourceAdapter | SinkAdapter] | None:
        name = raw.get("adapter")
        if not isinstance(name, str):
            return None
        try:
            return self._adapters.source(name) if section == "sources" else self._adapters.sink(name)
        except MfgrouteError as error:
            message, _, hint = str(error).partition("\n")
            self.notes.error(f"{pointer}/adapter", message, hint or None)
            return None

    def _config(
        self,
        kind: type[SourceAdapter | SinkAdapter] | None,
        common: type[Section],
        raw: dict[str, Any],
        pointer: str,
    ) -> Config | None:
        """The adapter's own part: all keys that are not shared, and shared ones that it declares as well."""
        if kind is None:
            return None
        fields = _fields(kind.Config)
        shared = _fields(common)
        own = {key: child for key, child in raw.items() if key not in shared or key in fields}
        checks.check_stored(kind.Config.stored & own.keys(), pointer, self.notes)
        made = convert_struct(kind.Config, own, pointer, self.notes, also=shared)
        if made is not None:
            self._remember_secrets(made, raw, pointer)
        return made

    def _remember_secrets(self, made: Any, raw: Any, pointer: str) -> None:
        """Find the secrets of a configuration, at any depth."""
        if isinstance(made, Secret):
            self.secret_pointers.add(pointer)
            self.secret_texts.add(made.reveal())
        elif isinstance(made, msgspec.Struct) and isinstance(raw, dict):
            for field in msgspec.structs.fields(made):
                if field.encode_name in raw:
                    child = f"{pointer}/{escape(field.encode_name)}"
                    self._remember_secrets(getattr(made, field.name), raw[field.encode_name], child)
        elif isinstance(made, dict) and isinstance(raw, dict):
            for key, value in made.items():
                self._remember_secrets(value, raw.get(key), f"{pointer}/{escape(str(key))}")
        elif isinstance(made, list | tuple) and isinstance(raw, list):
            for index, value in enumerate(made):
                self._remember_secrets(value, raw[index], f"{pointer}/{index}")

    def _routes(self, document: dict[str, Any]) -> list[tuple[int, Route]]:
        value = document.get("routes", [])
        if not isinstance(value, list):
            self.notes.error("/routes", "`routes` is not a list")
            return []
        made = [convert_struct(Route, raw, f"/routes/{index}", self.notes) for index, raw in enumerate(value)]
        return [(index, route) for index, route in enumerate(made) if route is not None]


def _with_calendars(model: Model, calendars: Mapping[str, calendar.Calendar]) -> Model:
    sinks = {
        name: msgspec.structs.replace(sink, calendar=calendars.get(name))
        for name, sink in model.sinks.items()
    }
    return msgspec.structs.replace(model, sinks=sinks)


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _error(str(file), f"cannot read `{file}`: {error.strerror}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise _error(str(file), f"`{file.name}` has {len(content)} bytes, expected at most {_FILE_BYTES_MAX}")
    return content


def _compile(
    root: Path, document: Any, places: Mapping[str, tuple[int, int]], today: date | None
) -> tuple[Any, list[Problem]]:
    """The plan and its warnings, or `None` and its problems."""
    if not isinstance(document, dict):
        return None, []
    day = (today.year, today.month, today.day) if today else None
    try:
        plan = _core.Plan.compile(str(root), msgspec.json.encode(document), places, today=day)
    except ConfigError as error:
        return None, _problems(error.problems)
    return plan, _problems(plan.problems)


def _merged(ours: list[Problem], theirs: list[Problem]) -> list[Problem]:
    """All problems in the order of places; where both sides found an error at one place, ours is kept."""
    taken = {(problem.file, problem.line, problem.column) for problem in ours if problem.line}
    rest = [problem for problem in theirs if (problem.file, problem.line, problem.column) not in taken]
    return sorted(
        ours + rest, key=lambda problem: (problem.file, problem.line, problem.column, problem.severity)
    )


def _released(
    root: Path, used: Sequence[packs.Pack], known: Sequence[Problem], model: Model | None, notes: Notes
) -> list[Problem]:
    """Released contracts that are not as they were released; notes sinks that do not fit contracts."""
    try:
        contracts, folders = documents.released(root, used)
        if model is not None:
            checks.check_contracts(model, {one.label: one.schema for one in contracts}, notes)
        return lock.changed(contracts, folders)
    except ConfigError as error:
        # The compiler says what is wrong with a file, too.
        return [problem for problem in error.problems if problem not in known]


def _problems(found: Sequence[Any]) -> list[Problem]:
    return [one if isinstance(one, Problem) else msgspec.convert(one, Problem) for one in found]


def _masked(problems: list[Problem], values: Substitution) -> list[Problem]:
    return [
        msgspec.structs.replace(
            problem,
            message=values.masked(problem.message),
            hint=values.masked(problem.hint) if problem.hint else None,
        )
        for problem in problems
    ]


def _redacted(value: Any, pointer: str, hidden: frozenset[str]) -> Any:
    if pointer in hidden:
        return _MASK
    if isinstance(value, dict):
        return {
            key: _redacted(child, f"{pointer}/{escape(str(key))}", hidden) for key, child in value.items()
        }
    if isinstance(value, list):
        return [_redacted(child, f"{pointer}/{index}", hidden) for index, child in enumerate(value)]
    return value


def _fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def _map(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    return value if isinstance(value, dict) else {}


def _error(file: str, message: str, hint: str | None = None) -> ConfigError:
    return ConfigError([Problem(severity="error", file=file, line=0, column=0, message=message, hint=hint)])
