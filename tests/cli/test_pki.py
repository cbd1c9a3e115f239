"""`pki list`, `trust` and `reject`, and what `doctor` says of servers that wait."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from cli_projects import write_project
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mfgroute.adapters.opcua.known import Known
from mfgroute.adapters.opcua.trust import thumbprint
from mfgroute.cli import main
from mfgroute.errors import Quarantined

HERE = "opc.tcp://10.0.0.7:4840"
KEY = rsa.generate_private_key(65537, 2048)


def made(name):
    now, who = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(KEY.public_key())
    dated = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return dated.sign(KEY, hashes.SHA256())


PRESS, ROGUE, OLD = made("press"), made("\u202erogue"), made("old")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data folder of a project, whose server showed one certificate to wait and one to refuse."""
    project = write_project(tmp_path / "project")
    monkeypatch.chdir(project)
    for shown in (ROGUE, PRESS):
        with pytest.raises(Quarantined):
            Known(project / "data", "press-7").judge(shown, HERE, hows=frozenset({"person"}))
    Known(project / "data", "press-9").refuse(OLD, HERE, "it is valid from … to …")
    return project / "data"


@pytest.fixture
def run(data, capsys):
    def of(*arguments):
        capsys.readouterr()
        code = main([*arguments, "--output", "json"])
        out, err = capsys.readouterr()
        return code, json.loads(out or err)

    return of


def test_certificates_are_listed_with_what_there_is_to_compare(run, capsys):
    code, said = run("pki", "list")
    assert code == 0
    assert [(one["source"], one["state"], one["shown"]) for one in said["certificates"]] == [
        ("press-7", "waiting", False),
        ("press-7", "waiting", True),
        ("press-9", "refused", True),
    ]
    press = said["certificates"][1]
    assert (press["sha256"], press["subject"], press["endpoint"]) == (thumbprint(PRESS), "CN=press", HERE)
    assert len(run("pki", "list", "--source", "press-9")[1]["certificates"]) == 1
    assert main(["pki", "list"]) == 0
    text = capsys.readouterr().out
    assert thumbprint(PRESS) in text, "a fingerprint is shown whole"
    assert "\u202e" not in text


def test_before_the_first_start_there_is_nothing_to_list(run, capsys):
    assert run("pki", "list", "--data-dir", "nowhere") == (0, {"certificates": []})
    assert main(["pki", "list", "--data-dir", "nowhere"]) == 0
    assert capsys.readouterr().out == "no server has shown a certificate yet\n"


def test_one_is_approved_with_who_and_why_and_the_other_rejected(run, data):
    colons = ":".join(thumbprint(PRESS)[i : i + 2] for i in range(0, 64, 2)).upper()
    code, said = run("pki", "trust", "press-7", colons, "--reason", "read from the panel")
    assert (code, said["state"], said["sha256"]) == (0, "approved", thumbprint(PRESS))
    assert said["by"].startswith(f"uid {os.getuid()}")
    assert Known(data, "press-7").judge(PRESS, HERE, hows=frozenset({"person"})) == "person"
    assert run("pki", "reject", "press-7", thumbprint(ROGUE)[:16], "--reason", "unknown")[0] == 0
    found = {one["sha256"]: one for one in run("pki", "list", "--source", "press-7")[1]["certificates"]}
    assert (found[thumbprint(PRESS)]["state"], found[thumbprint(PRESS)]["why"]) == (
        "approved",
        "read from the panel",
    )
    assert found[thumbprint(ROGUE)]["state"] == "rejected"
    lines = (data / "opcua" / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["did"] for line in lines] == ["trusted", "rejected"]


def test_a_certificate_of_a_file_is_approved_before_the_first_contact(run, data, tmp_path):
    file = tmp_path / "press-8.der"
    file.write_bytes(PRESS.public_bytes(Encoding.DER))
    code, said = run("pki", "trust", "press-8", "--certificate", str(file), "--reason", "from the builder")
    assert (code, said["sha256"]) == (0, thumbprint(PRESS))
    assert Known(data, "press-8").judge(PRESS, HERE, hows=frozenset({"person"})) == "person"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["press-7", thumbprint(PRESS)[:15], "--reason", "x"], "expected at least 16 digits"),
        (["press-7", "g" * 16, "--reason", "x"], "expected at least 16 digits"),
        (["press-7", "0" * 16, "--reason", "x"], "was shown no certificate"),
        (["press-8", thumbprint(PRESS), "--reason", "x"], "was shown no certificate"),
        (["press-7", thumbprint(PRESS), "--reason", " "], "reason is empty"),
        (["press-7", "--reason", "x"], "either the fingerprint"),
        (["press-9", thumbprint(OLD), "--reason", "x"], "cannot be approved: it is valid from"),
        (["press-7", thumbprint(PRESS), "--reason", "x", "--data-dir", "nowhere"], "no data folder"),
    ],
)
def test_what_cannot_be_approved_is_said(run, data, arguments, says):
    before = {path: path.read_bytes() for path in (data / "opcua").iterdir()}
    code, said = run("pki", "trust", *arguments)
    assert code == 2
    assert says in json.dumps(said)
    assert {path: path.read_bytes() for path in (data / "opcua").iterdir()} == before


def test_doctor_says_which_server_is_in_quarantine(run, data):
    def found():
        _, said = run("doctor")
        return {one["message"].partition(":")[0]: one for one in said["findings"] if one["check"] == "opc ua"}

    first = found()
    assert (first["press-7"]["state"], first["press-9"]["state"]) == ("warning", "warning")
    assert "waiting: nobody approved it yet" in first["press-7"]["message"]
    assert thumbprint(PRESS) in first["press-7"]["message"]
    assert "pki trust" in first["press-7"]["hint"]
    assert "no approval mends that" in first["press-9"]["hint"]
    known = Known(data, "press-7")
    run("pki", "trust", "press-7", thumbprint(PRESS), "--reason", "panel")
    known.keep(PRESS, HERE, known.judge(PRESS, HERE, hows=frozenset({"person"})))
    assert found()["press-7"]["state"] == "ok"
    known.path.write_text("{")
    assert [one["state"] for one in found().values()] == ["wrong"]
