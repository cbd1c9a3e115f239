"""``$batch`` at the ERP behind OData: changesets are done whole or not at all."""

import email
import email.policy
import json

import pytest

from mfgroute.testing.simulators.s4 import ROOT, Fault

from .client import BATCHES, CONFIRMATIONS, DOCUMENTS, confirmation, document, item, once, order, system

ORDER = {"ManufacturingOrder": "1004711"}


def operation(method, path, body=None, **headers):
    text = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Content-Type: application/json", "Accept: application/json"]
    lines += [f"Content-Length: {len(text)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", text])


def part(content, number=None):
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    head += [f"Content-ID: {number}"] if number is not None else []
    return "\r\n".join([*head, "", content])


def changeset(name, *contents):
    blocks = [f"--{name}\r\n{part(content, number)}\r\n" for number, content in enumerate(contents, 1)]
    return f"Content-Type: multipart/mixed; boundary={name}\r\n\r\n{''.join(blocks)}--{name}--\r\n"


def answered(kind, text):
    """The answers of a batch: of a changeset a list of (status, headers, document), else one of them."""
    parser = email.message_from_string(f"Content-Type: {kind}\r\n\r\n{text}", policy=email.policy.HTTP)
    found = []
    for one in parser.iter_parts():
        if one.is_multipart():
            found.append([_response(inner) for inner in one.iter_parts()])
        else:
            found.append(_response(one))
    return found


def _response(one):
    line, _, rest = one.get_payload(decode=True).decode().partition("\r\n")
    inner = email.message_from_string(rest, policy=email.policy.HTTP)
    body = inner.get_payload()
    return int(line.split(" ")[1]), inner, json.loads(body) if body.strip() else None


async def batch(client, service, *parts, headers=None):
    await client.fetch(service)
    text = "".join(f"--outer\r\n{one}\r\n" for one in parts) + "--outer--\r\n"
    sent = {"X-CSRF-Token": client.token, "Accept": "application/json", **(headers or {})}
    sent["Content-Type"] = "multipart/mixed; boundary=outer"
    url = f"{client.system.url}{ROOT}{service}/$batch"
    async with client.http.post(url, data=text.encode(), headers=sent) as answer:
        text = await answer.text()
        if answer.status != 202:
            return answer.status, json.loads(text)
        return answer.status, answered(answer.headers["Content-Type"], text)


def confirm(number="1004711", **headers):
    return operation("POST", "ProdnOrdConf2", confirmation(OrderID=number), **headers)


async def test_changesets_stand_for_themselves_and_each_is_whole():
    async with system(orders=[order(), order("1004712")]) as (erp, client):
        status, answers = await batch(
            client,
            CONFIRMATIONS,
            changeset("one", confirm(), confirm("1004712")),
            changeset("two", confirm(), confirm("9999")),
            part(
                operation("GET", "ProdnOrdConf2?$filter=OrderID%20eq%20'1004711'&$select=ConfirmationCount")
            ),
        )
        assert status == 202
        good, bad, read = answers
        assert [one[0] for one in good] == [201, 201]
        assert bad[0] == 400
        assert bad[2]["error"]["code"] == "RU/012"
        assert (read[0], len(read[2]["d"]["results"])) == (200, 1)
        assert [effect["order"] for effect in erp.ledger.effects()] == ["1004711", "1004712"]


async def test_a_changeset_that_is_rolled_back_takes_no_number_and_no_stock():
    setup = {"stock": [{"plant": "1010", "storage_location": "101A", "material": "RM-555", "quantity": "9"}]}
    issue = operation("POST", "A_MaterialDocumentHeader", document("03", item(quantity="5", **ORDER)))
    async with system(setup=setup, negative_stock=False) as (erp, client):
        _, [bad] = await batch(client, DOCUMENTS, changeset("c", issue, issue))
        assert (bad[0], bad[2]["error"]["code"]) == (400, "M7/021")
        _, [[good]] = await batch(client, DOCUMENTS, changeset("c", issue))
        assert good[2]["d"]["MaterialDocument"] == "4900000001"
        assert erp.ledger.counts() == {"material_document": 1}


async def test_parts_carry_their_own_keys_and_versions():
    path = "Batch(Material='RM-555',BatchIdentifyingPlant='1010',Batch='L-1')"
    hold = {"MatlBatchIsInRstrcdUseStock": True}
    async with system(setup={"batches": ["1010/RM-555/L-1"]}) as (erp, client):
        keys = once()
        for _ in range(2):
            _, [[good]] = await batch(client, CONFIRMATIONS, changeset("c", confirm(**keys)))
            assert (good[0], good[1]["RepeatabilityResult"]) == (201, "accepted")
            assert good[2]["d"]["ConfirmationCount"] == "1"
        _, [bad] = await batch(
            client, BATCHES, changeset("c", operation("PATCH", path, hold, If_Match='W/"2"'))
        )
        assert bad[0] == 412
        _, [[good]] = await batch(
            client, BATCHES, changeset("c", operation("PATCH", path, hold, If_Match='W/"1"'))
        )
        assert (good[0], good[1]["ETag"]) == (204, 'W/"2"')
        assert erp.ledger.counts() == {"batch_restricted": 1, "confirmation": 1}


async def test_a_whole_batch_can_have_a_key():
    async with system() as (erp, client):
        keys = once()
        for _ in range(2):
            status, [[good]] = await batch(client, CONFIRMATIONS, changeset("c", confirm()), headers=keys)
            assert (status, good[2]["d"]["ConfirmationCount"]) == (202, "1")
        assert len(erp.ledger.effects()) == 1


async def test_a_scripted_refusal_hits_its_changeset_only():
    async with system(orders=[order(), order("1004712")]) as (erp, client):
        erp.misbehave(Fault(kind="refuse", name="1004712", status=423))
        _, answers = await batch(
            client, CONFIRMATIONS, changeset("one", confirm("1004712")), changeset("two", confirm())
        )
        assert (answers[0][0], answers[1][0][0]) == (423, 201)
        erp.behave()
        erp.misbehave(Fault(kind="error", name="1004712"))
        status, _ = await batch(client, CONFIRMATIONS, changeset("c", confirm()))
        assert status == 202
        status, _ = await batch(client, CONFIRMATIONS, changeset("c", confirm("1004712")))
        assert status == 500


@pytest.mark.parametrize(
    "broken",
    [
        part(operation("POST", "ProdnOrdConf2", {})),
        changeset("c", operation("GET", "ProdnOrdConf2")),
        "Content-Type: text/plain\r\n\r\nx",
        part("nothing"),
    ],
)
async def test_what_is_no_batch_is_refused(broken):
    async with system() as (erp, client):
        status, error = await batch(client, CONFIRMATIONS, changeset("good", confirm()), broken)
        assert (status, error["error"]["code"]) == (400, "CX_SXML_PARSE_ERROR")
        assert erp.ledger.effects() == []
