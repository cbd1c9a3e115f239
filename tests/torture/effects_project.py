"""The project of a node with posters, and the reports that are sent to it."""

from __future__ import annotations

from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS
from tests.runtime.durable_node import TOKEN

DOORS = ("key", "lookup", "upsert")
#: How long the target may be at work on a request, and a node waits for an answer.
TIMEOUT_S = 2
#: How many orders each door has: as many events are on their way at the same time.
ORDERS = 40
#: Periods that reports are posted in, the first of which closes and opens; of how many reports one is of that.
PERIODS, SELDOM = ("2026-10", "2026-11"), 5
MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: http, mappings: [mes-a], token: TOKEN}
sinks:
"""
#: An answer counts that says `posted`; one that says less is a lost one.
SINK = """\
  {door}:
    adapter: http
    url: "http://127.0.0.1:{port}/{door}"
    allow_private: true
    calendar: calendars/{door}.yaml
    retry: {{tries: 1000, delay_max: 100ms}}
    limits: {{in_flight: 16, timeout: {timeout}s, breaker: {{failures: 100000, share: 100}}, retries: {{share: 100, least: 1000/s}}}}
    owner: tests
    reference: /number
    effect: {{by: {door}}}
    success: {{pointer: /status, equals: posted}}
    answers:
      - {{status: 422, pointer: /code, equals: PERIOD_CLOSED, means: not_yet, within: 4h, after: 100ms}}
      - {{status: 202, means: ask}}
    requests:
      - method: {method}
        path: "{path}"
        body: {{reference: "{{key}}", order: "{{data.order}}", report: "{{data.report}}", period: "{{data.period}}", quantity: "{{data.quantity.good}}", made: "{life}"}}
        amounts: {{yield: "{{data.quantity.good}}"}}
"""
ASK = '    ask: {path: "?reference={key}", list: /items, match: /reference, reference: /number}\n'
ROUTE = """  - {{name: to-{door}, match: {{type: production.operation.completed/1}}, where: 'has(data.text) && data.text == "{door}"', to: {door}}}\n"""
ALWAYS = """\
zone: UTC
windows:
  - {weekly: [monday, tuesday, wednesday, thursday, friday, saturday, sunday], from: "00:00", to: "24:00", why: maintenance}
"""
NEVER = "zone: UTC\nwindows: []\n"


def write_project(folder, port, life, timeout_s):
    """The project; what requests look like is another thing in each life of the node, as after a change of them."""
    main = MAIN.replace("TOKEN", TOKEN)
    for door in DOORS:
        method, path = ("PUT", "/{key}") if door == "upsert" else ("POST", "")
        main += SINK.format(
            door=door, port=port, life=life, method=method, path=path, timeout=timeout_s
        ) + ASK * (door == "lookup")
        if not (folder / "calendars" / f"{door}.yaml").exists():
            write_calendar(folder, door, NEVER)
    main += "routes:\n" + "".join(ROUTE.format(door=door) for door in DOORS)
    return write_files(folder, main)


def write_calendar(folder, door, text):
    """When a door is left alone."""
    (folder / "calendars").mkdir(parents=True, exist_ok=True)
    (folder / "calendars" / f"{door}.yaml").write_text(text)


def write_files(folder, main):
    """A project of this main file."""
    for name, text in {
        "mfgroute.yaml": main,
        "contracts/production.operation.completed.v1.yaml": CONTRACT.replace(
            "    text: {type: string}\n", "    text: {type: string}\n    period: {type: string}\n"
        ),
        "mappings/mes-a.yaml": f"{MAPPING}      period: {{path: period}}\n",
        "lookups/materials.csv": MATERIALS,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def report(number):
    """A report: door, order, period and quantity follow from its number."""
    door, order = DOORS[number % len(DOORS)], number // len(DOORS) % ORDERS
    quantity = f"{1 + number % 17}.{number % 1000:03}"
    body = {"id": f"r{number}", "ts": "2026-11-24T10:00:00Z", "order": f"{door[0].upper()}{order}"}
    period = PERIODS[number % SELDOM > 0]
    return {**body, "mat": "A", "qty": quantity, "uom": "KG", "text": door, "period": period}
