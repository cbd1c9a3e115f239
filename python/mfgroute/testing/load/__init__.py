"""Load on an engine of this machine: what ``mfgroute bench`` measures."""

from mfgroute.testing.load.disk import Group, curve
from mfgroute.testing.load.offer import Found, Latency, as_fast_as_possible, at_a_rate
from mfgroute.testing.load.project import LEVELS, messages, opened

__all__ = [
    "LEVELS",
    "Found",
    "Group",
    "Latency",
    "as_fast_as_possible",
    "at_a_rate",
    "curve",
    "messages",
    "opened",
]
