"""Which day a posting belongs to, by a rule that is seen in the configuration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap.config import PostingDate
from mfgroute.adapters.sap.fields import Unfit
from mfgroute.config.zones import zone

__all__ = ["Calendar", "moment"]


class Calendar:
    """The posting date of events.

    `today` is read once, when a request is rendered; from then on the request is kept as it is.
    """

    def __init__(self, rule: PostingDate, now: Callable[[], datetime]) -> None:
        self._rule = rule
        self._now = now
        self.zone = zone(rule.time_zone) or UTC

    @property
    def today(self) -> date:
        """The day it is in the plant."""
        return self._now().astimezone(self.zone).date()

    def day_of(self, data: dict[str, Any], happened: str | None) -> date:
        """The event's own day: its posting date, else the day on which it happened, else today.

        Raises:
            Unfit: the event says a day that is none.
        """
        said = data.get("posting_date")
        if said is not None:
            try:
                return date.fromisoformat(str(said))
            except ValueError:
                raise Unfit(
                    "value_unfit", f"posting_date is {excerpt(str(said), 40)}, expected a date"
                ) from None
        when = moment(happened)
        return when.astimezone(self.zone).date() if when is not None else self.today

    def posting_date(self, event_day: date) -> date:
        """The day to post on."""
        rule = self._rule
        today = self.today
        if rule.rule == "today":
            return today
        if rule.rule == "event" or event_day >= today.replace(day=1):
            return event_day
        # An earlier month. The one just before is open until the day that the rule names.
        months = (today.year - event_day.year) * 12 + today.month - event_day.month
        return event_day if months == 1 and today.day < rule.closes_on else today.replace(day=1)


def moment(text: Any) -> datetime | None:
    """An RFC 3339 time; `None` for nothing or nonsense."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
