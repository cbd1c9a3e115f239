"""Which certificate a server is known by, and what people decide: books, and real servers that change."""

from __future__ import annotations

import asyncio
import json
import os

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding

from mfgroute.adapters.opcua import connection
from mfgroute.adapters.opcua.known import OTHERS_MAX, Known, books, described
from mfgroute.adapters.opcua.trust import thumbprint
from mfgroute.errors import AdapterError, Disconnected, Quarantined
from mfgroute.testing.plant import PlantServer

from .opcua_servers import CA, KEYS, SIGNED, Files, certificate, first_value, revocations

pytestmark = pytest.mark.asyncio(loop_scope="module")
HERE = "opc.tcp://10.0.0.7:4840"
OWN, OTHER = certificate(), certificate(KEYS[1])
PERSON = frozenset({"person"})


@pytest.fixture
def known(tmp_path) -> Known:
    return Known(tmp_path, "press-7")


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant():
    async with PlantServer() as made:
        yield made


def decisions(folder) -> list[dict]:
    text = (folder / "opcua" / "decisions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_a_certificate_waits_until_a_person_approves_it(known, tmp_path):
    with pytest.raises(Quarantined, match=f"pki trust press-7 {thumbprint(OWN)} --reason"):
        known.judge(OWN, HERE, hows=PERSON)
    assert known.read().quarantined().state == "waiting"
    known.trust(OWN, by="uid 7", why="read from the panel")
    assert known.judge(OWN, HERE, hows=PERSON) == "person"
    known.keep(OWN, HERE, "person")
    book = known.read()
    assert (book.quarantined(), book.approval.by, book.approval.why) == (None, "uid 7", "read from the panel")
    (line,) = decisions(tmp_path)
    assert {name: line[name] for name in ("did", "by", "why", "source", "endpoint", "sha256", "subject")} == {
        "did": "trusted", "by": "uid 7", "why": "read from the panel", "source": "press-7", "endpoint": HERE,
        "sha256": thumbprint(OWN), "subject": "CN=server",
    }  # fmt: skip
    assert known.path.stat().st_mode & 0o777 == 0o600


async def test_another_certificate_waits_and_the_approved_one_goes_on(known):
    known.trust(OWN, by="uid 7", why="panel")
    with pytest.raises(Quarantined, match=f"it was sha256 {thumbprint(OWN)}, approved by uid 7: panel"):
        known.judge(OTHER, HERE, hows=PERSON | {"first_use", "listed"})
    assert known.judge(OWN, HERE, hows=PERSON) == "person"
    known.keep(OWN, HERE, "person")
    assert known.read().quarantined() is None, "the server shows the approved one again"
    assert [one.sha256 for one in known.read().others] == [thumbprint(OTHER)]


async def test_the_first_use_is_accepted_only_if_that_is_said_and_only_once(known, tmp_path):
    with pytest.raises(Quarantined):
        known.judge(OWN, HERE, hows=PERSON)
    declared = PERSON | {"first_use"}
    known.keep(OWN, HERE, known.judge(OWN, HERE, hows=declared))
    assert [(one["did"], one["by"]) for one in decisions(tmp_path)] == [("first_use", "configuration")]
    with pytest.raises(Quarantined):
        known.judge(OTHER, HERE, hows=declared)
    with pytest.raises(Quarantined, match="nobody approved it yet"):
        known.judge(OWN, HERE, hows=PERSON)


async def test_what_a_person_rejected_is_never_a_first_use(known):
    with pytest.raises(Quarantined):
        known.judge(OWN, HERE, hows=PERSON)
    known.reject(OWN, by="uid 7", why="not the one of the panel")
    with pytest.raises(Quarantined, match="uid 7 rejected: not the one of the panel"):
        known.judge(OWN, HERE, hows=PERSON | {"first_use", "listed"})
    known.trust(OWN, by="uid 8", why="it is")
    assert known.judge(OWN, HERE, hows=PERSON) == "person"


async def test_a_rejection_is_stronger_than_a_pin(known):
    pinned = frozenset({"pinned"})
    known.keep(OWN, HERE, known.judge(OWN, HERE, hows=pinned))
    known.keep(OTHER, HERE, known.judge(OTHER, HERE, hows=pinned))
    known.reject(OTHER, by="uid 7", why="stolen")
    with pytest.raises(Quarantined, match="stolen"):
        known.judge(OTHER, HERE, hows=pinned)
    assert known.judge(OWN, HERE, hows=pinned) == "pinned"


async def test_an_approval_is_of_one_endpoint(known):
    known.trust(OWN, by="uid 7", why="from a file, before the first contact")
    assert known.judge(OWN, HERE, hows=PERSON) == "person"
    known.keep(OWN, HERE, "person")
    with pytest.raises(Quarantined):
        known.judge(OWN, "opc.tcp://10.0.0.8:4840", hows=PERSON)


async def test_many_certificates_do_not_fill_the_disk_nor_push_out_a_rejection(known):
    known.reject(OWN, by="uid 7", why="no")
    for _ in range(OTHERS_MAX + 5):
        with pytest.raises(Quarantined):
            known.judge(certificate(KEYS[1]), HERE, hows=PERSON)
    others = known.read().others
    assert len(others) == OTHERS_MAX
    assert others[0].state == "rejected"


async def test_the_same_certificate_again_is_not_written_each_time(known):
    stamps = set()
    for _ in range(3):
        with pytest.raises(Quarantined):
            known.judge(OWN, HERE, hows=PERSON)
        stamps.add((known.path.stat().st_mtime_ns, known.path.stat().st_ino))
    assert len(stamps) == 1


async def test_an_approval_that_is_withdrawn_while_it_connects_does_not_count(known):
    known.trust(OWN, by="uid 7", why="panel")
    assert known.judge(OWN, HERE, hows=PERSON) == "person"
    known.reject(OWN, by="uid 7", why="stolen")
    for how in ("person", "first_use", "pinned"):
        with pytest.raises(Quarantined, match="withdrawn"):
            known.keep(OWN, HERE, how)


async def test_a_book_of_before_and_a_broken_one(known, tmp_path):
    (tmp_path / "opcua").mkdir()
    known.path.write_text(json.dumps({"endpoint": HERE, "sha256": thumbprint(OWN)}))
    assert known.judge(OWN, HERE, hows=PERSON | {"first_use"}) == "first_use"
    known.path.write_text("{")
    for call in (lambda: books(tmp_path), lambda: known.judge(OWN, HERE, hows=PERSON)):
        with pytest.raises(AdapterError, match="cannot read"):
            call()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user needs root")
async def test_what_an_administrator_approves_the_user_of_the_node_can_read(known, tmp_path):
    os.chown(tmp_path, 65534, 65534)
    known.trust(OWN, by="uid 0", why="panel")
    for path in (known.path, tmp_path / "opcua", tmp_path / "opcua" / "decisions.jsonl"):
        assert path.stat().st_uid == 65534


async def test_a_person_sees_what_there_is_to_compare():
    said = described(SIGNED)
    assert said["sha256"] == thumbprint(SIGNED)
    assert (said["application_uris"], said["hosts"]) == (["urn:mfgroute:plant:server"], ["127.0.0.1"])
    assert (said["subject"], said["issuer"]) == ("CN=server", "CN=authority")


# With real servers


async def test_a_server_is_believed_once_a_person_approved_it_and_not_after_its_certificate_changed(
    plant, files
):
    trust = {"security": {"trust": {}}}
    await plant.show(files.put("server", OWN, KEYS[0]))
    with pytest.raises(Quarantined):
        await first_value(files.source(plant.endpoint, **trust))
    known = Known(files.root / "data", "press-7")
    known.trust(OWN, by="uid 7", why="panel")
    assert await first_value(files.source(plant.endpoint, **trust)) == 0
    await plant.show(files.put("renewed", OTHER, KEYS[1]))
    with pytest.raises(Quarantined, match="it was sha256"):
        await first_value(files.source(plant.endpoint, **trust))
    known.trust(OTHER, by="uid 7", why="the builder renewed it")
    assert await first_value(files.source(plant.endpoint, **trust)) == 0
    await plant.show(files.put("server", OWN, KEYS[0]))
    with pytest.raises(Quarantined):
        await first_value(files.source(plant.endpoint, **trust))


async def test_a_listed_certificate_is_approved_by_its_file_and_another_listed_one_is_not(plant, files):
    both = certificate(KEYS[1], issuer=CA)
    files.put("trusted/first", SIGNED, KEYS[0])
    files.put("trusted/second", both, KEYS[1])
    for key in files.root.glob("trusted/*.pem"):
        if "PRIVATE" in key.read_text():
            key.rename(files.root / key.name)
    trust = {"security": {"trust": {"certificates": ["trusted"]}}}
    await plant.show(files.put("server", SIGNED, KEYS[0]))
    assert await first_value(files.source(plant.endpoint, **trust)) == 0
    await plant.show(files.put("server", both, KEYS[1]))
    with pytest.raises(Quarantined, match=r"trust\.certificates names this certificate"):
        await first_value(files.source(plant.endpoint, **trust))


async def test_a_connection_ends_when_its_approval_does(plant, files):
    await plant.show(files.put("server", OWN, KEYS[0]))
    known = Known(files.root / "data", "press-7")
    known.trust(OWN, by="uid 7", why="panel")
    source = files.source(plant.endpoint, security={"trust": {}})
    try:
        await source.open(None)
        assert msgspec.json.decode((await source.read()).messages[0])["value"] == 0
        known.reject(OWN, by="uid 7", why="the machine was sold")
        await ends(source, "not approved any more")
    finally:
        await source.close()


async def test_a_connection_ends_when_its_certificate_is_revoked(plant, files, monkeypatch):
    monkeypatch.setattr(connection, "LOOK_S", 0.1)
    (files.root / "crl").mkdir()
    listed = files.root / "crl" / "ca.crl"
    listed.write_bytes(revocations(CA).public_bytes(Encoding.DER))
    await plant.show(files.put("server", SIGNED, KEYS[0]))
    trust = {"certificates": ["trusted"], "first_use": "accept", "crl": ["crl"]}
    source = files.source(plant.endpoint, security={"trust": trust})
    try:
        await source.open(None)
        await source.read()
        listed.write_bytes(revocations(CA, SIGNED.serial_number).public_bytes(Encoding.DER))
        await ends(source, "not believed any more: the certificate is revoked")
    finally:
        await source.close()


async def ends(source, why: str) -> None:
    """The connection ends, with a reason."""
    async with asyncio.timeout(15):
        with pytest.raises(Disconnected, match=why):
            while True:
                await source.read()
