import json
from pathlib import Path

import pytest
from fakes_runtime import NODE, SMALL

from mfgroute import errors
from mfgroute.adapter import Secret
from mfgroute.config import report
from mfgroute.project import load_project
from mfgroute.units import Duration, Rate, Size

pytestmark = pytest.mark.usefixtures("fake_core")


@pytest.fixture
def problems(project, registry):
    def of(text, **environ):
        with pytest.raises(errors.ConfigError) as caught:
            load_project(project(text), adapters=registry, environ=environ)
        return [(one.line, one.column, one.message, one.hint) for one in caught.value.problems]

    return of


@pytest.fixture
def load(project, registry):
    def of(text, **environ):
        return load_project(project(text), adapters=registry, environ=environ)

    return of


def test_a_small_project_loads(load):
    loaded = load(SMALL)
    assert loaded.model.sinks["erp"].section.limits.in_flight == 4
    assert loaded.model.streams["business"].capacity == 1 << 30
    assert loaded.model.routes[0].to == "erp"
    assert loaded.model.http is None
    assert loaded.data_dir == loaded.root / "data"


FULL = (
    NODE
    + """\
http: {listen: 127.0.0.1:8080}
streams:
  business: {durability: memory, capacity: 20GiB, partitions: 32, when_full: block}
  telemetry: {durability: memory, capacity: 256MiB, when_full: drop_oldest}
sources:
  mes-a:
    adapter: fake
    mappings: [a, b]
    filter: {name: idle, when: {path: x, equals: 1}}
    uri: //plant/mes
    on_reject: next
sinks:
  sap:
    adapter: fake
    effect: {by: key, header: Idempotency-Key, kept: 24h}
    on_refused: park_key
    retry: {tries: 8, delay_max: 5m}
    limits: {in_flight: 4, rate: 50/s, timeout: 10s}
    parked_max: {events: 10000, bytes: 256MiB}
    owner: erp-team
  log: {adapter: fake, effect: {by: none, accept: at_least_once}}
routes:
  - {name: to-sap, match: {type: "production.completed/1", source: [mes-a]}, where: "1 == 1", to: sap}
  - {name: all, match: {type: [">", "a.*"]}, to: [log, sap]}
"""
)


def test_every_key_of_the_interface_is_understood(load):
    model = load(FULL).model
    sap = model.sinks["sap"].section
    assert (sap.limits.rate, sap.limits.timeout, sap.retry.delay_max) == (50, 10, 300)
    assert sap.effect.kept == 86400
    assert model.sources["mes-a"].section.filter.name == "idle"
    assert model.routes[1].to == ["log", "sap"]


def test_the_core_is_told_which_sinks_take_one_event_of_a_key_at_a_time(load):
    loaded = load(NODE + "sinks:\n  erp: {adapter: fake}\n  log: {adapter: many}\n")
    assert {name: one["one_per_key"] for name, one in loaded.plan.config["sinks"].items()} == {
        "erp": True,
        "log": False,
    }
    assert "one_per_key" not in loaded.raw["sinks"]["erp"]


