"""The documents that simulated systems send: IDocs of an ERP and webhooks of a QMS."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

import msgspec

__all__ = ["Component", "Operation", "Order", "loipro", "nc_webhook"]


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A component of an operation, with its unit as the ERP sends it (ISO code)."""

    item: str
    material: str
    quantity: str
    unit: str
    batch: str = ""
    backflush: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of an order."""

    number: str
    work_center: str
    text: str
    confirmation_group: str
    deleted: bool = False
    components: tuple[Component, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A production order as the ERP holds it.

    Attributes:
        start: planned start, local: ``YYYYMMDDHHMMSS``.
    """

    site: str
    number: str
    material: str
    quantity: str
    unit: str
    start: str
    operations: tuple[Operation, ...]


def loipro(order: Order, *, docnum: int, created: str) -> bytes:
    """An order as an IDoc of type LOIPRO in XML, with the statuses and zeros that SAP sends.

    Args:
        order: the order, released.
        docnum: number of the IDoc.
        created: local time, ``YYYYMMDDHHMMSS``.
    """
    operations = "".join(_operation(operation) for operation in order.operations)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<LOIPRO03><IDOC BEGIN="1">'
        f'<EDI_DC40 SEGMENT="1"><DOCNUM>{docnum:016}</DOCNUM><MESTYP>LOIPRO</MESTYP>'
        f"<CREDAT>{created[:8]}</CREDAT><CRETIM>{created[8:]}</CRETIM></EDI_DC40>"
        f'<E1AFKOL SEGMENT="1"><AUFNR>{order.number:0>12}</AUFNR><AUART>PP01</AUART>'
        f"<WERKS>{order.site}</WERKS>"
        f"<MATNR>{_matnr(order.material)}</MATNR><GAMNG>{order.quantity}</GAMNG><GMEIN>{order.unit}</GMEIN>"
        f"<GSTRS>{order.start[:8]}</GSTRS><GSUZS>{order.start[8:]}</GSUZS>"
        f"<GLTRS>00000000</GLTRS><GLUZS>000000</GLUZS>"
        '<E1JSTKL SEGMENT="1"><STAT>I0002</STAT></E1JSTKL><E1JSTKL SEGMENT="1"><STAT>I0028</STAT></E1JSTKL>'
        f'<E1AFFLL SEGMENT="1"><PLNFL>000000</PLNFL>{operations}</E1AFFLL>'
        "</E1AFKOL></IDOC></LOIPRO03>\n"
    )
    return text.encode()


def _operation(operation: Operation) -> str:
    status = '<E1JSTVL SEGMENT="1"><STAT>I0013</STAT></E1JSTVL>' if operation.deleted else ""
    components = "".join(
        f'<E1RESBL SEGMENT="1"><POSNR>{part.item}</POSNR><MATNR>{_matnr(part.material)}</MATNR>'
        f"<BDMNG>{part.quantity}</BDMNG><MEINS>{part.unit}</MEINS><CHARG>{part.batch}</CHARG>"
        f"<RGEKZ>{'X' if part.backflush else ''}</RGEKZ></E1RESBL>"
        for part in operation.components
    )
    return (
        f'<E1AFVOL SEGMENT="1"><VORNR>{operation.number}</VORNR><ARBPL>{operation.work_center:<8}</ARBPL>'
        f"<LTXA1>{escape(operation.text)}</LTXA1><RUECK>{operation.confirmation_group}</RUECK>"
        f"{status}{components}</E1AFVOL>"
    )


def _matnr(material: str) -> str:
    """Purely numeric material numbers travel with leading zeros, others as they are."""
    return f"{material:0>18}" if material.isdigit() else escape(material)


def nc_webhook(
    event: str,
    *,
    number: str,
    at_ms: int,
    site: str,
    material: str,
    lots: Sequence[str],
    severity: str = "critical",
    defect: str = "D-44",
    text: str = "",
) -> bytes:
    """A webhook of the QMS, ``nc.raised`` or ``nc.closed``, with all lots in one text field."""
    document: dict[str, object] = {
        "eventType": event,
        "nc": number,
        "raisedAt" if event == "nc.raised" else "closedAt": at_ms,
        "site": site,
        "severity": severity,
        "material": material,
        "lots": ", ".join(lots),
        "scope": "all stock",
        "defect": {"code": defect, "text": text},
    }
    return msgspec.json.encode(document)
