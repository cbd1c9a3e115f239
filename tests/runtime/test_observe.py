import io
import json
import logging
import random
import re
from pathlib import Path

import pytest

from mfgroute.adapter import Secret
from mfgroute.observe import health, logs
from mfgroute.observe.metrics import Metrics
from mfgroute.observe.text import MASK, VALUE_BYTES_MAX, safe
from mfgroute.runtime.backoff import Backoff
from mfgroute.runtime.rate import TokenBucket


@pytest.fixture
def lines():
    stream = io.BytesIO()
    logs.configure(level="debug", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.unconfigure()


def test_one_event_is_one_line_whatever_it_holds(lines):
    evil = 'a\nlevel=info\r\x1b[31mred\x00\u2028\u2029\x85\u202e"}\ud800'
    logs.get_logger().info("got", value=evil, **{"bad\nkey\x1b": [evil, {"deep": evil}]})
    (line,) = lines()
    text = json.dumps(line, ensure_ascii=False)
    assert not re.search(
        "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", "".join(str(line.values()) + "".join(line))
    )
    assert "\\u001b[31mred" in line["value"]
    assert text.count("\n") == 0


def test_a_value_is_cut_to_a_kibibyte(lines):
    logs.get_logger().info("got", value="ü" * 5000, raw=b"x" * 99, many=list(range(500)))
    (line,) = lines()
    assert len(line["value"].encode()) < VALUE_BYTES_MAX + 40
    assert line["value"].endswith("… (5000 characters)")
    assert line["raw"] == "99 bytes"
    assert len(line["many"]) == 64


def test_secrets_are_stars_by_type_by_name_and_by_text(lines):
    MASK.add(["canary-4711"])
    log = logs.get_logger()
    log.info("got", config=Secret("canary-0815"), api_token="canary-1", nested={"Password": "canary-2"})
    log.info("text with canary-4711 inside", url="http://x/?t=canary-4711")
    assert "canary" not in json.dumps(lines())


def test_an_exception_is_a_type_a_message_and_places_without_values(lines):
    hidden = "canary-local"
    try:
        raise ValueError(f"bad\n{len(hidden)}")
    except ValueError as error:
        logs.get_logger().error("failed", exc_info=error)
    (line,) = lines()
    assert line["error"] == "ValueError: bad\\u000a12"
    assert "test_observe.py" in line["at"][0]
    assert "canary" not in json.dumps(line)


def test_logs_of_libraries_are_ours_too(lines):
    logging.getLogger("aiohttp").warning("odd %s", "x\x1b")
    assert lines()[0] | {"time": ""} == {
        "time": "",
        "level": "warning",
        "event": "odd x\\u001b",
        "logger": "aiohttp",
    }


def test_a_level_is_a_threshold(lines):
    logs.configure(level="warning", stream=io.BytesIO())
    logs.get_logger().info("quiet")
    assert lines() == []


def test_without_configuration_lines_go_to_the_standard_library(caplog):
    with caplog.at_level("INFO", "mfgroute"):
        logs.get_logger(sink="erp").info("hello")
    assert json.loads(caplog.records[0].getMessage())["sink"] == "erp"


def test_safe_text_never_grows_beyond_its_limit():
    assert len(safe("\x00" * 10_000, 100).encode()) < 140


def clocked():
    now = [100.0]
    return now, lambda: now[0]


def test_a_part_without_work_is_healthy_however_long():
    now, clock = clocked()
    pulse = health.Pulse("sink", "erp", "http", clock=clock)
    pulse.enter("up")
    now[0] += 3600
    assert health.check([pulse], {}).ready


def test_a_part_with_work_and_no_progress_for_five_seconds_is_not_ready():
    now, clock = clocked()
    pulse = health.Pulse("sink", "erp", "http", clock=clock)
    pulse.enter("up")
    pulse.begin()
    now[0] += 4.9
    assert health.check([pulse], {}).ready
    now[0] += 0.2
    found = health.check([pulse], {})
    assert not found.ready
    assert found.problems == ["sink erp has work and made no progress for 5 s"]
    pulse.progress()
    assert health.check([pulse], {}).ready


def test_a_sink_that_cannot_connect_while_events_wait_is_not_ready():
    now, clock = clocked()
    pulse = health.Pulse("sink", "erp", "http", clock=clock)
    pulse.enter("disconnected", "no route to host")
    now[0] += 6
    assert health.check([pulse], {"erp": 0}).ready
    assert health.check([pulse], {"erp": 3}).problems == [
        "sink erp has work and made no progress for 6 s (no route to host)"
    ]
    pulse.enter("starting")
    pulse.enter("up")
    assert health.check([pulse], {"erp": 3}).ready


def test_a_sink_whose_writes_fail_is_not_ready_however_often_it_opens():
    now, clock = clocked()
    pulse = health.Pulse("sink", "erp", "http", clock=clock)
    pulse.enter("up")
    for _ in range(6):  # It opens without reaching the target, and each write finds nobody there.
        pulse.begin()
        pulse.give_back("connection refused")
        pulse.enter("disconnected", "connection refused")
        pulse.enter("starting")
        pulse.enter("up")
        pulse.idle()
        assert not pulse.reached
        now[0] += 1
    assert health.check([pulse], {"erp": 1}).problems == [
        "sink erp has work and made no progress for 6 s (connection refused)"
    ]
    assert health.check([pulse], {"erp": 0}).ready
    pulse.begin()
    pulse.progress()
    assert pulse.reached
    assert health.check([pulse], {"erp": 1}).ready


def test_a_sink_that_is_always_told_to_wait_is_not_ready():
    now, clock = clocked()
    pulse = health.Pulse("sink", "erp", "http", clock=clock)
    pulse.enter("up")
    pulse.begin()
    pulse.give_back("http_429: slow down")
    pulse.idle()
    now[0] += 6
    assert pulse.reached
    assert health.check([pulse], {"erp": 1}).problems == [
        "sink erp has work and made no progress for 6 s (http_429: slow down)"
    ]


def test_a_sink_that_has_parked_too_much_is_not_ready():
    assert health.check([], {}, stopped=["erp"]).problems == [
        "sink erp is stopped: its parked_max is reached"
    ]


def test_a_part_that_is_down_is_not_ready():
    pulse = health.Pulse("source", "plant", "opcua")
    pulse.enter("down", "KeyError: 'x'")
    assert health.check([pulse], {}).problems == ["source plant is down: KeyError: 'x'"]


def test_a_peer_that_waits_for_a_person_is_noted_until_it_is_connected_and_makes_nothing_unready():
    pulse = health.Pulse("source", "press-7", "opcua")
    pulse.enter("disconnected", "in quarantine")
    pulse.quarantine = "sha256 3f5c waits"
    found = health.check([pulse], {})
    assert (found.ready, found.notes) == (True, ["source press-7 waits for a person: sha256 3f5c waits"])
    pulse.enter("up")
    assert health.check([pulse], {}).notes == []


STATS = {
    "sources": [
        {
            "name": "mes",
            "present": True,
            "received": 9,
            "accepted_by_type": {"a.v1": 5},
            "rejected_by_code": {"bad_json": 2},
            "duplicates": 1,
            "unrouted": 2,
            "filtered_by_rule": {"idle": 1},
        },
        {"name": "gone", "present": False, "received": 1},
    ],
    "sinks": [
        {
            "name": "erp",
            "present": True,
            "delivered": 3,
            "dropped": 7,
            "queued": 2,
            "parked_by_cause": {"refused": 1},
            "lag_events": 2,
            "lag_ms": 1500,
        }
    ],
    "streams": [{"name": "business", "present": True, "bytes": 4096}],
    "commit_seconds": {"buckets": [[0.001, 3], [None, 0]], "sum": 0.5},
    "unaccounted": 0,
}


def names_of_the_interface():
    for folder in Path(__file__).parents:
        file = folder / "docs" / "design" / "interfaces.md"
        if file.exists():
            return re.findall(r"`(mfgroute_[a-z_]+)", file.read_text().split("## 6")[1])
    return [
        "mfgroute_messages_received_total",
        "mfgroute_events_accepted_total",
        "mfgroute_rejected_total",
        "mfgroute_duplicates_total",
        "mfgroute_filtered_total",
        "mfgroute_delivered_total",
        "mfgroute_parked_total",
        "mfgroute_sink_lag_events",
        "mfgroute_sink_lag_seconds",
        "mfgroute_sink_up",
        "mfgroute_source_up",
        "mfgroute_delivery_seconds",
        "mfgroute_stage_seconds",
        "mfgroute_log_bytes",
        "mfgroute_log_commit_seconds",
        "mfgroute_unaccounted",
        "mfgroute_build_info",
    ]


def test_metrics_have_the_names_of_the_interface_and_one_scrape_reads_once():
    reads = []
    sink = health.Pulse("sink", "erp", "http")
    sink.enter("up")
    sink.seconds.observe(0.02)
    source = health.Pulse("source", "mes", "http")
    for seconds in (0.002, 0.2):
        source.seconds.observe(seconds)
    metrics = Metrics(lambda: reads.append(1) or STATS, lambda: [sink, source])
    assert reads == []
    text = metrics.expose().decode()
    assert reads == [1]
    for name in names_of_the_interface():
        assert re.search(rf"^{name}(_bucket|_count)?[ {{]", text, re.MULTILINE), name
    assert 'mfgroute_rejected_total{code="bad_json",source="mes"} 2.0' in text
    assert 'mfgroute_parked_total{reason="refused",sink="erp"} 1.0' in text
    assert 'mfgroute_sink_lag_seconds{sink="erp"} 1.5' in text
    assert "gone" not in text
    assert 'mfgroute_sink_up{sink="erp"} 1.0' in text
    assert 'mfgroute_source_up{source="mes"} 0.0' in text
    assert 'mfgroute_delivery_seconds_count{sink="erp"} 1.0' in text
    assert 'mfgroute_stage_seconds_count{stage="submit"} 2.0' in text
    assert 'mfgroute_stage_seconds_sum{stage="submit"} 0.202' in text
    assert 'mfgroute_stage_seconds_count{stage="deliver"} 1.0' in text
    assert 'mfgroute_dropped_total{sink="erp"} 7.0' in text
    assert 'mfgroute_unrouted_total{source="mes"} 2.0' in text


def test_counters_of_an_adapter_grow_over_its_connections():
    pulse = health.Pulse("source", "edges", "zeromq")
    metrics = Metrics(dict, lambda: [pulse])
    first, second = {"gaps": 2, "refused_clients": 1}, {"gaps": 0}
    pulse.count_with(lambda: first)
    line = 'mfgroute_adapter_total{counter="%s",name="edges",part="source"} %d.0'
    assert line % ("gaps", 2) in metrics.expose().decode()
    pulse.count_with(None)
    first["gaps"] = 99  # A connection that is over counts no more.
    pulse.count_with(lambda: second)
    second["gaps"] = 3
    text = metrics.expose().decode()
    assert line % ("gaps", 5) in text
    assert line % ("refused_clients", 1) in text


def test_backoff_is_jittered_capped_and_repeats_for_a_seed():
    def pauses(seed):
        backoff = Backoff(first_s=0.2, max_s=30, random=random.Random(seed))
        return [backoff.next_s() for _ in range(50)]

    assert pauses(1) == pauses(1) != pauses(2)
    assert max(pauses(1)) <= 30
    assert min(pauses(1)) >= 0.01
    assert pauses(1)[0] <= 0.2


def test_a_bucket_lets_its_rate_pass():
    now, clock = clocked()
    bucket = TokenBucket(50, clock)
    passed = 0
    while now[0] < 110.0:
        delay_s = bucket.delay_s()
        if delay_s:
            now[0] += delay_s
        else:
            bucket.take()
            passed += 1
    assert 500 <= passed <= 506


def test_a_bucket_without_a_rate_lets_all_pass():
    bucket = TokenBucket(None)
    bucket.take()
    assert bucket.delay_s() == 0
