"""Metrics for Prometheus. One scrape reads the engine once, so its numbers belong together.

Labels are names from the configuration, never ids of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mfgroute import _core
from mfgroute.observe.health import BOUNDS_S, Buckets, Followed, Pulse
from mfgroute.observe.stats import Stats, named

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Everything that is counted.

    Args:
        stats: takes one snapshot of the engine.
        pulses: the source and sink tasks.
        quarantined: for each log, bytes of torn tails that starts have kept.
        followed: how far the database of effects is; `None` where there is none.
    """

    def __init__(
        self,
        stats: Callable[[], Stats],
        pulses: Callable[[], Iterable[Pulse]],
        quarantined: Callable[[], Mapping[str, int]] = dict,
        followed: Callable[[], Followed | None] = lambda: None,
    ) -> None:
        self._stats = stats
        self._quarantined = quarantined
        self._pulses = pulses
        self._followed = followed
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def expose(self) -> bytes:
        """The text that a scrape gets."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the engine is not read before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families, from one snapshot."""
        stats = self._stats()
        pulses = list(self._pulses())
        yield from _sources(named(stats, "sources"))
        yield from _sinks(named(stats, "sinks"))
        yield from _tasks(pulses)
        yield from _guards(pulses)
        yield from _adapters(pulses)
        yield from _edges(pulses)
        yield from _recordings(pulses)
        yield _quarantine(self._quarantined())
        yield from _effects(self._followed())
        yield from _node(stats, pulses)


def _sources(sources: dict[str, Stats]) -> Iterator[Metric]:
    received = CounterMetricFamily("mfgroute_messages_received", "Items received.", labels=["source"])
    accepted = CounterMetricFamily("mfgroute_events_accepted", "Events admitted.", labels=["source", "type"])
    rejected = CounterMetricFamily("mfgroute_rejected", "Items refused by us.", labels=["source", "code"])
    duplicates = CounterMetricFamily("mfgroute_duplicates", "Items admitted before.", labels=["source"])
    filtered = CounterMetricFamily("mfgroute_filtered", "Items dropped by a rule.", labels=["source", "rule"])
    unrouted = CounterMetricFamily("mfgroute_unrouted", "Events that no route wants.", labels=["source"])
    for name, one in sources.items():
        received.add_metric([name], one.get("received", 0))
        duplicates.add_metric([name], one.get("duplicates", 0))
        unrouted.add_metric([name], one.get("unrouted", 0))
        _split(accepted, name, one.get("accepted_by_type"))
        _split(rejected, name, one.get("rejected_by_code"))
        _split(filtered, name, one.get("filtered_by_rule"))
    yield from (received, accepted, rejected, duplicates, filtered, unrouted)


def _sinks(sinks: dict[str, Stats]) -> Iterator[Metric]:
    delivered = CounterMetricFamily("mfgroute_delivered", "Events delivered.", labels=["sink"])
    parked = CounterMetricFamily(
        "mfgroute_parked", "Events set aside for a person.", labels=["sink", "reason"]
    )
    dropped = CounterMetricFamily(
        "mfgroute_dropped", "Events lost because a stream says `drop_oldest`.", labels=["sink"]
    )
    taken_back = CounterMetricFamily(
        "mfgroute_taken_back",
        "Events not sent because one behind them takes back what they report.",
        labels=["sink"],
    )
    lag = GaugeMetricFamily("mfgroute_sink_lag_events", "Events that wait.", labels=["sink"])
    lag_s = GaugeMetricFamily("mfgroute_sink_lag_seconds", "Age of the oldest that waits.", labels=["sink"])
    for name, one in sinks.items():
        delivered.add_metric([name], one.get("delivered", 0))
        _split(parked, name, one.get("parked_by_cause"))
        dropped.add_metric([name], one.get("dropped", 0))
        taken_back.add_metric([name], one.get("taken_back", 0))
        lag.add_metric([name], one.get("lag_events", 0))
        lag_s.add_metric([name], one.get("lag_ms", 0) / 1000)
    yield from (delivered, parked, dropped, taken_back, lag, lag_s)


def _tasks(pulses: list[Pulse]) -> Iterator[Metric]:
    sink_up = GaugeMetricFamily("mfgroute_sink_up", "Whether the sink is connected.", labels=["sink"])
    source_up = GaugeMetricFamily("mfgroute_source_up", "Whether the source is connected.", labels=["source"])
    seconds = HistogramMetricFamily("mfgroute_delivery_seconds", "Duration of a write.", labels=["sink"])
    for pulse in pulses:
        up = 1.0 if pulse.reached else 0.0
        if pulse.kind == "source":
            source_up.add_metric([pulse.name], up)
        else:
            sink_up.add_metric([pulse.name], up)
            _histogram(seconds, [pulse.name], pulse.seconds)
    yield from (sink_up, source_up, seconds)


def _guards(pulses: list[Pulse]) -> Iterator[Metric]:
    held = GaugeMetricFamily(
        "mfgroute_sink_held",
        "Whether a sink is held back to protect its target: by a maintenance `window` or its `breaker`.",
        labels=["sink", "by"],
    )
    counted = {
        "breaker_opened": ("mfgroute_sink_breaker_opened", "How often the breaker has opened."),
        "first_tries": ("mfgroute_sink_first_tries", "Requests with first tries alone."),
        "retries": ("mfgroute_sink_retries", "Requests with events that the target may have had before."),
        "retries_held": (
            "mfgroute_sink_retries_held",
            "How often an event found no quota and came later.",
        ),
    }
    families = {
        name: CounterMetricFamily(family, help_text, labels=["sink"])
        for name, (family, help_text) in counted.items()
    }
    for pulse in pulses:
        if pulse.guard is None:
            continue
        for by in ("window", "breaker"):
            held.add_metric([pulse.name, by], float(pulse.held_by == by))
        for name, count in pulse.guard.counts().items():
            families[name].add_metric([pulse.name], count)
    yield held
    yield from families.values()


