"""The times of the runtime, in one place. Tests make them short."""

from __future__ import annotations

import msgspec


class Tempo(msgspec.Struct, frozen=True, kw_only=True):
    """How long the runtime waits.

    Attributes:
        backoff_first_s: cap of the first pause after a lost connection.
        backoff_max_s: cap of any pause.
        steady_s: a connection that lived this long was a good one; the next pause is short again.
        faults_max: unexpected errors one after the other that open the breaker.
        breaker_s: pause of a part that is down after repeated faults.
        pause_first_s: the first pause of a sink whose breaker has opened.
        pause_max_s: the longest one, unless the target wishes more.
        open_timeout_s: longest wait for an adapter to open.
        close_timeout_s: longest wait for an adapter to close.
        room_timeout_s: how long a synchronous sender waits for room.
        poll_s: longest pause of a sink that was not woken.
        retry_max_s: longest pause that a target may wish for.
        stop_timeout_s: how long a reload waits for a part that it replaces.
        drain_timeout_s: how long a stop waits for sinks.
        hang_told_s: how long the event loop may stand still before the log says so.
        hang_ended_s: how long before the process is ended.
        forget_s: how often the database of effects lets go of what ended long ago.
    """

    backoff_first_s: float = 0.2
    backoff_max_s: float = 30.0
    steady_s: float = 10.0
    faults_max: int = 5
    breaker_s: float = 60.0
    pause_first_s: float = 1.0
    pause_max_s: float = 15.0
    open_timeout_s: float = 30.0
    close_timeout_s: float = 10.0
    room_timeout_s: float = 1.0
    poll_s: float = 0.5
    retry_max_s: float = 3600.0
    stop_timeout_s: float = 45.0
    drain_timeout_s: float = 30.0
    hang_told_s: float = 5.0
    hang_ended_s: float = 60.0
    forget_s: float = 600.0
