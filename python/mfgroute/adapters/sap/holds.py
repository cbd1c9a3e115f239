"""Holds on lots. The target has one status for a batch and no causes: the books know which holds stand.

A hold is named by its `reason`, which its release repeats. Each hold that is posted adds 1 to the amount
``.hold/<reason>`` of its batch, and a release takes off what stands there. A batch is set free only when no
other hold stands; before that a release is a posting that changes nothing in the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from mfgroute.adapters.plain import escaped, excerpt
from mfgroute.adapters.sap.call import Call, compact, counted
from mfgroute.adapters.sap.fields import Unfit, text
from mfgroute.adapters.sap.odata import key_of

__all__ = ["described", "status_name", "taken_back", "thing_of", "to_place", "to_release"]

_NAME = ".hold/"
_SHOWN = 3
_SHOWN_CHARACTERS = 60
_ZERO = Decimal(0)


def thing_of(data: Mapping[str, Any], *, by_plant: bool) -> str:
    """The batch that an event is about, as `Request.object`: plants that share its status share its books."""
    site = f"{text(data, 'site')}/" if by_plant else ""
    return f"lot/{site}{text(data, 'material')}/{text(data, 'batch').upper()}"


def to_place(data: Mapping[str, Any], *, by_plant: bool, key: str, created: str) -> Call:
    """The request that places a hold.

    Raises:
        Unfit: it names no batch of the target.
    """
    made, hold = _about(data, by_plant=by_plant, key=key, created=created), _hold(data)
    return _set(made, hold, restricted=True, counts={hold: Decimal(1)})


def to_release(
    data: Mapping[str, Any], posted: Mapping[str, Decimal], *, by_plant: bool, key: str, created: str
) -> Call:
    """The request that releases a hold: it frees the batch if no other hold stands there.

    Args:
        data: of the event.
        posted: the books of the batch.
        by_plant: whether a batch is one of a plant.
        key: of the request.
        created: now.

    Raises:
        Unfit: it names no batch of the target.
    """
    made, hold = _about(data, by_plant=by_plant, key=key, created=created), _hold(data)
    return _free(made, hold, posted, _standing(posted).get(hold, _ZERO))


def taken_back(call: Call, posted: Mapping[str, Decimal], *, key: str, created: str) -> Call:
    """The request that undoes another of this module: a hold is taken off, a release placed again.

    Args:
        call: that was posted.
        posted: the books of the batch now.
        key: of the request.
        created: now.
    """
    made = Call(
        kind="restrict",
        service=call.service,
        path=call.path,
        request_id=key,
        created=created,
        site=call.site,
        key=call.key,
        thing=call.thing,
    )
    before = Decimal(call.counts.get(_NAME + call.hold, 0))
    if call.restricted and not call.held:
        return _free(made, call.hold, posted, min(_standing(posted).get(call.hold, _ZERO), before))
    # A release of what was not in the books has taken nothing off; now the hold is ours.
    return _set(made, call.hold, restricted=True, counts={call.hold: -before or Decimal(1)})


def described(call: Call) -> str:
    """What a request does to a batch, in a line for a person."""
    batch = f"batch {call.key.get('Batch', '')} of {call.key.get('Material', '')}"
    if call.held:
        return f"takes the hold {call.hold} off {batch}, which stays restricted: held for {call.held}"
    return f"sets {batch} to {'restricted' if call.restricted else 'unrestricted'} use"


def status_name(call: Call) -> str:
    """What became of a batch: ``FG-900/L26-1119 restricted``; by which holds, where it could not be freed."""
    batch = f"{call.key.get('Material', '')}/{call.key.get('Batch', '')}"
    if call.held:
        return f"{batch} stays restricted: held for {call.held}"
    return f"{batch} {'restricted' if call.restricted else 'unrestricted'}"


def _about(data: Mapping[str, Any], *, by_plant: bool, key: str, created: str) -> Call:
    site, material, batch = (text(data, name) for name in ("site", "material", "batch"))
    if len(batch) > 10 or len(material) > 40 or len(site) > 4:
        said = f"{site}/{material}/{batch} is no batch of the target: at most 4, 40 and 10 characters"
        raise Unfit("too_long", said)
    parts = {
        "Material": material,
        "BatchIdentifyingPlant": site if by_plant else "",
        "Batch": batch.upper(),
    }
    return Call(
        kind="restrict",
        service="API_BATCH_SRV",
        path="Batch" + key_of(parts),
        request_id=key,
        created=created,
        site=site,
        key=parts,
        thing=thing_of(data, by_plant=by_plant),
    )


def _hold(data: Mapping[str, Any]) -> str:
    """The name of a hold: one that every database takes."""
    return escaped(text(data, "reason"))


def _free(made: Call, hold: str, posted: Mapping[str, Decimal], taken: Decimal) -> Call:
    """Take some of a hold off, and free the batch if nothing is left there."""
    left = _standing(posted)
    left[hold] = left.get(hold, _ZERO) - taken
    held = _words([name for name, many in sorted(left.items()) if many > 0])
    return _set(made, hold, restricted=bool(held), counts={hold: -taken}, held=held)


def _set(made: Call, hold: str, *, restricted: bool, counts: Mapping[str, Decimal], held: str = "") -> Call:
    amounts = {_NAME + name: value for name, value in counts.items()}
    body = "" if held else compact({"MatlBatchIsInRstrcdUseStock": restricted})
    return msgspec.structs.replace(
        made, body=body, hold=hold, held=held, restricted=restricted, counts=counted(amounts)
    )


def _standing(posted: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """How often each hold stands in the books of a batch."""
    return {name[len(_NAME) :]: one for name, one in posted.items() if name.startswith(_NAME) and one > 0}


def _words(holds: list[str]) -> str:
    shown = ", ".join(excerpt(one, _SHOWN_CHARACTERS) for one in holds[:_SHOWN])
    return f"{shown} and {len(holds) - _SHOWN} more" if len(holds) > _SHOWN else shown