CASES = [
    (
        "an unknown key in the file",
        NODE + "sink: {}\n",
        (3, 1, "unknown key `sink` in the file", "did you mean `sinks`?"),
    ),
    (
        "an unknown key in a section",
        NODE + "streams:\n  business: {durability: memory, capazity: 1GiB}\n",
        (4, 34, "unknown key `capazity` in `streams.business`", "did you mean `capacity`?"),
    ),
    (
        "a bare number as a size",
        NODE + "streams:\n  business: {durability: memory, capacity: 1000}\n",
        (
            4,
            44,
            (
                "`streams.business.capacity` is `1000`, "
                "expected a size such as `20GiB` (B, KiB, MiB, GiB or TiB)"
            ),
            None,
        ),
    ),
    (
        "a missing key",
        NODE + "streams:\n  business: {capacity: 1GiB}\n",
        (
            4,
            13,
            "`streams.business` has no `durability`",
            "what survives a crash: nothing (`memory`), or everything acknowledged as `durable` (`fsync`)",
        ),
    ),
    (
        "a number where a text is meant",
        "apiVersion: mfgroute/v1\nnode: {id: 4711, namespace: com.example}\n",
        (2, 12, "`node.id` is `4711`, expected a text", "quote it"),
    ),
    (
        "a wrong word",
        NODE + "streams:\n  business: {durability: memory, when_full: drop}\n",
        (4, 45, "`streams.business.when_full` is `drop`, expected one of block, drop_oldest", None),
    ),
    (
        "an unknown adapter",
        NODE + "sinks:\n  erp: {adapter: fakee}\n",
        (4, 18, "no sink adapter is called `fakee`", "did you mean `fake`?"),
    ),
    (
        "a key that the adapter does not have",
        NODE + "sinks:\n  erp: {adapter: fake, urll: x}\n",
        (4, 24, "unknown key `urll` in `sinks.erp`", "did you mean `url`?"),
    ),
    (
        "a wrong type in the adapter's part",
        NODE + "sinks:\n  erp: {adapter: fake, url: 5}\n",
        (4, 29, "`sinks.erp.url` is `5`, expected a text", "quote it"),
    ),
    (
        "a wrong type deep in a section",
        NODE + "sinks:\n  erp: {adapter: fake, retry: {tries: many}}\n",
        (4, 39, "`sinks.erp.retry.tries` is `many`, expected a whole number", None),
    ),
    (
        "a bound",
        NODE + "sinks:\n  erp: {adapter: fake, limits: {in_flight: 0}}\n",
        (4, 44, "`sinks.erp.limits.in_flight` is `0`, expected a whole number >= 1", None),
    ),
    (
        "a name with capitals",
        NODE + "sinks:\n  ERP: {adapter: fake}\n",
        (
            4,
            3,
            "`ERP` is not a name for one of the sinks",
            "use lowercase letters, digits and `-`, such as `mes-a`",
        ),
    ),
    (
        "a route to nowhere",
        SMALL.replace("to: erp", "to: epr"),
        (10, 41, "no sink is called `epr`", "did you mean `erp`?"),
    ),
    (
        "a name of a sink in the settings of a source",
        NODE + "sources:\n  told: {adapter: effects, sinks: [epr]}\nsinks:\n  erp: {adapter: fake}\n",
        (4, 36, "no sink is called `epr`", "did you mean `erp`?"),
    ),
    (
        "a recording without a bound",
        NODE + "sources:\n  plant: {adapter: fake, record: {keep: 7d}}\n",
        (4, 34, "`sources.plant.record` has no `size`", "most bytes; the oldest messages go first"),
    ),
    (
        "an effect of none without what it costs",
        NODE + "sinks:\n  erp: {adapter: fake, effect: {by: none}}\n",
        (
            4,
            32,
            "`sinks.erp.effect`: `by: none` needs `accept: at_least_once` or `accept: at_most_once`",
            None,
        ),
    ),
    (
        "a cost of an effect that has none",
        NODE + "sinks:\n  erp: {adapter: fake, effect: {by: key, accept: at_most_once}}\n",
        (4, 32, "`sinks.erp.effect`: `accept` is of `by: none`, here is `by: key`", None),
    ),
    (
        "a sink that is to ask its target and cannot",
        NODE + "sinks:\n  erp: {adapter: fake, effect: {by: lookup}}\n",
        (
            4,
            37,
            "`sinks.erp.effect.by` is `lookup`, and this adapter cannot ask its target",
            "use `by: key` or `by: upsert` if the target can do so",
        ),
    ),
    (
        "a source that does something else on a reject",
        NODE + "sources:\n  plant: {adapter: fake, on_reject: hold}\n",
        (4, 37, "`sources.plant.on_reject` is `hold`, expected one of next, hold_key", None),
    ),
    (
        "a listener that is open to the network",
        NODE + "http: {listen: 0.0.0.0:8080, insecure: true}\nsources:\n  mes: {adapter: box}\n",
        (
            3,
            16,
            "`http.listen` is `0.0.0.0:8080`, open to the network with `mes` without a token",
            "listen on 127.0.0.1, or give every http source a `token`",
        ),
    ),
    (
        "a text that does not look as it must",
        NODE + "http: {listen: localhost}\n",
        (
            3,
            16,
            r"`http.listen` is `localhost`, expected a text like `^(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}$`",
            "address and port; one other than loopback needs `insecure: true` and a token on every http source",
        ),
    ),
    (
        "a listener on the network without TLS",
        NODE + "http: {listen: 0.0.0.0:8080}\nsources:\n  mes: {adapter: box, token: xxxxxxxxxxxxxxxxxxxx}\n",
        (
            3,
            16,
            "`http.listen` is `0.0.0.0:8080`, open to the network without TLS",
            "listen on 127.0.0.1 behind a proxy that ends TLS, or say `insecure: true`",
        ),
    ),
    (
        "a listener that is open to the network without inboxes",
        NODE + "http: {listen: '[::]:8080', insecure: true}\n",
        (
            3,
            16,
            "`http.listen` is `[::]:8080`, open to the network with no token configured",
            "listen on 127.0.0.1, or give every http source a `token`",
        ),
    ),
    (
        "another version",
        "apiVersion: v2\nnode: {id: a, namespace: b}\n",
        (1, 13, "`apiVersion` is `v2`, expected `mfgroute/v1`", None),
    ),
    ("no map", "- 1\n", (1, 1, "the file is a list, expected a map with `apiVersion`", None)),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_mistake_is_named_at_its_place(problems, text, expected):
    assert problems(text) == [expected]


def test_every_mistake_is_found_at_once(problems):
    found = problems(
        NODE
        + """\
stream: {}
streams: {business: {durability: fsync, capacity: 5}, t: {durability: memory, partitions: 0}}
sources: {A: {adapter: fake, size: x}, b: {adapter: fike}, c: 1}
sinks: {erp: {adapter: fake, limits: {in_flight: no, rate: 50}, on_refused: drop}}
routes: [{name: a, match: {type: x}, to: [erp, nope]}, {name: a, match: {}, to: erp}, 5]
"""
    )
    assert len(found) == 13, "\n".join(map(str, found))
    assert [line for line, *_ in found] == sorted(line for line, *_ in found)


def test_problems_of_the_core_are_merged_in_order(problems):
    text = SMALL.replace("name: all", "name: bad").replace("in_flight: 4", "in_flight: 0")
    assert [(line, message) for line, _, message, _ in problems(text)] == [
        (8, "`sinks.erp.limits.in_flight` is `0`, expected a whole number >= 1"),
        (10, "bad route"),
    ]


def test_a_project_that_is_not_there_says_how_to_make_one(tmp_path, registry):
    with pytest.raises(errors.ConfigError, match="no project at") as caught:
        load_project(tmp_path, adapters=registry)
    assert "mfgroute init" in (caught.value.problems[0].hint or "")


SECRETS = (
    NODE
    + "sources:\n  plant: {adapter: fake, url: 'http://${HOST:-localhost}/', password: '${file:secret}'}\n"
)


def test_values_are_replaced_and_secrets_are_never_shown(load, tmp_path):
    (tmp_path / "secret").write_text("canary-4711\n")
    loaded = load(SECRETS, HOST="plant.example")
    config = loaded.model.sources["plant"].config
    assert config.url == "http://plant.example/"
    assert config.password == Secret("canary-4711")
    shown = json.dumps(loaded.redacted()) + repr(loaded.model.sources["plant"].config)
    assert "canary" not in shown
    assert "plant.example" not in json.dumps(loaded.redacted())
    assert "canary-4711" in loaded.secrets


def test_a_secret_field_written_in_the_file_is_redacted_too(load):
    loaded = load(NODE + "sources:\n  plant: {adapter: fake, password: canary-4711}\n")
    assert "canary" not in json.dumps(loaded.redacted())
    assert "canary-4711" in loaded.secrets


def test_a_variable_without_a_value_is_a_problem_at_its_place(problems):
    found = problems(NODE + "sources:\n  plant: {adapter: fake, url: '${NOWHERE}'}\n")
    assert [(line, column) for line, column, *_ in found] == [(4, 31)]
    assert "NOWHERE" in found[0][2]


def test_a_variable_without_a_value_does_not_hide_other_mistakes(problems):
    found = problems(NODE + "sources:\n  plant: {adapter: fake, size: '${N}', url: 5}\nsink: {}\n")
    assert [(line, column) for line, column, *_ in found] == [(4, 32), (4, 45), (5, 1)]


def test_no_message_repeats_a_secret(problems):
    found = problems(
        NODE
        + "sources:\n  plant: {adapter: fake, on_reject: '${WORD}', size: '${WORD}'}\n"
        + "sinks: {'${WORD}': 5}\n",
        WORD="canary-4711",
    )
    assert len(found) >= 2
    assert "canary" not in str(found)


def test_a_network_listener_with_tokens_is_allowed_where_the_file_says_that_it_is_meant(load):
    loaded = load(
        NODE
        + "http: {listen: 0.0.0.0:8080, insecure: true}\nsources:\n  mes: {adapter: box, token: '${T}'}\n",
        T="x" * 20,
    )
    assert loaded.model.http.port == 8080
    (warning,) = loaded.warnings
    assert (warning.line, warning.severity) == (3, "warning")
    assert "without TLS: tokens and messages can be read" in warning.message


@pytest.mark.parametrize(
    ("text", "bytes_"), [("1B", 1), ("2KiB", 2048), ("20GiB", 20 << 30), ("1TiB", 1 << 40)]
)
def test_a_size_is_read(text, bytes_):
    assert Size.parse(text) == bytes_


@pytest.mark.parametrize(
    "text", ["", "5", "5MB", "5 MiB", "-1B", "1.5GiB", "5mib", "GiB", 5, None, "٥MiB", "5MiB\n"]
)
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="expected a size"):
        Size.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("1s", 1), ("5m", 300), ("2h", 7200), ("14d", 1209600)]
)
def test_a_duration_is_read(text, seconds):
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["5", "5 s", "1w", "0.5s", "-5s", 5, "5M"])
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected a duration"):
        Duration.parse(text)


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50), ("120/m", 2), ("3600/h", 1)])
def test_a_rate_is_read(text, rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["0/s", "50", "50/d", "/s", 50])
def test_what_is_not_a_rate_is_refused(text):
    with pytest.raises(ValueError, match="expected a rate"):
        Rate.parse(text)


def test_a_report_is_text_with_hints_and_without_control_characters():
    problem = errors.Problem(
        severity="error", file="a.yaml", line=2, column=3, message="bad \x1b[31m\u2028", hint="mend"
    )
    assert report.as_text([problem]) == "a.yaml:2:3: bad \\u001b[31m\\u2028\n  hint: mend"
    assert json.loads(report.as_json([problem]))["problems"][0]["line"] == 2


def test_the_schema_knows_all_adapters_and_says_what_keys_mean():
    from fakes_runtime import FakeSinkConfig, FakeSourceConfig

    from mfgroute.config.schema import schema

    made = schema({"fake": FakeSourceConfig}, {"fake": FakeSinkConfig})
    text = json.dumps(made)
    source = made["properties"]["sources"]["additionalProperties"]["oneOf"][0]
    assert source["properties"]["adapter"] == {"const": "fake"}
    assert "password" in source["properties"]
    mute = [
        (name, key)
        for name, one in made["$defs"].items()
        if not name.startswith(("source-", "sink-"))
        for key, field in one.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert mute == []
    for reference in {Path(part.split('"')[0]).name for part in text.split('"$ref": "')[1:]}:
        assert reference in made["$defs"]
