"""Effects in words for people."""

from __future__ import annotations

from typing import Any

#: What a state means; `skipped` has two meanings, see `outcome`.
STATES = {
    "planned": "waits for its request",
    "intent": "about to send",
    "accepted": "accepted, not done yet",
    "posted": "posted",
    "refused": "refused",
    "in_doubt": "sent, no answer",
    "gave_up": "given up after too many tries",
    "skipped": "skipped",
    "superseded": "superseded",
    "dropped": "dropped with its sink",
}


def state(effect: dict[str, Any]) -> str:
    """The state of an effect."""
    if effect["state"] == "skipped" and effect["reference"]:
        return "posted by hand"
    return STATES.get(effect["state"], str(effect["state"]))


def _is_there(effect: dict[str, Any]) -> bool:
    """Whether there was something to take back."""
    return effect["state"] == "posted" or (effect["state"] == "skipped" and bool(effect["reference"]))


def stands(effect: dict[str, Any]) -> str:
    """The state of an effect, and whether it was taken back."""
    by = effect.get("reversed_by")
    if effect.get("reverses"):
        return f"{state(effect)}, a reversal"
    if not by or not _is_there(effect):
        return state(effect)
    return f"{state(effect)}, {'reversed' if by['state'] == 'posted' else 'to be reversed'}"


def outcome(effect: dict[str, Any]) -> str:
    """What became of an effect, in a line."""
    words = state(effect)
    if effect["reference"]:
        words += f" {'by' if effect['state'] == 'superseded' else 'as'} {effect['reference']}"
    if effect["code"]:
        words += f" {effect['code']}"
    words += f" at {effect.get('last') or effect.get('at')}"
    if effect.get("attempts", 0) > 1:
        words += f", {effect['attempts']} attempts"
    if effect["reason"]:
        words += f": {effect['reason']}"
    return words + taken_back(effect)


def taken_back(effect: dict[str, Any]) -> str:
    """By what an effect was taken back, to stand behind what became of it; nothing where it was not."""
    by = effect.get("reversed_by") if _is_there(effect) else None
    return f"; {'reversed' if by['state'] == 'posted' else 'to be reversed'} by {by['id']}" if by else ""


def requested(effect: dict[str, Any]) -> str:
    """What was asked of the target, in a line."""
    amounts = ", ".join(f"{name} {amount}" for name, amount in sorted(effect["amounts"].items()))
    words = f"request {effect['request_key'] or '(none)'}"
    if effect["object"]:
        words += f" to {effect['object']}"
    return f"{words}: {amounts}" if amounts else words
