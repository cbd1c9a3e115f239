"""What stands on the wire and what answers mean: nothing is sent here."""

import json
from datetime import date, time
from decimal import Decimal

import pytest

from mfgroute.adapters.sap import batch, data, odata
from mfgroute.adapters.sap.judge import judge, line_of
from mfgroute.adapters.web.answer import Answer


def error(code, text="", *inner):
    details = [{"code": one, "message": words, "severity": severity} for one, words, severity in inner]
    document = {
        "code": code,
        "message": {"lang": "en", "value": text},
        "innererror": {"errordetails": details},
    }
    return json.dumps({"error": document}).encode()


class Headers(dict):
    def get(self, name, default=None):
        return super().get(name.lower(), default)


def answer(status, body=b"", **headers):
    return Answer(
        status=status, headers=Headers({n.replace("_", "-"): v for n, v in headers.items()}), body=body
    )


#: An answer, what it means, and the code of a refusal or of the end of waiting.
MEANINGS = [
    (answer(403, b"CSRF token validation failed", x_csrf_token="Required"), "token", "http_403"),
    (answer(400, error("/IWBEP/CM_COS/005", "RequestID is outdated")), "already", "/IWBEP/CM_COS/005"),
    (answer(500, error("/IWBEP/CM_COS/001", "not configured")), "retry", "/IWBEP/CM_COS/001"),
    (answer(401, b"<html>"), "retry", "http_401"),
    (answer(408), "retry", "http_408"),
    (answer(429, retry_after="9"), "retry", "http_429"),
    (answer(503), "retry", "http_503"),
    (answer(423), "not_yet", "locked"),
    (answer(400, error("CO/469", "Order 4711 is already being processed by A")), "not_yet", "locked"),
    (answer(500, error("CO/469", "")), "not_yet", "locked"),
    (answer(400, error("M3/024", "Valuation data for material X is locked by the user A")), "not_yet", "locked"),
    (answer(400, error("XX/001", "Material X is locked by user A")), "not_yet", "locked"),
    (answer(400, error("MM_IM_ODATA_API_MDOC/014", "failed", ("M7/053", "Posting only…", "error"))), "refused", "period_closed"),
    (answer(400, error("MM_IM_ODATA_API_MDOC/014", "failed", ("M7/042", "x", "error"))), "not_yet", "batch_missing"),
    (answer(400, error("XX/002", "Batch B1 of material M does not exist")), "not_yet", "batch_missing"),
    (answer(403, error("/IWFND/MED/170", "No service found")), "retry", "/IWFND/MED/170"),
    (answer(412, error("X/1", "changed")), "retry", "X/1"),
    (answer(501, error("/IWBEP/CM_COS/003", "x"), repeatabilityresult="unsupported"), "retry", "/IWBEP/CM_COS/003"),
    (answer(409), "ask", "http_409"),
    (answer(400, error("RU/494", "Order 1000510 closed")), "refused", "RU/494"),
    (answer(404), "refused", "http_404"),
    (answer(500, error("X/2", "dump")), "ask", "X/2"),
    (answer(502, b"bad gateway"), "ask", "http_502"),
    (answer(307, location="http://169.254.169.254/"), "ask", "http_307"),
    (answer(100), "ask", "http_100"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "means", "code"), MEANINGS, ids=lambda one: getattr(one, "status", one))
def test_an_answer_means_what_the_table_says(given, means, code):
    verdict = judge(given)
    assert (verdict.means, verdict.code) == (means, code)
    assert verdict.reason


def test_every_line_of_the_table_decides_something_and_has_a_source():
    reached = {data.answers().index(line) for given, _, _ in MEANINGS if (line := line_of(given)) is not None}
    assert reached == set(range(len(data.answers())))
    assert all(line.source for line in data.answers())


def test_a_warning_beside_an_error_does_not_decide():
    body = error("RU/117", "already final", ("M7/042", "Batch A does not exist", "warning"))
    assert judge(answer(400, body)).means == "refused"


