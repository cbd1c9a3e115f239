"""One effect for each event, whatever dies: node and target are killed, answers are lost, late, bad or never come.

The oracle knows two ledgers: what the client was acknowledged, and what the target did. Neither is the node's.
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tests.torture import traced
from tests.torture.effects import AHEAD, HERE, Story, at_call
from tests.torture.effects_project import DOORS, ORDERS, PERIODS, report
from tests.torture.mutant_node import MUTANTS
from tests.torture.oracle import wrong

#: How many events; a long run sends more.
COUNT = int(os.environ.get("MFGROUTE_EFFECTS", "2000"))
#: After how many of them node or target are killed, at most.
SHARE = 400 if COUNT <= 20_000 else 1_000
#: Calls of a sender: what it writes down, and what it says to the target and hears.
CALLS = ("pwrite64", "fdatasync", "connect", "write", "read")
BAD = 7
RATIO = 0.25

pytestmark = pytest.mark.timeout(300 + COUNT // 4)


@pytest.fixture
def story(tmp_path):
    """Tells one story at a time; what it runs is killed at the end."""
    told = []

    def of(*arguments, **more):
        folder = tmp_path / str(len(told))
        folder.mkdir()
        told.append(Story(folder, *arguments, **more))
        return told[-1]

    yield of
    for one in told:
        one.end()


def bad_heads(count):
    """Reports that are refused, each of another order, and those of their orders that come later."""
    heads = [count - len(DOORS) * ORDERS * 5 + 3 * at + at % len(DOORS) for at in range(BAD)]
    places = {number: (number % len(DOORS), number // len(DOORS) % ORDERS) for number in range(count)}
    behind = [number for head in heads for number in range(head + 1, count) if places[number] == places[head]]
    assert len({places[head] for head in heads}) == BAD
    return heads, behind


def parked(cause, numbers):
    """How the node lists them."""
    return [(cause, DOORS[number % len(DOORS)], f"r{number}") for number in numbers]


def through_a_window(one, door):
    """A window of a door that begins while it is posted to, and that the node is killed in: others go on."""
    others = [name for name in DOORS if name != door]

    def others_go_on():
        # What the closed door keeps back must not hold up the client.
        one.client.ahead += 10 * AHEAD
        goal = one.target.count("arrival", *others) + 20
        return one.until(lambda: one.target.count("arrival", *others) >= goal)

    assert one.window(door, on=True)
    before = one.target.count("arrival", door)
    assert others_go_on()
    one.node.kill()
    one.start()
    assert others_go_on()
    assert one.target.count("arrival", door) == before
    assert one.window(door, on=False)
    one.client.ahead = AHEAD


def through_a_closing(one):
    """A period that closes while it is posted to, and opens again: what is of it waits."""
    one.target.close_periods(PERIODS[0])
    goal = one.target.count("period_closed", *DOORS) + 20
    assert one.until(lambda: one.target.count("period_closed", *DOORS) >= goal)
    one.target.close_periods()


def test_every_event_has_one_effect_whatever_dies(story, record_property):
    dice = random.Random(seed := os.environ.get("MFGROUTE_SEED", "1"))
    heads, behind = bad_heads(COUNT)
    closed = [(DOORS[number % len(DOORS)], f"r{number}") for number in heads]
    one = story(range(COUNT), seed=seed, ratio=RATIO, closed=closed, behind=len(behind))
    kills = windows = periods = 0
    for turn in range(max(3, COUNT // SHARE)):
        point = (dice.choice(CALLS[:4]), dice.randrange(60, 300))
        one.start(at_call(*point) if turn % 2 and traced.why_not() is None else ())
        one.progress(dice.randrange(SHARE // 2, SHARE))
        # Not at the end, when others have nothing left to go on with.
        if turn % 4 == 0 and one.target.done() < COUNT * 3 // 4:
            through_a_window(one, DOORS[turn // 4 % 3])
            windows, kills = windows + 1, kills + 1
        if turn % 4 == 2:
            through_a_closing(one)
            periods += 1
        if turn % 3 != 1:
            one.target.kill()
            one.target.start()
            one.progress(dice.randrange(1, 20))
            kills += 1
        one.node.kill()
        kills += 1
    one.start()
    patience_s = 120 + COUNT / 20
    assert one.settled(patience_s) == sorted(parked("behind", behind) + parked("refused", heads))
    one.retry_keys()
    assert one.settled(patience_s) == []
    for name, count in (("kills", kills), ("effects", COUNT), ("windows", windows), ("periods", periods)):
        record_property(name, count)
    assert min(windows, periods) > 0
    assert one.wrong() == []
    target = {
        line["report"]: ("posted", line["number"], Decimal(line["quantity"])) for line in one.target.effects()
    }
    # The records follow the log.
    assert one.until(lambda: one.recorded() == target, patience_s), one.recorded().items() ^ target.items()


def mutated(folder, name):
    """What is wrong in the recorded case: every report meets three faults, and the node is killed meanwhile."""
    folder.mkdir()
    program = (str(HERE / "mutant_node.py"),)
    story = {"ratio": 1.0} | MET.get(name, {})
    one = Story(folder, range(24), seed="recorded", program=program, **story)
    try:
        one.start(MUTANT=name)
        if name in TWICE:
            one.until(lambda: len(one.target.lines()) >= 20)
            one.node.kill()
            one.start(MUTANT=name)
        one.settled()
        return one.wrong()
    finally:
        one.end()


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """What is wrong with each mutant, and with none; most of the time they wait for answers that never come."""
    place, names = tmp_path_factory.mktemp("mutants"), ["none", *MUTANTS]
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda name: mutated(place / name, name), names), strict=True))


#: A mutant that is seen only while the target is at work: it is for seconds, and nothing else goes wrong.
MET = {"asks_at_once": {"ratio": 0.0, "faults": ("late",), "slow": 4}}
#: Mutants that are seen only by what a second life of the node does.
TWICE = ("none", "new_body", "writes_nothing_down")
#: Senders that break a promise, and how the oracle calls it.
CAUGHT = {
    "new_key": "double",
    "new_body": "other bytes",
    "never_asks": "double",
    "asks_at_once": "double",
    "writes_nothing_down": "double",
    "takes_silence_for_done": "lost",
    "takes_lies_for_done": "lost",
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(cases, name):
    assert any(words.startswith(CAUGHT[name]) for words in cases[name]), cases[name]


def test_the_recorded_case_fails_for_nothing_but_its_mutant(cases):
    assert cases["none"] == []


def effect(of, door=None, **changed):
    """A line of the target's journal."""
    one = report(of)
    taken = {"report": one["id"], "order": one["order"], "quantity": one["qty"], "number": f"n{of}"}
    return {"is": "effect", "door": door or one["text"], "key": f"k{of}", **taken, **changed}


def arrival(number, sha="a"):
    """Another one."""
    return {"is": "arrival", "door": "key", "key": f"k{number}", "sha": sha}


#: Two of each order.
ALL = range(2 * len(DOORS) * ORDERS)
WHOLE = [effect(number) for number in ALL]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (WHOLE[:-1], "lost: ['r239']"),
        ([*WHOLE, effect(3, number="other")], "double: ['r3']"),
        ([*WHOLE, effect(2, number="other")], "double: ['r2']"),
        ([*WHOLE, effect(len(ALL))], "never acknowledged: ['r240']"),
        ([*WHOLE[120:], *WHOLE[:120]], "order K0: r0 after r120"),
        ([*WHOLE, arrival(3), arrival(3, "b")], "other bytes: key k3"),
        ([*WHOLE[:-1], effect(239, quantity="1")], "order U39: "),
    ],
)
def test_each_broken_promise_is_named(lines, words):
    assert any(found.startswith(words) for found in wrong(ALL, lines)), wrong(ALL, lines)


def test_nothing_is_wrong_with_a_whole_ledger():
    replaced = [effect(number, "upsert") for number in ALL[2::3]]
    assert wrong(ALL, [*WHOLE, *replaced, arrival(3), arrival(3)]) == []
