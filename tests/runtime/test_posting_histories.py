"""The sender of a poster: all histories of one event up to a length."""

from collections import deque

import pytest
from test_posting import CLASSES, TIMEOUT_S, Crash, Target, World

from mfgroute.adapter import Effect
from mfgroute.events import Done, InDoubt, Refused, Retry

#: Steps of one history, and the time between two of them: shorter than what a target may need for a request.
LENGTH = 8
STEP_S = 15.0
#: With a target that forgets a key while an event is still tried.
EXPLORED = CLASSES | {"key, forgotten": Effect(by="key", kept=55.0)}
DOES = [
    "ok",
    "cut after",
    "cut before",
    "unreachable",
    "busy",
    "refuse",
    "crash before",
    "crash after",
    "cut, late",
    "crash, late",
    "hang",
    "accept",
    "accept, works",
    "accept, locked",
]


async def step(posting, effect, world, does):
    """One attempt; answers its outcome and the sender that goes on, a new one after a crash."""
    target = Target(effect, world)
    target.does = does
    try:
        (outcome,) = await posting.run(target, world, [world.event()])
    except Crash:
        outcome, posting = Retry(reason="crashed"), world.posting()
    world.pass_time(STEP_S, effect)
    return outcome, posting


async def told(effect, history):
    """Tell a history from the beginning."""
    world = World()
    posting, outcome = world.posting(), None
    for does in history:
        outcome, posting = await step(posting, effect, world, does)
        if not isinstance(outcome, Retry):
            break
    return world, outcome, state_of(world, posting, outcome, effect.kept or 0.0)


def state_of(world, posting, outcome, kept_s):
    """All that decides what may come; of times only what is still to run."""
    begun = world.begun
    at = [] if begun is None else [begun.first_s, *world.done_at.values()]
    return (
        begun is not None and (begun.attempts > 0, begun.accepted),
        tuple(min(world.now - sent, TIMEOUT_S) for sent in posting._sent.values()),
        min(world.now - posting._began, TIMEOUT_S),
        tuple(min(world.now - one, kept_s) for one in at),
        tuple(due - world.now for due, _ in sorted(world.works)),
        frozenset(posting._unsent),
        frozenset(posting._over),
        len(world.committed),
        type(outcome),
    )


async def explored(effect):
    """Every history up to the length, each state gone on from once; gives what histories ended with."""
    seen, ends, todo = set(), [], deque([()])
    while todo:
        history = todo.popleft()
        for does in DOES:
            longer = (*history, does)
            world, outcome, state = await told(effect, longer)
            if not isinstance(outcome, Retry):
                ends.append((longer, type(outcome), len(world.committed)))
            elif state not in seen and len(longer) < LENGTH:
                seen.add(state)
                todo.append(longer)
                # Whatever has happened, it ends as soon as the target does what it is asked to.
                _, calm, _ = await told(effect, (*longer, *["ok"] * 6))
                assert isinstance(calm, Done | InDoubt | Refused), longer
    return ends


@pytest.mark.parametrize("name", EXPLORED)
async def test_in_every_history_an_event_has_the_effect_that_its_class_promises(name):
    ends = await explored(EXPLORED[name])
    assert {how for _, how, _ in ends} >= {Done, Refused}
    for history, how, effects in ends:
        if name == "at least once":
            assert effects >= (how is Done), history
            continue
        assert effects <= 1, history
        if how is Done:
            assert effects == 1, history
        if how is InDoubt:
            assert name in ("at most once", "key, forgotten"), history
    assert (InDoubt in {how for _, how, _ in ends}) == (name in ("at most once", "key, forgotten"))
    doubles = [history for history, _, effects in ends if effects > 1]
    assert bool(doubles) == (name == "at least once"), "these histories find what can go wrong"


@pytest.mark.parametrize("outage", ["unreachable", "busy"])
async def test_an_outage_after_a_lost_answer_does_not_outlast_what_the_target_remembers(outage):
    effect = EXPLORED["key, forgotten"]
    world, outcome, _ = await told(effect, ["cut after", *[outage] * 4, "ok"])
    assert isinstance(outcome, InDoubt)
    assert len(world.committed) == 1
    # What certainly never arrived may be sent however late.
    world, outcome, _ = await told(effect, [*[outage] * 6, "ok"])
    assert outcome == Done("4900000001")


@pytest.mark.parametrize("name", ["lookup", "at most once"])
async def test_a_refusal_is_of_an_event_without_effect(name):
    for history, how, effects in await explored(CLASSES[name]):
        assert not (how is Refused and effects), history
