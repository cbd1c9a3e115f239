"""Each template of ``init`` runs at once against the simulators; nothing of it is edited but ports."""

import json
import urllib.request
from pathlib import Path

from cli_projects import Node, command, ledger, start_simulator, until  # isort: skip
import pytest

TOKEN = "change-me-before-use"
ODATA = "/sap/opu/odata/sap"
SETUPS = {"erp": "erp.json", "s4": "sap.json"}
#: Template, simulators with the variable that names each and its path, source, sample, type, effects of each.
CASES = [
    ("confirmation-to-sap", {"s4": ("SAP_URL", ODATA)}, "mes", "completion.json", {"s4": 1}),
    (
        "quality-hold",
        {"s4": ("SAP_URL", ODATA), "wms": ("WMS_URL", "/shipment-blocks")},
        "qms",
        "raised.json",
        {"s4": 2, "wms": 2},
    ),
    ("receipt-to-wms", {"wms": ("WMS_URL", "/receipts")}, "mes", "receipt.json", {"wms": 1}),
    ("csv-drop", {"erp": ("ERP_URL", "/confirmations")}, None, "BDE_20261124.csv", {"erp": 1}),
    ("b2mml", {"erp": ("ERP_URL", "/events")}, "mes-b", "performance.xml", {"erp": 2}),
]


def post(node, source, sample):
    kind = "application/xml" if sample.suffix == ".xml" else "application/json"
    headers = {"Content-Type": kind, "Authorization": f"Bearer {TOKEN}"}
    url = f"{node.ready['url']}/v1/sources/{source}"
    request = urllib.request.Request(url, data=sample.read_bytes(), headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.mark.parametrize(
    ("template", "simulators", "source", "sample", "effects"), CASES, ids=[case[0] for case in CASES]
)
def test_a_template_runs_at_once_against_the_simulators(  # noqa: PLR0917 - a row of the table
    template, simulators, source, sample, effects, tmp_path, monkeypatch
):
    monkeypatch.delenv("MES_TOKEN")
    folder = tmp_path / "made"
    assert command("init", "--template", template, folder, folder=tmp_path).code == 0
    tried = command("try", folder / "samples" / sample, "-c", folder, folder=tmp_path)
    assert (tried.code, "is sent:" in tried.out) == (0, True), tried.out + tried.err
    file = folder / "mfgroute.yaml"
    file.write_text(file.read_text().replace("127.0.0.1:8080", "127.0.0.1:0"))
    processes, urls, node = [], {}, None
    try:
        for system in simulators:
            setup = folder / "samples" / SETUPS[system] if system in SETUPS else None
            process, urls[system] = start_simulator(system, tmp_path, setup)
            processes.append(process)
        env = {variable: urls[system] + path for system, (variable, path) in simulators.items()}
        node = Node(folder, env=env)
        if source is None:
            part = Path(folder / "drop.part")
            part.write_bytes((folder / "samples" / sample).read_bytes())
            part.rename(folder / "inbox" / sample)
        else:
            assert post(node, source, folder / "samples" / sample)["accepted"] >= 1
            assert post(node, source, folder / "samples" / sample)["duplicates"] >= 1
        for system, number in effects.items():
            found = until(
                lambda url=urls[system]: ledger(url), lambda one, number=number: len(one["effects"]) >= number
            )
            assert (len(found["effects"]), found["refused"]) == (number, 0), found
        assert node.stop() == 0
    finally:
        if node is not None and node.process.poll() is None:
            node.stop(9)
        for process in processes:
            process.terminate()
            process.wait(20)
