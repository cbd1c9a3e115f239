"""Regular expressions as automata: whether one matches everything that others match.

The language is that of the engine: ECMA-262 without look-around and back-references, digits, words and white
space as it defines them. A pattern is searched for anywhere in a text unless it says ``^`` and ``$``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mfgroute.schemas.plain import UndecidedError

__all__ = ["Automaton", "automaton", "counterexample", "matches"]

Ranges = tuple[tuple[int, int], ...]
_STATES_MAX = 4000
_STEPS_MAX = 20_000
_LAST = 0x10FFFF
#: Every character that a JSON text can hold: surrogates stand for themselves nowhere.
_ALL: Ranges = ((0, 0xD7FF), (0xE000, _LAST))
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = (
    (9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_NEWLINE: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))
_CONTROL = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11}
_LITERAL = frozenset("^$\\.*+?()[]{}|-/")


def _without(ranges: Ranges) -> Ranges:
    """Every character but these."""
    made, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            made.append((at, low - 1))
        at = max(at, high + 1)
    if at <= _LAST:
        made.append((at, _LAST))
    return tuple(made)


class Automaton:
    """States with edges of characters, of nothing, and of the begin and the end of the text."""

    def __init__(self) -> None:
        self.steps: list[list[tuple[Ranges, int]]] = []
        self.free: list[list[int]] = []
        self.at_begin: list[list[int]] = []
        self.at_end: list[list[int]] = []
        self.first = self.state()
        self.last = self.first

    def state(self) -> int:
        """A new state."""
        if len(self.steps) >= _STATES_MAX:
            raise UndecidedError("the pattern has too many states")
        for edges in (self.steps, self.free, self.at_begin, self.at_end):
            edges.append([])
        return len(self.steps) - 1

    def closed(self, states: frozenset[int], *, begin: bool = False, end: bool = False) -> frozenset[int]:
        """The states that are reached without a character."""
        seen, todo = set(states), list(states)
        while todo:
            state = todo.pop()
            reached = [*self.free[state], *(self.at_begin[state] if begin else ())]
            for other in [*reached, *(self.at_end[state] if end else ())]:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return frozenset(seen)

    def begin(self) -> frozenset[int]:
        """The states before the first character."""
        return self.closed(frozenset([self.first]), begin=True)

    def after(self, states: frozenset[int], character: int) -> frozenset[int]:
        """The states after one more character."""
        reached = {
            other
            for state in states
            for ranges, other in self.steps[state]
            if any(low <= character <= high for low, high in ranges)
        }
        return self.closed(frozenset(reached))

    def accepts(self, states: frozenset[int], *, empty: bool) -> bool:
        """Whether the text may end here."""
        return self.last in self.closed(states, begin=empty, end=True)

    def borders(self, states: frozenset[int]) -> Iterator[int]:
        """Where the characters begin that lead elsewhere than those before them."""
        for state in states:
            for ranges, _ in self.steps[state]:
                for low, high in ranges:
                    yield low
                    yield high + 1


@lru_cache(maxsize=256)
def automaton(pattern: str) -> Automaton:
    """The automaton of a pattern.

    Raises:
        UndecidedError: the pattern has a part that this module does not know, or too many states.
    """
    made = Automaton()
    made.steps[made.first].append((_ALL, made.first))
    parser = _Parser(pattern)
    part = parser.alternatives()
    if parser.rest():
        raise UndecidedError(f"the pattern {pattern} is not understood")
    made.last = part.build(made, made.first)
    made.steps[made.last].append((_ALL, made.last))
    return made


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text; raises as `automaton`."""
    made = automaton(pattern)
    states = made.begin()
    for character in text:
        states = made.after(states, ord(character))
    return made.accepts(states, empty=not text)


def counterexample(
    left: Sequence[Automaton],
    lengths: tuple[int, int | None],
    right: Automaton | None,
    others: tuple[int, int | None],
) -> str | None:
    """A shortest text of the left that the right has not.

    Args:
        left: patterns that all match the text; none means any text.
        lengths: least and greatest number of characters on the left; `None` is no bound.
        right: the pattern of the right; `None` means any text.
        others: lengths on the right. A least length of -1 with a greatest of -1 has no text at all.

    Returns:
        The text, or `None` when the right has every text of the left.

    Raises:
        UndecidedError: there is too much to look at.
    """
    # Beyond every bound, lengths make no difference any more.
    most = max(bound for bound in (*lengths, *others) if bound is not None) + 1
    first = (tuple(one.begin() for one in left), right.begin() if right else frozenset(), 0)
    seen = {first}
    todo = deque([(first, "")])
    while todo:
        (states, other, length), text = todo.popleft()
        if lengths[1] is not None and length > lengths[1]:
            continue
        empty = not text
        if length >= lengths[0] and all(
            one.accepts(at, empty=empty) for one, at in zip(left, states, strict=True)
        ):
            within = others[0] <= length and (others[1] is None or length <= others[1])
            if not within or (right is not None and not right.accepts(other, empty=empty)):
                return text
        for character in _characters(left, states, right, other):
            moved = tuple(one.after(at, character) for one, at in zip(left, states, strict=True))
            if not all(moved):
                continue
            after = right.after(other, character) if right else other
            node = (moved, after, min(length + 1, most))
            if node not in seen:
                seen.add(node)
                todo.append((node, text + chr(character)))
        if len(seen) > _STEPS_MAX:
            raise UndecidedError("the patterns are too large to compare")
    return None


