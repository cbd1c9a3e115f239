# ruff: noqa: D102, ARG002, PT017, PT012 - a test's name is its sentence; hooks have unused arguments
"""The suite that every adapter passes, ours and others'.

Derive a class in your tests, say how your adapter is configured and how its peer behaves, and pytest runs
every test whose hook you provide::

    class TestMySink(SinkConformance):
        adapter = MySink

        def settings(self) -> dict[str, Any]:
            return {"url": self.peer.url}

A hook that is left out skips its tests and says so. The tests are coroutines: use pytest-asyncio in auto
mode, or another plugin that runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, get_args

import msgspec
import pytest

from mfgroute.adapter import Context, Poster, Request, Secret, Sink, Source, dec_hook
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Accepted, Done, Event, InDoubt, Intake, NotYet, Outcome, Receipt, Refused, Retry

__all__ = ["AdapterConformance", "SinkConformance", "SourceConformance", "event"]

_CANARY = "canary-that-must-never-be-printed"
_WAIT_S = 5.0
_Said: TypeAlias = Outcome | Accepted | NotYet


def event(number: int = 1, *, stream: str = "business") -> Event:
    """An event with its own id and key."""
    id_ = f"00000000-0000-8000-8000-{number:012d}"
    kind = "com.example.conformance.checked.v1"
    document = {
        "specversion": "1.0",
        "id": id_,
        "source": "//TEST/conformance",
        "type": kind,
        "data": {"n": number},
    }
    return Event(
        id=id_, type=kind, key=f"n/{number}", offset=number, json=msgspec.json.encode(document), stream=stream
    )


class AdapterConformance:
    """What sources and sinks have in common. Derive from `SourceConformance` or `SinkConformance`."""

    #: The class under test.
    adapter: ClassVar[type[Source | Sink]]
    _folder: Path

    @pytest.fixture(autouse=True)
    def _own_folder(self, tmp_path: Path) -> None:
        self._folder = tmp_path

    def settings(self) -> dict[str, Any]:
        """A complete configuration for a peer that is there."""
        raise NotImplementedError

    def dead_settings(self) -> dict[str, Any] | None:
        """A configuration for a peer that is not there; `None` if there is no such thing."""
        return None

    def context(self) -> Context:
        """The place of the adapter."""
        return Context(name="conformance", project_dir=self._folder, data_dir=self._folder / "data")

    def make(self, settings: dict[str, Any] | None = None) -> Any:
        """The adapter, made as the runtime makes it."""
        raw = self.settings() if settings is None else settings
        config = msgspec.convert(raw, self.adapter.Config, dec_hook=dec_hook)
        return self.adapter(config, self.context())

    def test_every_setting_says_what_it_does(self) -> None:
        mute = [path for path, field in _fields(self.adapter.Config) if not _description(field)]
        assert mute == [], f"say what these settings do: {mute}"

    def test_an_unknown_key_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="no_such_key"):
            self.make(self.settings() | {"no_such_key": 1})

    def test_secrets_are_never_printed(self) -> None:
        raw = self.settings()
        for path, field in _fields(self.adapter.Config):
            if "." not in path and _holds_secret(field.type):
                raw[path] = {"X-Canary": _CANARY} if _is_mapping(field.type) else _CANARY
        try:
            config = msgspec.convert(raw, self.adapter.Config, dec_hook=dec_hook)
        except msgspec.ValidationError as error:
            assert _CANARY not in str(error)
            raw.pop("headers", None)
            config = msgspec.convert(raw, self.adapter.Config, dec_hook=dec_hook)
        adapter = self.adapter(config, self.context())
        for shown in (repr(config), str(config), repr(adapter), str(adapter)):
            assert _CANARY not in shown

    async def test_it_can_be_closed_without_having_been_opened_and_twice(self) -> None:
        adapter = self.make()
        await adapter.close()
        await adapter.close()


class SourceConformance(AdapterConformance):
    """The suite for sources."""

    adapter: ClassVar[type[Source]]
    #: Whether what was not acknowledged comes again after a new `open`.
    redelivers: ClassVar[bool] = False

    async def supply(self, source: Source, count: int) -> None:
        """Let the peer send `count` distinct messages; may return before they were read."""
        pytest.skip("no `supply` hook")

    async def settled(self, source: Source) -> None:
        """Wait until everything supplied could be read at once, where the peer can tell."""

    async def opened(self) -> Source:
        """A source that is connected."""
        source: Source = self.make()
        await source.open(None)
        return source

    async def test_a_dead_peer_is_a_lost_connection_and_close_is_safe(self) -> None:
        settings = self.dead_settings()
        if settings is None:
            pytest.skip("no `dead_settings` hook")
        source: Source = self.make(settings)
        with pytest.raises(Disconnected):
            await asyncio.wait_for(source.open(None), 4 * _WAIT_S)
        await source.close()
        await source.close()

    async def test_everything_is_read_once_and_acknowledging_moves_on(self) -> None:
        source = await self.opened()
        try:
            await self.supply(source, 20)
            messages = await self._read(source, 20)
            assert len(set(messages)) == 20, "each message once"
        finally:
            await source.close()

    async def test_a_reader_that_falls_behind_loses_nothing(self) -> None:
        source = await self.opened()
        try:
            supplying = asyncio.create_task(self.supply(source, 300))
            await self.settled(source)
            assert len(set(await self._read(source, 300))) == 300
            await asyncio.wait_for(supplying, _WAIT_S)
        finally:
            await source.close()

    async def test_what_was_not_acknowledged_comes_again(self) -> None:
        if not self.redelivers:
            pytest.skip("this source has no memory")
        source = await self.opened()
        await self.supply(source, 1)
        first = _messages(await asyncio.wait_for(source.read(), _WAIT_S))
        await source.close()
        source = await self.opened()
        try:
            assert await self._read(source, 1) == first
        finally:
            await source.close()

    async def test_a_read_that_waits_can_be_cancelled(self) -> None:
        source = await self.opened()
        reading = asyncio.create_task(source.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await source.close()

    async def _read(self, source: Source, count: int) -> list[bytes]:
        messages: list[bytes] = []
        while len(messages) < count:
            intake = await asyncio.wait_for(source.read(), _WAIT_S)
            part = _messages(intake)
            assert part, "an intake is never empty"
            assert intake.metas is None or len(intake.metas) == len(intake.messages)
            messages += part
            await source.ack(intake, Receipt(accepted=len(part)))
        return messages


class SinkConformance(AdapterConformance):
    """The suite for sinks."""

    adapter: ClassVar[type[Sink]]

    async def refuse(self, refused: Event) -> None:
        """Let the peer refuse this event for good and take all others."""
        pytest.skip("no `refuse` hook")

    async def cut(self) -> None:
        """Let the peer take what is sent and break the connection before it answers."""
        pytest.skip("no `cut` hook")

    def cut_settings(self) -> Iterator[tuple[dict[str, Any], tuple[type, ...]]]:
        """Configurations by effect class, each with the outcomes that a cut may have."""
        yield self.settings(), (InDoubt, Retry)

    async def opened(self, settings: dict[str, Any] | None = None) -> Sink:
        """A sink that is connected."""
        sink: Sink = self.make(settings)
        await sink.open()
        return sink

    async def test_a_dead_peer_is_a_lost_connection_that_sent_nothing(self) -> None:
        settings = self.dead_settings()
        if settings is None:
            pytest.skip("no `dead_settings` hook")
        sink: Sink = self.make(settings)
        # A protocol without connections notices with the first event.
        with pytest.raises(Disconnected) as failure:
            await asyncio.wait_for(sink.open(), 4 * _WAIT_S)
            await asyncio.wait_for(_written(sink, [event()]), 4 * _WAIT_S)
        assert failure.value.sent is False, "nothing was sent, so `sent` must be False"
        await sink.close()
        await sink.close()

    async def test_a_poster_renders_the_same_request_of_the_same_event(self) -> None:
        if not issubclass(self.adapter, Poster):
            pytest.skip("this sink is no poster")
        rendered = [await self.make().render(event(), _NoBooks()) for _ in range(2)]
        assert isinstance(rendered[0], Request), rendered[0]
        assert rendered[0] == rendered[1], "another object, the same bytes"
        assert _CANARY.encode() not in rendered[0].body

    async def test_each_event_of_a_batch_has_one_outcome(self) -> None:
        sink = await self.opened()
        try:
            events = [event(number) for number in range(1, min(self.adapter.batch_max, 50) + 1)]
            outcomes = await asyncio.wait_for(_written(sink, events), _WAIT_S)
            assert len(outcomes) == len(events)
            assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
        finally:
            await sink.close()

    async def test_writes_may_run_at_the_same_time(self) -> None:
        sink = await self.opened()
        try:
            writes = [_written(sink, [event(number)]) for number in range(1, 21)]
            results = await asyncio.wait_for(asyncio.gather(*writes), _WAIT_S)
            assert [len(outcomes) for outcomes in results] == [1] * 20
            assert all(isinstance(outcomes[0], Done) for outcomes in results), results
        finally:
            await sink.close()

    async def test_one_refused_event_leaves_the_others_done(self) -> None:
        events = [event(number) for number in (1, 2, 3)]
        await self.refuse(events[1])
        sink = await self.opened()
        try:
            outcomes = await _in_batches(sink, events)
        finally:
            await sink.close()
        assert isinstance(outcomes[1], Refused), outcomes
        assert [type(outcomes[0]), type(outcomes[2])] == [Done, Done], outcomes
        assert outcomes[1].code, "a refusal has a code"

    async def test_a_cut_after_sending_is_never_done(self) -> None:
        await self.cut()
        for settings, allowed in self.cut_settings():
            sink = await self.opened(settings)
            try:
                outcome: _Said
                (outcome,) = await asyncio.wait_for(_written(sink, [event()]), 4 * _WAIT_S)
            except (Disconnected, AdapterError) as error:
                sent = getattr(error, "sent", True)
                outcome = InDoubt(str(error)) if sent else Retry(reason=str(error))
            finally:
                await sink.close()
            assert isinstance(outcome, allowed), f"{outcome}, expected one of {allowed}"
            assert not isinstance(outcome, Done)


class _NoBooks:
    """Books of a sink that has posted nothing yet."""

    async def posted(self, thing: str) -> Mapping[str, Decimal]:
        return {}


async def _written(sink: Sink, events: Sequence[Event]) -> list[_Said]:
    """Send events as the runtime does: what a poster renders is sent as it is."""
    if not isinstance(sink, Poster):
        return list(await sink.write(events))
    rendered = [await sink.render(one, _NoBooks()) for one in events]
    requests = [one for one in rendered if isinstance(one, Request)]
    answers = iter(await sink.post(requests) if requests else ())
    return [next(answers) if isinstance(one, Request) else one for one in rendered]


async def _in_batches(sink: Sink, events: Sequence[Event]) -> list[_Said]:
    outcomes: list[_Said] = []
    size = max(sink.batch_max, 1)
    for start in range(0, len(events), size):
        outcomes += await asyncio.wait_for(_written(sink, events[start : start + size]), _WAIT_S)
    return outcomes


def _messages(intake: Intake) -> list[bytes]:
    if intake.slab is not None:
        assert not intake.messages, "an intake is a slab or messages, not both"
        return intake.slab.splitlines()
    return list(intake.messages)


def _fields(config: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings with their types, those of inner structs too."""
    for field in msgspec.structs.fields(config):
        yield prefix + field.encode_name, field
        for inner in _inner(field.type):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from _fields(inner, f"{prefix}{field.encode_name}.")


def _inner(kind: Any) -> Iterator[Any]:
    yield kind
    for argument in get_args(kind):
        yield from _inner(argument)


def _description(field: Any) -> str | None:
    for part in get_args(field.type)[1:]:
        if isinstance(part, msgspec.Meta) and part.description:
            return part.description
    return None


def _holds_secret(kind: Any) -> bool:
    return any(inner is Secret for inner in _inner(kind))


def _is_mapping(kind: Any) -> bool:
    return any(getattr(inner, "__origin__", None) is dict for inner in _inner(kind))
