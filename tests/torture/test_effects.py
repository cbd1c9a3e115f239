"""One effect for each event, whatever dies: node and target are killed, answers are lost, late, bad or never come.

The oracle knows two ledgers: what the client was acknowledged, and what the target did. Neither is the node's.
"""

import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.torture import traced
from tests.torture.effects import DOORS, HERE, ORDERS, Story, at_call, report, wrong
from tests.torture.mutant_node import MUTANTS

#: How many events; a long run sends more.
COUNT = int(os.environ.get("MFGROUTE_EFFECTS", "2000"))
#: After how many of them node or target are killed.
SHARE = 400
#: Calls of a sender: what it writes down, and what it says to the target and hears.
CALLS = ("pwrite64", "fdatasync", "connect", "write", "read")
BAD = 7
RATIO = 0.25

pytestmark = pytest.mark.timeout(300 + COUNT // 4 + 14_400 * bool(os.environ.get("MFGROUTE_SYSCALLS")))


def points_wanted(few):
    """How many system calls a test visits; `MFGROUTE_SYSCALLS=all` visits each."""
    chosen = os.environ.get("MFGROUTE_SYSCALLS", "")
    return None if chosen == "all" else int(chosen or few)


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


def test_every_event_has_one_effect_whatever_dies(story, record_property):
    dice = random.Random(seed := os.environ.get("MFGROUTE_SEED", "1"))
    heads, behind = bad_heads(COUNT)
    closed = [(DOORS[number % len(DOORS)], f"r{number}") for number in heads]
    one = story(range(COUNT), seed=seed, ratio=RATIO, closed=closed)
    kills = 0
    for turn in range(max(3, COUNT // SHARE)):
        point = (dice.choice(CALLS[:4]), dice.randrange(60, 300))
        node = one.start(at_call(*point) if turn % 2 and traced.why_not() is None else ())
        one.progress(dice.randrange(SHARE // 2, SHARE))
        if turn % 3 != 1:
            one.target.kill()
            one.target.start()
            one.progress(dice.randrange(1, 20))
            kills += 1
        node.kill()
        kills += 1
    one.start()
    patience_s = 120 + COUNT / 20
    assert one.settled(patience_s) == sorted(parked("behind", behind) + parked("refused", heads))
    one.retry_keys()
    assert one.settled(patience_s) == []
    record_property("kills", kills)
    record_property("effects", COUNT)
    assert one.wrong() == []
    target = {line["report"]: (line["number"], line["quantity"]) for line in one.target.effects()}
    recorded = one.recorded()
    assert len(recorded) == COUNT
    assert {name: (state, reference) for name, (state, reference, _) in recorded.items()} == {
        name: ("posted", number) for name, (number, _) in target.items()
    }
    assert all(str(amount) == target[name][1] for name, (_, _, amount) in recorded.items())


def counted(out, since):
    """How often each call was made within a thread before a moment, and until the end."""
    line = re.compile(r"(\d+) +([\d.]+) (\w+)\(")
    before, after, found = {}, {}, {}
    for match in filter(None, map(line.match, out.read_text(errors="replace").splitlines())):
        thread, at, call = match.groups()
        found[thread, call] = found.get((thread, call), 0) + 1
        counts = before if float(at) < since else after
        counts[call] = max(counts.get(call, 0), found[thread, call])
    return {call: range(before.get(call, 0) + 1, last + 1) for call, last in after.items()}


def test_killed_at_each_system_call_of_the_sender_every_event_has_one_effect(
    story, tmp_path, record_property
):
    traced.need()
    each, first = 36, story(range(12), ratio=RATIO)
    out = tmp_path / "calls"
    node = first.start(["strace", "-f", "-qq", "-ttt", "-e", f"trace={','.join(CALLS)}", "-o", out])
    ready = out.stat().st_mtime
    assert first.settled() == []
    node.kill()
    ranges = counted(out, ready)
    assert set(CALLS) <= set(ranges)
    found = [(call, number) for call in CALLS for number in ranges.get(call, ())]
    chosen, met = traced.spread(found, points_wanted(4)), 0
    one = story(range(each * len(chosen)), ratio=RATIO)
    for point in chosen:
        node = one.start(at_call(*point))
        one.progress(each, 30)
        met += not node.kill()
    one.start()
    assert one.settled() == []
    record_property("kills", met)
    assert one.wrong() == []
    assert met >= len(chosen) // 2


def mutated(folder, name):
    """What is wrong in the recorded case: every report meets three faults, and the node is killed meanwhile."""
    folder.mkdir()
    one = Story(folder, range(24), seed="recorded", ratio=1.0, program=(str(HERE / "mutant_node.py"),))
    try:
        one.start(MUTANT=name)
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


#: Senders that break a promise, and how the oracle calls it.
CAUGHT = {
    "new_key": "double",
    "new_body": "other bytes",
    "never_asks": "double",
    "asks_at_once": "double",
    "writes_nothing_down": "double",
    "takes_silence_for_done": "lost",
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


WHOLE = [effect(number) for number in range(48)]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (WHOLE[:-1], "lost: ['r47']"),
        ([*WHOLE, effect(3, number="other")], "double: ['r3']"),
        ([*WHOLE, effect(2, number="other")], "double: ['r2']"),
        ([*WHOLE, effect(48)], "never acknowledged: ['r48']"),
        ([*WHOLE[24:], *WHOLE[:24]], "order K0: r0 after r24"),
        ([*WHOLE, arrival(3), arrival(3, "b")], "other bytes: key k3"),
        ([*WHOLE[:-1], effect(47, quantity="1")], "order U7: "),
    ],
)
def test_each_broken_promise_is_named(lines, words):
    assert any(found.startswith(words) for found in wrong(range(48), lines)), wrong(range(48), lines)


def test_nothing_is_wrong_with_a_whole_ledger():
    replaced = [effect(number, "upsert") for number in range(2, 48, 3)]
    assert wrong(range(48), [*WHOLE, *replaced, arrival(3), arrival(3)]) == []
