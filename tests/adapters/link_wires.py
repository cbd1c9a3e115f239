"""Virtual time, and a network that does what networks do, by a seed."""

import hashlib
import heapq
import random
from dataclasses import dataclass


class Clock:
    """What happens when. Time jumps from one thing to the next, so that a day costs what happens in it."""

    def __init__(self):
        self.now, self._count, self._heap = 0.0, 0, []

    def after(self, delay_s, call, *arguments):
        """Call in so many seconds; what is due at the same time goes in the order of these calls."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay_s, self._count, call, arguments))

    def run(self, until_s, over=lambda: False):
        """Go on to a time, or until it is over; says whether it is."""
        while self._heap and self._heap[0][0] <= until_s:
            if over():
                return True
            self.now, _, call, arguments = heapq.heappop(self._heap)
            call(*arguments)
        if not over():
            self.now = until_s
        return over()


class History:
    """What happened, as one number: the same seed has to give the same."""

    def __init__(self, clock):
        self._clock, self._hash = clock, hashlib.blake2b(digest_size=16)

    def say(self, *words):
        """Something happened."""
        self._hash.update(f"{self._clock.now:.6f} {words}\n".encode())

    def hex(self):
        """The number."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Weather:
    """Which faults a history has; each seed has some of them.

    Attributes:
        lose: how likely a frame is lost.
        repeat: how likely it comes twice.
        late_s: how much later than the fastest a frame may come; they overtake each other.
        garble: how likely it is cut, or a bit of it changed.
        edge_deaths: how often an edge dies in a history.
        core_deaths: how often the core does.
        gap: how likely the core dies between its events and their mark.
        log_s: the longest time that the log of an edge takes to note what is done.
        stalls: how often the core takes nothing for a while.
        seen: glimpses of the link during the outage.
        one_way: how likely a cut is one in one direction alone.
    """

    lose: float
    repeat: float
    late_s: float
    garble: float
    edge_deaths: int
    core_deaths: int
    gap: float
    log_s: float
    stalls: int
    seen: int
    one_way: float

    @classmethod
    def of(cls, dice):
        """The weather of a seed."""

        def some(*values):
            return dice.choice(values)

        return cls(
            lose=some(0.0, 0.0, 0.02, 0.1), repeat=some(0.0, 0.0, 0.02, 0.1),
            late_s=some(0.0, 0.0, 0.05, 2.0), garble=some(0.0, 0.0, 0.02),
            edge_deaths=some(0, 1, 4, 8), core_deaths=some(0, 1, 4, 8), gap=some(0.0, 0.0, 0.2),
            log_s=some(0.005, 0.005, 0.5, 5.0), stalls=some(0, 0, 2),
            seen=some(0, 2, 10, 20), one_way=some(0.0, 0.3, 0.7),
        )  # fmt: skip


class Net:
    """The link between all edges and the core: two ways that are cut apart, and mended.

    Attributes:
        passes: whether frames come through, by way.
        weather: what happens to those that do; `None` when nothing does.
    """

    WAYS = ("there", "back")

    def __init__(self, clock, dice, weather):
        self.passes = dict.fromkeys(self.WAYS, True)
        self.weather = weather
        self.calls = []
        self._clock, self._dice = clock, dice
        self.latency_s = dice.choice([0.0005, 0.01, 0.2])

    def set(self, *, there, back):
        """Cut or mend; who waits for it is told."""
        self.passes = {"there": there, "back": back}
        for call in self.calls:
            call()

    def send(self, way, frame, deliver, *arguments):
        """Send a frame; perhaps it arrives, perhaps twice, perhaps later than others."""
        if not self.passes[way]:
            return
        weather = self.weather
        if weather is None:
            self._clock.after(self.latency_s, self._arrive, way, frame, deliver, arguments)
            return
        dice = self._dice
        if dice.random() < weather.lose:
            return
        for _ in range(2 if dice.random() < weather.repeat else 1):
            late_s = dice.random() ** 3 * weather.late_s
            sent = garbled(dice, frame) if dice.random() < weather.garble else frame
            self._clock.after(self.latency_s + late_s, self._arrive, way, sent, deliver, arguments)

    def _arrive(self, way, frame, deliver, arguments):
        if self.passes[way]:
            deliver(frame, *arguments)


def garbled(dice, frame):
    """The frame with a bit changed, or without its end."""
    if dice.random() < 0.5:
        return frame[: dice.randrange(len(frame))]
    wrong = bytearray(frame)
    wrong[dice.randrange(len(wrong))] ^= 1 << dice.randrange(8)
    return bytes(wrong)


def dice_of(seed):
    """Random numbers that depend on the seed alone."""
    return random.Random(f"link {seed}")
