"""What must hold between the parts of ``mfgroute.yaml``, and what this version does not do yet."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mfgroute.adapter import Effect, Inbox, Poster, Sink
from mfgroute.config.convert import Notes, close, dotted, escape
from mfgroute.config.model import NAME_PATTERN, Effects, Http, Model, Route, Stream
from mfgroute.units import Duration, written

if TYPE_CHECKING:
    from mfgroute.config.load import Adapters

_NAME = re.compile(NAME_PATTERN)
_ANY = object()
#: How long finished events of a durable stream stay that does not say it.
KEEP = Duration(7 * 86_400.0)

#: Keys and values that the interface promises and this version lacks: pointer pattern, value, remedy.
UNAVAILABLE: tuple[tuple[str, Any, str], ...] = (
    ("/http/tls", _ANY, "listen on 127.0.0.1 behind a proxy that ends TLS"),
    ("/http/auth", _ANY, "give every http source a `token`"),
)


def check_unavailable(document: Any, notes: Notes) -> set[str]:
    """Note what is not built yet.

    Returns:
        Their pointers, so that nothing else is said about them.
    """
    found = set()
    for pointer, value in _walk(document, ""):
        for pattern, refused, remedy in UNAVAILABLE:
            same_depth = pattern.count("/") == pointer.count("/")
            if same_depth and fnmatchcase(pointer, pattern) and (refused is _ANY or value == refused):
                shown = "" if refused is _ANY else f": {refused}"
                notes.error(pointer, f"`{dotted(pointer)}{shown}` is not available in this version", remedy)
                found.add(pointer)
    return found


def without(document: Any, pointers: set[str], pointer: str = "") -> Any:
    """A copy of a document without the values at `pointers`."""
    if not isinstance(document, dict):
        return document
    return {
        key: without(child, pointers, child_pointer)
        for key, child in document.items()
        if (child_pointer := f"{pointer}/{escape(str(key))}") not in pointers or _required(child_pointer)
    }


def _required(pointer: str) -> bool:
    """Whether a key must stay although its value is not available, or it would be missed."""
    return pointer.endswith(("/durability", "/by"))


def check_names(section: str, names: Mapping[str, Any], notes: Notes) -> None:
    """Note names of sources, sinks or streams that are not lowercase words."""
    for name in names:
        if not _NAME.match(str(name)):
            pointer = f"/{section}/{escape(str(name))}#key"
            hint = "use lowercase letters, digits and `-`, such as `mes-a`"
            notes.error(pointer, f"`{name}` is not a name for one of the {section}", hint)


def check_effects(effects: Effects, streams: Mapping[str, Stream | None], notes: Notes) -> None:
    """Note a database that is none of ours (the URL is not shown), or that forgets before the logs do.

    Of a stream that is `None` something else was noted before.
    """
    for name, stream in streams.items():
        if stream is None:
            continue
        keep = KEEP if stream.keep is None else stream.keep
        if stream.durability == "fsync" and keep > effects.keep:
            notes.error(
                "/effects/keep",
                f"`effects.keep` is {written(effects.keep)}, and the stream `{name}` keeps its events for "
                f"{written(keep)}",
                f"write `keep: {written(keep)}` or more: what can be replayed needs its history",
            )
    if effects.url is not None and not re.match("postgresql(\\+psycopg)?://", effects.url.reveal()):
        notes.error(
            "/effects/url",
            "`effects.url` does not begin with `postgresql://`",
            "leave it out for SQLite in the data folder",
        )


def check_stored(keys: AbstractSet[str], pointer: str, notes: Notes) -> None:
    """Note settings that are kept with events and may hold a secret."""
    for key in sorted(keys):
        for place in notes.replaced(f"{pointer}/{escape(key)}"):
            notes.error(
                place,
                f"`{dotted(place)}` comes from `${{...}}`, and is kept with every request",
                "write it out; a secret belongs into `token`, `headers` or the query of `url`",
            )


def check_contracts(model: Model, schemas: Mapping[str, Any], notes: Notes) -> None:
    """Note what in sinks cannot work with the contracts of the project."""
    for name, sink in model.sinks.items():
        for pointer, said in sink.config.misfits(schemas):
            place = f"/sinks/{escape(name)}{pointer}"
            notes.error(place, f"`{dotted(place)}`: {said}")


def check_streams(model: Model, adapters: Adapters, summary: Mapping[str, Any], notes: Notes) -> None:
    """Note sinks that get events of more streams than they can take, from what sources and routes do."""
    streams = {f"{one['type']}/{one['version'].split('.')[0]}": one["stream"] for one in summary["contracts"]}
    makes = {one["name"]: one["to"] for one in summary["mappings"]}
    # A source without mappings has canonical events, so any.
    made = {
        one["name"]: {to for name in one["mappings"] for to in makes.get(name, ())} or set(streams)
        for one in summary["sources"]
    }
    for name, sink in model.sinks.items():
        most = adapters.sink(sink.section.adapter).streams_max
        if most is None:
            continue
        found = {
            streams[label]
            for route in summary["routes"]
            if name in route["to"]
            for source in route["sources"] or made
            for label in made.get(source, set()) & route["delivers"].keys()
            if label in streams
        }
        if len(found) > most:
            listed = ", ".join(f"`{stream}`" for stream in sorted(found))
            notes.error(
                f"/sinks/{escape(name)}#key",
                f"sink `{name}` gets events of {len(found)} streams ({listed}), and takes {most} at most",
                "let contracts that belong together name the same `stream`, or send fewer of them there",
            )


def check_asked(kind: type, effect: Effect | None, pointer: str, notes: Notes) -> None:
    """Note a sink that is to ask its target and cannot."""
    if effect is not None and effect.by == "lookup" and not issubclass(kind, Poster):
        notes.error(
            f"{pointer}/effect/by",
            f"`{dotted(pointer)}.effect.by` is `lookup`, and this adapter cannot ask its target",
            "use `by: key` or `by: upsert` if the target can do so",
        )


def check_routes(
    routes: list[tuple[int, Route]], sources: Mapping[str, Any], sinks: Mapping[str, Any], notes: Notes
) -> None:
    """Note routes that name what does not exist, and names used twice."""
    seen: dict[str, int] = {}
    for index, route in routes:
        pointer = f"/routes/{index}"
        if route.name in seen:
            other = f"routes[{seen[route.name]}]"
            notes.error(f"{pointer}/name", f"route `{route.name}` has the name of `{other}`")
        seen.setdefault(route.name, index)
        _check_known(route.to, f"{pointer}/to", "sink", sinks, notes)
        if route.match.source is not None:
            _check_known(route.match.source, f"{pointer}/match/source", "source", sources, notes)
        if not route.match.type:
            notes.error(f"{pointer}/match/type", f"route `{route.name}` matches no type")


def check_sink_names(sources: Mapping[str, Any], sinks: Mapping[str, Any], notes: Notes) -> None:
    """Note names in the settings of sources that no sink has.

    Args:
        sources: as `mfgroute.config.model.Source`, by name.
        sinks: as they are written, by name.
        notes: where it is noted.
    """
    for name, source in sources.items():
        for setting in sorted(source.config.sink_names):
            place = f"/sources/{escape(name)}/{escape(setting)}"
            for index, sink in enumerate(getattr(source.config, setting)):
                if sink not in sinks:
                    notes.error(f"{place}/{index}", f"no sink is called `{sink}`", close(sink, sinks))


def check_listen(http: Http, inboxes: Mapping[str, bool], notes: Notes) -> None:
    """Note a listener that is open to the network without tokens or without TLS.

    Args:
        http: the listener.
        inboxes: for each source that the listener fills, whether it has a token.
        notes: where to.
    """
    if http.port > 65535:
        notes.error("/http/listen", f"`http.listen` has port {http.port}, expected at most 65535")
    bare = sorted(name for name, guarded in inboxes.items() if not guarded)
    if is_loopback(http.host):
        for name in bare:
            notes.warn(
                f"/sources/{name}",
                f"`sources.{name}` has no `token`: every program of this machine may post to it",
                "set `token`, or say `anonymous: true`",
            )
        return
    if not http.insecure:
        said = f"`http.listen` is `{http.listen}`, open to the network without TLS"
        hint = "listen on 127.0.0.1 behind a proxy that ends TLS, or say `insecure: true`"
        notes.error("/http/listen", said, hint)
    if bare or not inboxes:
        who = f"{', '.join(f'`{name}`' for name in bare)} without a token" if bare else "no token configured"
        hint = "listen on 127.0.0.1, or give every http source a `token`"
        notes.error("/http/listen", f"`http.listen` is `{http.listen}`, open to the network with {who}", hint)
    elif http.insecure:
        said = f"`http.listen` is `{http.listen}` without TLS: tokens and messages can be read on the way"
        notes.warn("/http/insecure", said, "listen on 127.0.0.1 behind a proxy that ends TLS")


def check_sink(kind: type[Sink], part: Any, pointer: str, notes: Notes) -> None:
    """Note what an adapter cannot do that its sink asks for.

    Args:
        kind: the adapter.
        part: the sink's `SinkSection`, or `None` if it could not be read.
        pointer: of the sink.
        notes: where to.
    """
    check_batch(kind, part, pointer, notes)
    check_asked(kind, getattr(part, "effect", None), pointer, notes)


def check_batch(kind: type[Sink], part: Any, pointer: str, notes: Notes) -> None:
    """Note a `batch` that the adapter of a sink cannot take.

    Args:
        kind: the adapter.
        part: the sink's `SinkSection`, or `None` if it could not be read.
        pointer: of the sink.
        notes: where to.
    """
    section = getattr(part, "batch", None)
    if section is None:
        return
    if kind.batch_max == 1:
        notes.error(f"{pointer}/batch#key", "the adapter takes one event at a time", "take `batch` out")
    elif section.events is not None and section.events > kind.batch_max:
        said = f"`{dotted(pointer)}.batch.events` is {section.events}, expected at most {kind.batch_max}"
        notes.error(f"{pointer}/batch/events", said, "the adapter takes no more at once")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_token(kind: type, raw: Mapping[str, Any]) -> bool:
    """Whether a source that the listener fills has a token; true for any other source."""
    return not issubclass(kind, Inbox) or bool(raw.get("token"))


def _check_known(
    names: str | list[str], pointer: str, what: str, known: Mapping[str, Any], notes: Notes
) -> None:
    if isinstance(names, list) and not names:
        notes.error(pointer, f"`{dotted(pointer)}` is empty, expected a {what}")
    for index, name in enumerate([names] if isinstance(names, str) else names):
        if name not in known:
            place = pointer if isinstance(names, str) else f"{pointer}/{index}"
            notes.error(place, f"no {what} is called `{name}`", close(name, known))


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    yield pointer, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, f"{pointer}/{escape(str(key))}")
