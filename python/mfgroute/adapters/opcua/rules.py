"""The settings of ``detect``: what becomes of a counter and of a state."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from mfgroute.adapters.opcua.change import duration_us

NodeText: TypeAlias = Annotated[
    str, Meta(pattern=r"^(ns=[0-9]{1,5};)?([isgb])=.+$", description="Node id, such as ns=2;s=P7.Good")
]
DurationText: TypeAlias = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,8}(ms|s|m|h|d)$", description="Duration, such as 15m, 90s or 500ms")
]
CounterType: TypeAlias = Literal["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]


class _Rule(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of the rules. A key that is not a field is an error."""


class CounterRule(_Rule, frozen=True):
    """A number that rises with every piece."""

    node: Annotated[NodeText, Meta(description="Node that counts")]
    type: Annotated[CounterType, Meta(description="Type of the counter in the controller; gives its range")]
    max: Annotated[
        int | None,
        Meta(description="Highest value before the counter starts again at 0, if not the end of its type"),
    ] = None
    rollover: Annotated[
        bool, Meta(description="Whether the counter starts again after its highest value")
    ] = True
    rollover_margin: Annotated[
        float,
        Meta(
            gt=0,
            lt=0.5,
            description="A fall is a rollover if it leaves this part of the range at the top and ends "
            "in this part at the bottom; any other fall is a reset",
        ),
    ] = 0.1
    reset: Annotated[
        Literal["to_lower", "to_zero", "never"],
        Meta(
            description="What a fall that is no rollover means: set to a lower value (pieces since then are "
            "unknown unless that is 0), set to 0 (the value is the pieces since then), or a fault"
        ),
    ] = "to_lower"

    def __post_init__(self) -> None:
        if self.max is not None and not 1 <= self.max <= self._type_bounds()[1]:
            raise ValueError(f"max is {self.max}, expected 1 to {self._type_bounds()[1]} for {self.type}")

    def bounds(self) -> tuple[int, int]:
        """Lowest and highest value."""
        return self._type_bounds() if self.max is None else (0, self.max)

    def _type_bounds(self) -> tuple[int, int]:
        bits = int(self.type.lstrip("uint"))
        return (0, 2**bits - 1) if self.type.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


class StateRule(_Rule, frozen=True):
    """A value that means something while it lasts."""

    node: Annotated[NodeText, Meta(description="Node that tells the state")]
    equals: Annotated[bool | int | str, Meta(description="Value while the state lasts")]
    for_: Annotated[DurationText, Meta(description="How long it must last; shorter ones do not count")] = (
        field(name="for", default="1ms")
    )


class EmitRule(_Rule, frozen=True):
    """When a message is made."""

    every: Annotated[
        DurationText | None, Meta(description="Counter: a message at each whole multiple of this time (UTC)")
    ] = None
    on_change_of: Annotated[
        tuple[str, ...], Meta(description="Counter: context names whose change closes the count")
    ] = ()
    on_stop: Annotated[
        bool | str,
        Meta(
            description="Counter: close the count when a state begins; name of its detector, or true "
            "if there is only one"
        ),
    ] = False
    zero: Annotated[
        bool, Meta(description="Counter: also make messages for times in which nothing was counted")
    ] = False
    on: Annotated[
        tuple[Literal["start", "end"], ...],
        Meta(description="State: make a message at its start, its end or both"),
    ] = ("start", "end")


class QualityRule(_Rule, frozen=True):
    """What is done with values that are not good."""

    uncertain: Annotated[
        Literal["use_and_mark", "as_bad"],
        Meta(description="Use an uncertain value and mark the message, or treat it as bad"),
    ] = "use_and_mark"
    bad: Annotated[
        Literal["hold_last_then_gap"],
        Meta(description="Hold the last good value and mark the message with a gap"),
    ] = "hold_last_then_gap"


class DetectRule(_Rule, frozen=True):
    """One detector: a counter or a state, with the values that belong to it."""

    name: Annotated[
        str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Name, in `detect` of each message")
    ]
    counter: Annotated[CounterRule | None, Meta(description="Count pieces")] = None
    state: Annotated[StateRule | None, Meta(description="Notice a state that lasts")] = None
    context: Annotated[
        dict[str, NodeText],
        Meta(max_length=32, description="Names and nodes whose value at that source time goes along"),
    ] = field(default_factory=dict)
    emit: Annotated[EmitRule, Meta(description="When a message is made")] = field(default_factory=EmitRule)
    quality: Annotated[QualityRule, Meta(description="What is done with values that are not good")] = field(
        default_factory=QualityRule
    )
    suppress_first_after_reconnect: Annotated[
        bool, Meta(description="Counter: do not count the pieces made while the connection was lost")
    ] = False
    settle_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="How long to wait for values that arrive out of order")
    ] = 500

    def __post_init__(self) -> None:
        if (self.counter is None) == (self.state is None):
            raise ValueError(f"detector {self.name!r} has both or neither of counter and state, expected one")
        missing = [name for name in self.emit.on_change_of if name not in self.context]
        if missing:
            raise ValueError(
                f"on_change_of of {self.name!r} names {missing[0]!r}, expected a name in its context"
            )
        if self.state is not None:
            if self.emit.every or self.emit.on_change_of or self.emit.on_stop or self.emit.zero:
                raise ValueError(
                    f"detector {self.name!r} is a state: every, on_change_of, on_stop, zero are of counters"
                )
            duration_us(self.state.for_)
        elif not (self.emit.every or self.emit.on_change_of or self.emit.on_stop):
            raise ValueError(
                f"detector {self.name!r} never makes a message, expected emit.every, on_change_of or on_stop"
            )

    def nodes(self) -> list[str]:
        """Every node this detector watches, without that of `on_stop`."""
        own = (
            self.counter.node
            if self.counter is not None
            else self.state.node
            if self.state is not None
            else ""
        )
        return [own, *self.context.values()]


def stop_of(rule: DetectRule, rules: tuple[DetectRule, ...]) -> StateRule | None:
    """The state whose beginning closes the count of `rule`.

    Raises:
        ValueError: if there is none of that name, or `true` could mean several.
    """
    wanted = rule.emit.on_stop
    if not wanted:
        return None
    states = {other.name: other.state for other in rules if other.state is not None}
    if wanted is True:
        if len(states) != 1:
            raise ValueError(
                f"on_stop of {rule.name!r} is true, there are {len(states)} states, expected the name of one"
            )
        return next(iter(states.values()))
    if wanted not in states:
        raise ValueError(
            f"on_stop of {rule.name!r} is {wanted!r}, expected the name of a detector with a state"
        )
    return states[wanted]