def test_the_targets_words_are_shown_with_their_codes_and_without_control_characters():
    body = error("MM/014", "failed\x1b[31m", ("M7/021", "Deficit", "error"), ("M7/021", "Deficit", "error"))
    assert judge(answer(400, body)).reason == "MM/014: failed\\u001b[31m; M7/021: Deficit"
    assert judge(answer(400, b"<html>\nno")).reason == "http_400: <html> no"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"nonsense", b'{"error":1}', b'{"error":{"innererror":{"errordetails":{}}}}', b"[" * 10_000],
)
def test_a_body_that_is_no_error_has_no_messages_of_its_own(body):
    assert all(not one.code for one in odata.messages(body))
    assert odata.results(body) is None
    assert odata.entity(body) is None


def test_forms_of_values():
    assert odata.date_json(date(2026, 11, 24)) == "/Date(1795478400000)/"
    assert odata.date_json(date(1969, 12, 31)) == "/Date(-86400000)/"
    assert odata.time_json(time(7, 5, 9, 999)) == "PT07H05M09S"
    assert odata.quantity(Decimal("1E+2")) == "100.000"
    assert odata.quantity(Decimal("-0")) == "0.000"
    assert odata.text_literal("it's") == "'it''s'"
    assert odata.key_of({"A": "x/y'", "B": ""}) == "(A=%27x%2Fy%27%27%27,B=%27%27)"
    for bad in ("0.0001", "1E+10"):
        with pytest.raises(ValueError, match="digits or 3 decimals"):
            odata.quantity(Decimal(bad))


def multipart(*parts):
    """An answer to a batch: a list is a changeset, a pair a single answer."""

    def one(status, body):
        return (
            f"Content-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\nContent-Type: application/json\r\nETag: W/1\r\n\r\n".encode()
            + body
        )

    made = b""
    for number, part in enumerate(parts):
        made += b"--out\r\n"
        if isinstance(part, list):
            made += b"Content-Type: multipart/mixed; boundary=in%d\r\n\r\n" % number
            made += (
                b"".join(b"--in%d\r\n" % number + one(*inner) + b"\r\n" for inner in part)
                + b"--in%d--\r\n" % number
            )
        else:
            made += one(*part) + b"\r\n"
    return answer(202, made + b"--out--\r\n", content_type="multipart/mixed; boundary=out")


def test_a_batch_is_read_back_one_by_one_with_every_byte():
    body = '{"d":{"text":"Größe — \r\n--in0 ü"}}'.encode()
    found = batch.parsed(multipart([(201, body), (200, b"")], (400, b"{}")), [2, 3])
    assert [[one.status for one in answers] for answers in found] == [[201, 200], [400]]
    assert found[0][0].body == body
    assert found[0][0].headers.get("etag") == "W/1"
    assert found[0][0].headers.get("ETag") == "W/1"


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (multipart([(201, b"{}")]), [1, 1]),
        (multipart([(201, b"{}")]), [2]),
        (multipart([(201, b"{}"), (201, b"{}")]), [1]),
        (answer(202, b"{}", content_type="application/json"), [1]),
        (answer(202, b"--out\r\n\r\nnothing\r\n--out--", content_type="multipart/mixed; boundary=out"), [1]),
        (answer(202, b"", content_type="multipart/mixed"), [1]),
        (
            Answer(
                status=202, headers=Headers({"content-type": "multipart/mixed; boundary=out"}), truncated=True
            ),
            [1],
        ),
    ],
)
def test_an_answer_that_does_not_fit_its_batch_is_believed_in_nothing(given, sizes):
    assert batch.parsed(given, sizes) is None


def test_a_batch_that_was_built_names_each_request():
    parts = [[batch.Part("POST", "A", {"RequestID": "1"}, b"{}")], [batch.Part("POST", "B?x=1", {}, b"")]]
    kind, made = batch.built(parts, "b")
    assert kind == "multipart/mixed; boundary=batch_b"
    lines = made.decode().split("\r\n")
    assert [line for line in lines if line.startswith("POST")] == ["POST A HTTP/1.1", "POST B?x=1 HTTP/1.1"]
    assert "RequestID: 1" in lines
    assert lines[-2] == "--batch_b--"