def _characters(
    left: Sequence[Automaton],
    states: Sequence[frozenset[int]],
    right: Automaton | None,
    other: frozenset[int],
) -> Iterator[int]:
    """One character of each kind that leads somewhere else; a readable one where there is one."""
    borders = {low for low, _ in _ALL} | {high + 1 for _, high in _ALL}
    for one, at in zip(left, states, strict=True):
        borders.update(one.borders(at))
    if right is not None:
        borders.update(right.borders(other))
    ordered = sorted(border for border in borders if border <= _LAST)
    for low, after in zip(ordered, [*ordered[1:], _LAST + 1], strict=True):
        if not 0xD800 <= low <= 0xDFFF:
            readable = (ord(one) for one in "a0A_-. ~" if low <= ord(one) < after)
            yield next(readable, low)


class _Part:
    """A part of a pattern: what it is and what it is made of."""

    def __init__(self, kind: str, parts: Sequence[_Part] = (), ranges: Ranges = ()) -> None:
        self.kind = kind
        self.parts = parts
        self.ranges = ranges
        self.times: tuple[int, int | None] = (1, 1)

    def build(self, made: Automaton, first: int) -> int:
        """Add the part to an automaton, from a state on; returns where it ends."""
        low, high = self.times
        if max(low, high or 0) > _STATES_MAX:
            raise UndecidedError("a part of the pattern repeats too often")
        at, end = first, made.state()
        for _ in range(low):
            at = self._once(made, at)
        if high is None:
            loop = made.state()
            made.free[at].append(loop)
            made.free[self._once(made, loop)].append(loop)
            at = loop
        for _ in range(low, low if high is None else high):
            made.free[at].append(end)
            at = self._once(made, at)
        made.free[at].append(end)
        return end

    def _once(self, made: Automaton, first: int) -> int:
        if self.kind == "sequence":
            at = first
            for part in self.parts:
                at = part.build(made, at)
            return at
        last = made.state()
        if self.kind == "begin":
            made.at_begin[first].append(last)
        elif self.kind == "end":
            made.at_end[first].append(last)
        elif self.kind == "set":
            made.steps[first].append((self.ranges, last))
        for part in self.parts:
            begin = made.state()
            made.free[first].append(begin)
            made.free[part.build(made, begin)].append(last)
        return last


class _Parser:
    """Reads a pattern."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def rest(self) -> str:
        """What was not read."""
        return self._text[self._at :]

    def alternatives(self) -> _Part:
        """Parts separated by ``|``."""
        found = [self._sequence()]
        while self._take("|"):
            found.append(self._sequence())
        return _Part("alternatives", found)

    def _sequence(self) -> _Part:
        found = []
        while self.rest() and self.rest()[0] not in "|)":
            part = self._atom()
            times = self._times()
            if times is not None:
                part.times = times
            found.append(part)
        return _Part("sequence", found)

    def _times(self) -> tuple[int, int | None] | None:
        for sign, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                self._take("?")
                return times
        if not self._take("{"):
            return None
        inside, brace, _ = self.rest().partition("}")
        low, comma, high = inside.partition(",")
        if not brace or not low.isdecimal() or (high and not high.isdecimal()):
            raise self._strange()
        self._at += len(inside) + 1
        self._take("?")
        return int(low), (int(high) if high else None) if comma else int(low)

    def _atom(self) -> _Part:
        sign = self._next()
        if sign == "^":
            return _Part("begin")
        if sign == "$":
            return _Part("end")
        if sign != "(":
            return _Part("set", ranges=self._set(sign))
        if self._take("?") and not self._take(":"):
            name, close, _ = self.rest().partition(">")
            if not close or not name.startswith("<") or name[1:2] in ("=", "!"):
                raise self._strange()
            self._at += len(name) + 1
        inside = self.alternatives()
        if not self._take(")"):
            raise self._strange()
        return inside

    def _set(self, sign: str) -> Ranges:
        if sign == "[":
            return self._class()
        if sign == ".":
            return _without(_NEWLINE)
        if sign == "\\":
            return self._escape(in_class=False)
        if sign in "*+?{}":
            raise self._strange()
        return ((ord(sign), ord(sign)),)

    def _class(self) -> Ranges:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            sign = self._next()
            low = self._escape(in_class=True) if sign == "\\" else ((ord(sign), ord(sign)),)
            rest = self.rest()
            if rest.startswith("-") and not rest.startswith("-]"):
                self._next()
                sign = self._next()
                high = self._escape(in_class=True) if sign == "\\" else ((ord(sign), ord(sign)),)
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                    raise self._strange()
                low = ((low[0][0], high[0][0]),)
            found += low
        if not found:
            raise self._strange()
        return _without(tuple(found)) if negated else tuple(found)

    def _escape(self, *, in_class: bool) -> Ranges:
        sign = self._next()
        for letter, ranges in (("d", _DIGIT), ("w", _WORD), ("s", _SPACE)):
            if sign == letter:
                return ranges
            if sign == letter.upper():
                return _without(ranges)
        if sign in _CONTROL:
            return ((_CONTROL[sign], _CONTROL[sign]),)
        if sign == "b" and in_class:
            return ((8, 8),)
        if sign == "x" or (sign == "u" and not self.rest().startswith("{")):
            length = 2 if sign == "x" else 4
            digits = self.rest()[:length]
            if len(digits) == length and all(one in "0123456789abcdefABCDEF" for one in digits):
                self._at += length
                return ((int(digits, 16), int(digits, 16)),)
        if sign in _LITERAL:
            return ((ord(sign), ord(sign)),)
        raise self._strange()

    def _strange(self) -> UndecidedError:
        return UndecidedError(f"the pattern {self._text} is not understood")

    def _take(self, sign: str) -> bool:
        if self.rest().startswith(sign):
            self._at += 1
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise self._strange()
        self._at += 1
        return self._text[self._at - 1]