def _recordings(pulses: list[Pulse]) -> Iterator[Metric]:
    kept = CounterMetricFamily("mfgroute_recorded", "Raw messages kept.", labels=["source"])
    lost = CounterMetricFamily(
        "mfgroute_record_lost", "Raw messages that could not be kept.", labels=["source", "cause"]
    )
    size = GaugeMetricFamily("mfgroute_record_bytes", "Bytes of raw messages kept.", labels=["source"])
    for pulse in pulses:
        if pulse.record is not None:
            kept.add_metric([pulse.name], pulse.record.kept)
            _split(lost, pulse.name, pulse.record.lost)
            size.add_metric([pulse.name], pulse.record.size)
    yield from (kept, lost, size)


def _adapters(pulses: list[Pulse]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "mfgroute_adapter",
        "What an adapter counts besides, such as gaps and refused clients; its page names them.",
        labels=["part", "name", "counter"],
    )
    for pulse in pulses:
        for counter, count in sorted(pulse.counters().items()):
            family.add_metric([pulse.kind, pulse.name, counter], count)
    yield family


def _edges(pulses: list[Pulse]) -> Iterator[Metric]:
    silent = GaugeMetricFamily(
        "mfgroute_edge_silent_seconds",
        "Time since an edge was last heard; since this node listens for it if it was not heard yet.",
        labels=["source", "edge"],
    )
    clock = GaugeMetricFamily(
        "mfgroute_edge_clock_difference_seconds",
        "How far the clock of an edge is ahead of this node's; negative if it is behind.",
        labels=["source", "edge"],
    )
    for pulse in pulses:
        for edge in pulse.details().get("edges", ()):
            silent.add_metric([pulse.name, edge["id"]], edge["silent_s"])
            if edge["clock"] is not None:
                clock.add_metric([pulse.name, edge["id"]], edge["clock"]["ahead_s"])
    yield from (silent, clock)


def _effects(found: Followed | None) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "mfgroute_effects_lag_lines",
        "Changes of effects that wait for their database; counting stops at 1000.",
        labels=["sink"],
    )
    lag_s = GaugeMetricFamily(
        "mfgroute_effects_lag_seconds", "Age of the oldest change that waits.", labels=["sink"]
    )
    missing = GaugeMetricFamily(
        "mfgroute_effects_missing", "Changes of effects that never came to their database.", labels=["sink"]
    )
    failures = CounterMetricFamily(
        "mfgroute_effects_failures", "Times that the database of effects could not be used."
    )
    if found is not None:
        for name, count in found.behind.items():
            lag.add_metric([name], count)
            lag_s.add_metric([name], found.behind_s[name])
            missing.add_metric([name], found.missing.get(name, 0))
        failures.add_metric([], found.failures)
    yield from (lag, lag_s, missing, failures)


def _quarantine(found: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "mfgroute_log_quarantined_bytes",
        "Bytes of writes that were under way at a crash, kept in `quarantine`.",
        labels=["stream"],
    )
    for name, size in found.items():
        family.add_metric([name], size)
    return family


def _node(stats: Stats, pulses: list[Pulse]) -> Iterator[Metric]:
    stages = HistogramMetricFamily(
        "mfgroute_stage_seconds",
        "Time in a stage: `submit`, from a message to its stream, and `deliver`, a write to a sink.",
        labels=["stage"],
    )
    for stage, kind in (("submit", "source"), ("deliver", "sink")):
        spent = (pulse.seconds for pulse in pulses if pulse.kind == kind)
        _histogram(stages, [stage], sum(spent, start=Buckets()))
    commit = HistogramMetricFamily("mfgroute_log_commit_seconds", "Duration of a group commit.")
    if stats.get("commit_seconds"):
        _raw_histogram(commit, [], stats["commit_seconds"])
    held = GaugeMetricFamily("mfgroute_log_bytes", "Bytes in the log.", labels=["stream"])
    for name, one in named(stats, "streams").items():
        held.add_metric([name], one.get("bytes", 0))
    unaccounted = GaugeMetricFamily("mfgroute_unaccounted", "Items that no counter explains; 0.")
    unaccounted.add_metric([], stats.get("unaccounted", 0))
    build = GaugeMetricFamily("mfgroute_build_info", "The program.", labels=["version"])
    build.add_metric([getattr(_core, "__version__", "unknown")], 1)
    yield from (stages, commit, held, unaccounted, build)


def _split(family: Any, name: str, counts: dict[str, int] | int | None) -> None:
    """A counter with its second label; a number without parts has an empty one."""
    parts = counts if isinstance(counts, dict) else {"": counts} if counts else {}
    for label, count in parts.items():
        family.add_metric([name, label], count)


def _histogram(family: HistogramMetricFamily, labels: list[str], found: Buckets) -> None:
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), found.counts, strict=True):
        total += count
        rows.append((bound, total))
    family.add_metric(labels, buckets=rows, sum_value=found.sum_s)


def _raw_histogram(family: HistogramMetricFamily, labels: list[str], found: Stats) -> None:
    """A histogram of the engine: ``{"buckets": [[bound or null, count], ...], "sum": seconds}``."""
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in found.get("buckets", []):
        total += count
        rows.append(("+Inf" if bound is None else str(bound), total))
    if rows:
        family.add_metric(labels, buckets=rows, sum_value=found.get("sum", 0.0))
