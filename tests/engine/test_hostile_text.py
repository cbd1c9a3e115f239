"""Hostile text in every text field: byte-exact or rejected, and never a broken log line."""

import json
import os
from pathlib import Path

import pytest

from .conftest import message
from .test_engine import drain

SHARED = Path(os.environ.get("MFGROUTE_SHARED", Path(__file__).parents[3] / "shared"))
PUBLIC = SHARED / "data" / "text" / "blns.json"

OURS = [
    "", " ", "\t", "undefined", "null", "NaN", "1e400", "-0", "0x1F", "<script>alert(1)</script>",
    "'; DROP TABLE orders; --", "../../etc/passwd", "%s%n%x", "${jndi:ldap://x}", "{{7*7}}", "\x1b[31mred\x1b[0m",
    "line\nfeed", "carriage\rreturn", "\r\nSet-Cookie: x=1", "nul\x00byte", "bell\x07", "del\x7f", "c1\x85next\x9b31m",
    "‮right to left", "⁦isolate⁩", "line separator", "paragraph separator", "zero​width",
    "﻿bom", "e\u0301", "é", "ﬁ", "Ω≈ç√∫", "表ポあA鷗ŒéB逍", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "Z̮̞̠͙͔ͅal̡̤", "\U0010ffff", "￾￿", "\\", '"',
    "\\u0000", "a" * 10_000, "order/1/2", "100%", "~0~1", "#text", "^.x", "[*]",
]  # fmt: skip


def strings():
    public = json.loads(PUBLIC.read_text(encoding="utf-8")) if PUBLIC.exists() else []
    return OURS + public


def test_every_string_survives_byte_exact_or_is_rejected(make_engine):
    engine = make_engine()
    texts = strings()
    messages = [message(number, order=str(number), text=text) for number, text in enumerate(texts)]
    receipt = engine.submit("mes-a", messages)
    rejected = {reject.message for reject in receipt.rejects}
    assert receipt.accepted + receipt.rejected == len(texts)
    found = {}
    for event in drain(engine, "erp"):
        assert event.json.count(b"\n") == 0, "an event is one line"
        assert not any(byte < 0x20 or byte == 0x7F for byte in event.json), "no raw control character"
        document = json.loads(event.json)
        found[int(document["data"]["report"][1:])] = document["data"].get("text")
    for number, text in enumerate(texts):
        if number not in rejected:
            assert found[number] == text, repr(text)
    assert rejected == set(), "JSON carries all of them"


@pytest.mark.parametrize("field", ["order", "id"])
def test_hostile_keys_and_ids_are_exact_or_rejected(make_engine, field):
    engine = make_engine()
    texts = [text for text in strings() if 0 < len(text) <= 12]
    messages = [message(number, **{field: text}) for number, text in enumerate(texts)]
    receipt = engine.submit("mes-a", messages)
    rejected = {reject.message for reject in receipt.rejects}
    events = [json.loads(event.json) for event in drain(engine, "erp")]
    assert len(events) == receipt.accepted
    name = "report" if field == "id" else "order"
    kept = {event["data"][name] for event in events}
    for number, text in enumerate(texts):
        expected = text if field == "id" else (text.lstrip("0") or "0" if text.strip("0") == "" else text)
        if number not in rejected and field == "id":
            assert expected in kept, repr(text)
    for event in events:
        assert event["subject"].count("/") == 2, "a slash in a value cannot make another key"


def test_hostile_text_in_xml_and_csv_is_exact_or_rejected(make_engine, write_project):
    import mfgroute

    xml = """\
from: {decode: xml}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {const: "1"}
      report: {path: id}
      text: {path: text}
      quantity.unit: {const: KGM}
      quantity.good: {const: "1"}
"""
    write_project(mapping=xml)
    engine = mfgroute.Engine(mfgroute.load_plan(write_project(mapping=xml)))
    escaped = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    texts = [text for text in strings() if text]
    for number, text in enumerate(texts):
        body = "".join(escaped.get(char, char) for char in text)
        payload = f"<m><id>r{number}</id><text>{body}</text></m>".encode("utf-8", "surrogatepass")
        receipt = engine.submit("mes-a", [payload])
        assert receipt.accepted + receipt.rejected == 1
        if receipt.accepted:
            (event,) = drain(engine, "erp")
            # XML 1.0 §2.11: line ends are read as a line feed.
            expected = text.replace("\r\n", "\n").replace("\r", "\n")
            assert json.loads(event.json)["data"].get("text", "") == expected, repr(text)
    engine.close()
