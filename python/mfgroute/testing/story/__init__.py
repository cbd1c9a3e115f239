"""A deterministic, bounded day in three plants: who sends what, and what must have happened in the end.

It covers make-to-order (S1), three plants with one contract (S3) and a quality hold (S4): four orders, an
MES that posts JSON, one that speaks B2MML, a line that drops CSV files, three presses, a QMS, and an ERP
that is busy, broken, locked and cut off for a while and refuses a closed period until a person opens it. The
demo plays it, then compares ledgers and counters with `Story.sources`, `Story.effects`, `Story.amounts` and
the totals.

Items are counted as in promise 1: each event that a message makes is one, each ignored element of an
`each` is one *filtered*, and a refused message is one *rejected*.

* `model`: steps, outcomes, totals.
* `messages`: the documents that the plants write.
* `chapters`: the steps, in order.
* `expected`: every effect that it must have.
* `postings`: the ledger of the ERP in the words of the story.
* `play`: the whole story.
"""

from mfgroute.testing.story.expected import Expected, describe
from mfgroute.testing.story.model import (
    SYSTEMS,
    Drop,
    Misbehave,
    Outcome,
    Post,
    Reopen,
    Signal,
    Signals,
    Step,
    Story,
)
from mfgroute.testing.story.play import story

__all__ = [
    "SYSTEMS",
    "Drop",
    "Expected",
    "Misbehave",
    "Outcome",
    "Post",
    "Reopen",
    "Signal",
    "Signals",
    "Step",
    "Story",
    "describe",
    "story",
]
