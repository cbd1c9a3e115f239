"""What every row of the suite gets."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from peers import Workshop
from race import Track


@dataclass(frozen=True)
class Context:
    """How much is measured.

    Attributes:
        rounds: repetitions of everything that is a ratio.
        messages: of one run of W1.
        full: durations and numbers of the targets instead of those scaled down.
        quick: only whether everything runs; the numbers mean nothing.
        repeat_noisy: whether a noisy round is repeated.
    """

    rounds: int
    messages: int
    full: bool
    quick: bool
    repeat_noisy: bool
    shop: Workshop
    track: Track

    def sized(self, count: int) -> int:
        """A number of messages, in whole slabs of 512; a twentieth of it if it is to be quick."""
        return max(512, count // (20 if self.quick else 1) // 512 * 512)

    @property
    def work(self) -> Path:
        """A folder for files of this run."""
        return self.track.folder


def in_turns(
    rounds: int, cases: Mapping[str, Callable[[], float]], *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run cases of this process in turns, forwards and backwards; the first turn is not counted."""
    numbers: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases)
    for turn in range(rounds + warm_up):
        for name in order if turn % 2 == 0 else order[::-1]:
            gc.collect()
            found = cases[name]()
            if turn > 0 or not warm_up:
                numbers[name].append(found)
    return numbers


def seeded(number: int) -> random.Random:
    """The same random numbers in every run."""
    return random.Random(number)
