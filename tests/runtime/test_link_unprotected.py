"""A core whose library would let strangers in: that door is closed, and the others are open."""

import asyncio
import socket

import pytest
from durable_node import TOKEN
from link_nodes import CORE, write
from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS, message

from mfgroute.adapters.zeromq.guard import Guard
from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.runtime.app import Router
from mfgroute.testing.demo.folder import free_ports


@pytest.fixture
def project(tmp_path):
    create_keypair(tmp_path / "keys", "core-1")
    _, edge_key = create_keypair(tmp_path / "keys", "edge-1")
    (port,) = free_ports(1)
    main = CORE.format(
        port=port, edge_key=edge_key.read_text().strip(), url="http://127.0.0.1:9/", window=1000
    )
    main = main.replace(
        "sources:\n", f"sources:\n  mes: {{adapter: http, mappings: [mes-a], token: {TOKEN}}}\n"
    )
    write(
        tmp_path,
        {
            "mfgroute.yaml": main,
            "contracts/production.operation.completed.v1.yaml": CONTRACT,
            "mappings/mes-a.yaml": MAPPING,
            "lookups/materials.csv": MATERIALS,
        },
    )
    return tmp_path, port


async def test_the_link_is_down_at_once_and_the_rest_of_the_core_goes_on(project, monkeypatch):
    folder, port = project

    def anybody(self, request):
        return [b"1.0", request[1], b"200", b"OK", b"anybody", b""]

    monkeypatch.setattr(Guard, "_judge", anybody)
    async with Router(folder) as router:
        (link,) = (pulse for pulse in router.pulses() if pulse.name == "edges")
        async with asyncio.timeout(30):
            while link.state in ("starting", "up"):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        assert (link.state, link.faults) == ("down", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        (problem,) = router.health().problems
        assert problem.startswith("source edges is down: Unprotected:")
        assert "accepts a stranger" in problem
        receipt = await router.submit("mes", [message(1)])
        assert (receipt.accepted, receipt.level) == (1, "durable")
