"""What the system says when it refuses: message class and number, text, and where we have them from."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MESSAGES", "Detail", "Message", "ODataError", "refusal"]


class Message(NamedTuple):
    """A message of the system.

    Attributes:
        code: class and number, as ``error.code`` shows them.
        text: ``&1`` to ``&4`` are replaced.
        status: HTTP status it comes with.
        seen: whether public material shows the code with this text; the others stand in for one that we
            could not look up, and tests may set them with `Switches.codes`.
    """

    code: str
    text: str
    status: int = 400
    seen: bool = False


class Detail(NamedTuple):
    """One of the messages behind a refusal."""

    name: str
    text: str


#: By our own name.
MESSAGES = {
    # Gateway
    "csrf": Message("", "CSRF token validation failed", 403, seen=True),
    "unauthorized": Message("", "Logon failed", 401),
    "service_unknown": Message(
        "/IWFND/MED/170", "No service found for namespace '', name '&1', version '0001'", 403, seen=True
    ),
    "resource_unknown": Message("/IWFND/CM_MGW_RT/004", "Resource not found for segment '&1'", 404),
    "not_found": Message("/IWBEP/CM_MGW_RT/020", "Resource '&1' not found", 404),
    "method": Message("/IWFND/CM_CONSUMER/003", "Method &1 is not allowed for '&2'", 405),
    "syntax": Message("CX_SXML_PARSE_ERROR", "Error while parsing the request: &1"),
    "property": Message("/IWFND/CM_MGW_RT/021", "Property '&1' is invalid"),
    "value": Message("/IWFND/CM_MGW_RT/022", "Value '&2' of property '&1' is invalid: &3"),
    "query": Message("/IWBEP/CM_MGW_RT/019", "System query option '&1' is invalid: &2"),
    "internal": Message("/IWBEP/CM_MGW_RT/022", "An exception was raised", 500),
    "etag_missing": Message("/IWBEP/CM_MGW_RT/058", "The request has to be conditional (ETag required)", 428),
    "etag_wrong": Message(
        "/IWBEP/CM_MGW_RT/059", "Precondition failed: the entity was changed by another user", 412
    ),
    "outdated": Message(
        "/IWBEP/CM_COS/005", "NetWeaver 'Idempotent Service Framework': RequestID is outdated", seen=True
    ),
    "repeatability": Message("/IWBEP/CM_COS/003", "Repeatability is not supported by this service", 501),
    # Orders and confirmations
    "order_unknown": Message("RU/012", "Order &1 not found"),
    "operation_unknown": Message("RU/021", "Operation &2 of order &1 not found"),
    "order_locked": Message("CO/469", "Order &1 is already being processed by &2"),
    "order_status": Message("BS/013", "System status &1 is active (ORD &2)"),
    "operation_final": Message("RU/117", "Operation &2 of order &1 has already been finally confirmed"),
    "quantity": Message("RU/111", "Quantity &2 in &1 is not allowed"),
    "unit": Message("RU/125", "Unit &1 cannot be converted into &2"),
    "confirmation_unknown": Message("RU/113", "Confirmation &1 &2 does not exist"),
    "confirmation_reversed": Message("RU/022", "Confirmation &1 &2 has already been canceled"),
    # Goods movements
    "period": Message("M7/053", "Posting only possible in periods &1 and &2 in company code &3", seen=True),
    "deficit": Message("M7/021", "Deficit of SL Unrestricted-use &1 &2 : &3", seen=True),
    "batch_unknown": Message("M7/042", "Batch &1 of material &2 does not exist"),
    "batch_name": Message("M7/018", "Batch &1 is not allowed"),
    "material_locked": Message("M3/024", "Valuation data for material &1 is locked by the user &2"),
    "movement_type": Message("M7/001", "Movement type &1 is not allowed with goods movement code &2"),
    "movement_field": Message(
        "MM_IM_ODATA_API_MDOC/011", "Property &1 is not supported for GoodsMovementType &2", seen=True
    ),
    "movement_missing": Message(
        "MM_IM_ODATA_API_MDOC/012", "Property &1 is mandatory for GoodsMovementType &2"
    ),
    "movement_quantity": Message("M7/022", "Quantity &1 of material &2 is not allowed"),
    "movements_failed": Message("MM_IM_ODATA_API_MDOC/014", "Material Document processing failed", seen=True),
    "inspection_stock": Message("M7/106", "Material &1 leaves inspection stock by usage decision only"),
    "serial_count": Message("IO/231", "Material &1: &2 serial numbers are needed, &3 were given"),
    "serial_automatic": Message("IO/230", "Serial numbers of &1 cannot be posted with a confirmation"),
    "document_unknown": Message("M7/060", "Material document &1 &2 does not exist"),
    "document_reversed": Message("M7/070", "Material document &1 has already been canceled"),
    "lot_unknown": Message("QA/104", "Inspection lot &1 does not exist"),
    "lot_decided": Message("QV/223", "A usage decision has already been made for inspection lot &1"),
}


class ODataError(Exception):
    """A request is refused.

    Attributes:
        name: of the message in `MESSAGES`, or a code such as ``XX/123`` of no message there.
        text: the system's sentence.
        status: HTTP status.
        details: the messages behind it; without any, it is its own.
        headers: of the answer.
    """

    def __init__(
        self,
        name: str,
        text: str,
        *,
        status: int = 400,
        details: tuple[Detail, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.text = text
        self.status = status
        self.details = details or (Detail(name, text),)
        self.headers = headers or {}
        super().__init__(text)


def refusal(name: str, *values: object, status: int | None = None) -> ODataError:
    """A refusal with a message of `MESSAGES`."""
    message = MESSAGES[name]
    text = message.text
    for number, value in enumerate(values, 1):
        text = text.replace(f"&{number}", str(value))
    headers = {"x-csrf-token": "Required"} if name == "csrf" else None
    return ODataError(name, text, status=status or message.status, headers=headers)
