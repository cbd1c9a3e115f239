"""What a sap sink can be told."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Effect, Secret
from mfgroute.adapters.web.config import ConnectionConfig, check_url
from mfgroute.config.zones import zone
from mfgroute.units import Duration

__all__ = ["Activity", "Auth", "Bundle", "Movement", "PostingDate", "SapEffect", "SapSinkConfig"]

Activity = Literal["setup", "machine", "labor", "teardown", "energy", "other"]
Movement = Literal["material.consumed", "material.byproduct.received", "material.finishedgoods.received"]
_Text = Annotated[str, Meta(min_length=1)]
_Url = Annotated[str, Meta(pattern="^https?://")]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who we are: a user, a token, or a client of an authorization server."""

    user: Annotated[_Text | None, Meta(description="Communication user, with `password`")] = None
    password: Annotated[Secret | None, Meta(description="Its password, such as `${SAP_PASSWORD}`")] = None
    token: Annotated[Secret | None, Meta(description="Sent as `Authorization: Bearer …`")] = None
    token_url: Annotated[
        _Url | None, Meta(description="Where a token is got with the client's credentials (OAuth 2.0)")
    ] = None
    client_id: Annotated[_Text | None, Meta(description="Name of the OAuth client")] = None
    client_secret: Annotated[Secret | None, Meta(description="Secret of the OAuth client")] = None
    scope: Annotated[_Text | None, Meta(description="Scope that is asked for")] = None

    def __post_init__(self) -> None:
        """Refuse half a way and two ways."""
        oauth = (self.token_url, self.client_id, self.client_secret)
        ways = [self.user is not None or self.password is not None, self.token is not None, any(oauth)]
        if sum(ways) != 1:
            raise ValueError("needs one of `user` and `password`, `token`, or `token_url`")
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` belong together")
        if any(oauth) and not all(oauth):
            raise ValueError("`token_url`, `client_id` and `client_secret` belong together")
        if self.user is not None and (":" in self.user or _CONTROL.search(self.user)):
            raise ValueError("`user` holds a colon or control character")
        if self.token_url is not None:
            check_url("token_url", self.token_url, "`client_id` and `client_secret`")


class FailedMovements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the target tells which goods movements of a confirmation it could not post."""

    service: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_]+$",
            description="OData V2 service of your own on the view `I_FailedGoodsMovementItem`",
        ),
    ]
    path: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_]+$",
            description="Its entity set, with `ConfirmationGroup` and `ConfirmationCount`",
        ),
    ] = "FailedGoodsMovementItem"


class SapEffect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one event has one effect."""

    by: Annotated[
        Literal["key", "lookup"],
        Meta(
            description="`key`: RequestID, while answers say that it is honoured; `lookup`: our reference is "
            "looked up before anything is sent again"
        ),
    ] = "lookup"
    kept: Annotated[
        Duration | None,
        Meta(
            description="Of `key`, required there: how long the target remembers a RequestID, such as `12h`"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse a key without an end: the target forgets each one, and then does the request again."""
        if self.by == "key" and self.kept is None:
            raise ValueError("`by: key` needs `kept`: how long the target remembers a RequestID")

    def effect(self, by: Literal["key", "lookup"]) -> Effect:
        """As the runtime knows it."""
        return Effect(by=by, header="RequestID", kept=self.kept if by == "key" else None)


class PostingDate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which day a posting belongs to."""

    rule: Annotated[
        Literal["event", "today", "event_or_first_open_day"],
        Meta(
            description="`event`: the event's; `today`: the day it is rendered; `event_or_first_open_day`: "
            "the event's, or the first of the current month when the event's month is closed by then"
        ),
    ] = "event"
    closes_on: Annotated[
        int,
        Meta(
            ge=1,
            le=28,
            description="Of `event_or_first_open_day`: day of a month from which the month before is closed",
        ),
    ] = 1
    time_zone: Annotated[str, Meta(min_length=1, description="Where days begin, such as `Europe/Berlin`")] = (
        "UTC"
    )

    def __post_init__(self) -> None:
        """Refuse a zone that nobody knows."""
        if zone(self.time_zone) is None:
            raise ValueError(f"`time_zone` is {self.time_zone!r}, expected a name such as `Europe/Berlin`")


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several requests in one."""

    size: Annotated[
        int, Meta(ge=1, le=20, description="Most postings in one `$batch`; 1 sends them singly")
    ] = 1
    changeset: Annotated[
        int,
        Meta(
            ge=1,
            le=20,
            description="Most postings in one changeset, which is posted as a whole; one that fails is sent "
            "again piece by piece. More than 1 only where the services allow it",
        ),
    ] = 1


class SapSinkConfig(ConnectionConfig, kw_only=True):
    """Where SAP S/4HANA is, who moves the stock, and how postings are made exactly once."""

    url: Annotated[
        str,
        Meta(
            pattern="^https?://",
            description="Root of the OData V2 services, such as `https://sap.example/sap/opu/odata/sap`",
        ),
    ]
    auth: Annotated[Auth | None, Meta(description="Credentials; none only where a client certificate is")] = (
        None
    )
    goods: Annotated[
        Literal["none", "listed", "by_erp"],
        Meta(
            description="Who moves the stock of confirmed orders: nobody; we, as listed in confirmations or "
            "by movements of their own; or the ERP (backflush, automatic receipt). Events that say otherwise "
            "are refused"
        ),
    ]
    also: Annotated[
        list[Movement],
        Meta(
            description="Movements that are posted though `goods` is not `listed`, because the ERP does not "
            "make them itself"
        ),
    ] = msgspec.field(default_factory=list)
    failed_movements: Annotated[
        FailedMovements | None,
        Meta(description="Where automatic goods movements that failed are read, of `goods: by_erp`"),
    ] = None
    client: Annotated[
        Annotated[str, Meta(pattern="^[0-9]{3}$")] | None, Meta(description="SAP client, such as `100`")
    ] = None
    language: Annotated[
        Annotated[str, Meta(pattern="^[A-Z]{2}$")], Meta(description="Language of the target's messages")
    ] = "EN"
    effect: Annotated[SapEffect, Meta(description="How one event has one effect")] = SapEffect()
    posting_date: Annotated[PostingDate, Meta(description="Which day a posting belongs to")] = PostingDate()
    units: Annotated[
        Literal["iso", "sap"],
        Meta(description="Send ISO codes (fields `…ISOCode`), or SAP's own codes in the logon language"),
    ] = "iso"
    unit_codes: Annotated[
        dict[str, Annotated[str, Meta(min_length=1, max_length=3)]],
        Meta(description="Codes for units where the built-in ones do not fit: `H87: ST`"),
    ] = msgspec.field(default_factory=dict)
    activities: Annotated[
        dict[Activity, Annotated[int, Meta(ge=1, le=6)]],
        Meta(description="Which of the six work quantities an activity is: `machine: 2`"),
    ] = msgspec.field(default_factory=dict)
    reasons: Annotated[
        dict[str, Annotated[str, Meta(min_length=1, max_length=4)]],
        Meta(description="Reason codes for the plant's words: `material: '0001'`; other words are refused"),
    ] = msgspec.field(default_factory=dict)
    cost_center: Annotated[
        Annotated[str, Meta(min_length=1, max_length=10)] | None,
        Meta(description="Cost center that scrap from stock is charged to"),
    ] = None
    batch_level: Annotated[
        Literal["material", "plant"],
        Meta(description="Whether a batch number is unique per material or per plant"),
    ] = "material"
    lock_within: Annotated[
        Duration, Meta(description="How long a posting waits for a lock; then it is refused")
    ] = Duration(900)
    batch_within: Annotated[
        Duration,
        Meta(description="How long a posting waits for its batch or its original; then it is refused"),
    ] = Duration(86_400)
    accepted_within: Annotated[
        Duration,
        Meta(
            description="How long a posting may stay accepted without an outcome; then the event is in doubt"
        ),
    ] = Duration(86_400)
    again_s: Annotated[
        float,
        Meta(
            gt=0, le=3600, description="Seconds between tries of a posting that waits, unless the target says"
        ),
    ] = 10.0
    bundle: Annotated[Bundle, Meta(description="Several postings in one `$batch`")] = Bundle()

    def __post_init__(self) -> None:
        """Refuse what could leak a secret or post twice."""
        super().__post_init__()
        check_url("url", self.url, "`auth`")
        if "?" in self.url:
            raise ValueError("`url` holds a query; use `client` and `language`")
        if self.auth is None and self.cert_file is None:
            raise ValueError("needs `auth` or `cert_file`")
        if self.goods == "listed" and self.also:
            raise ValueError("`also` is not of `goods: listed`, which posts all movements")
        if self.goods != "by_erp" and self.failed_movements is not None:
            raise ValueError("`failed_movements` is of `goods: by_erp`")
        if len(set(self.activities.values())) != len(self.activities):
            raise ValueError("two `activities` have the same number")
