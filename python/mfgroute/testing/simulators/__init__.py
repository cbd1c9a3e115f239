"""Business systems of a plant as small web servers that keep a ledger and misbehave on request.

* `ledger`: effects, duplicates, refusals; what misbehaviour is.
* `server`: the web server that every system is.
* `rest`: their door for plain documents, with lookup, versions and jobs.
* `erp` (a plain REST ERP), `warehouse`, `quality`, `partners`: the systems and what they refuse.
* `documents`: what systems send (IDocs, webhooks).
* `s4`: an ERP behind the OData services of SAP S/4HANA, for sinks that post there.

``python -m mfgroute.testing.simulators erp --port 0 --ready-file erp.json`` runs one as a process.
"""

from mfgroute.testing.simulators.documents import Component, Operation, Order, loipro, nc_webhook
from mfgroute.testing.simulators.erp import ErpSetup, ErpSimulator
from mfgroute.testing.simulators.ledger import Effect, KeyReused, Ledger, Misbehaviour, Refusal
from mfgroute.testing.simulators.partners import CmmsSimulator, MesSimulator, PortalSimulator
from mfgroute.testing.simulators.quality import QmsSimulator
from mfgroute.testing.simulators.s4 import S4Simulator
from mfgroute.testing.simulators.server import CloudEvent, Made, Simulator
from mfgroute.testing.simulators.warehouse import WmsSimulator

__all__ = [
    "SIMULATORS",
    "CloudEvent",
    "CmmsSimulator",
    "Component",
    "Effect",
    "ErpSetup",
    "ErpSimulator",
    "KeyReused",
    "Ledger",
    "Made",
    "MesSimulator",
    "Misbehaviour",
    "Operation",
    "Order",
    "PortalSimulator",
    "QmsSimulator",
    "Refusal",
    "S4Simulator",
    "Simulator",
    "WmsSimulator",
    "loipro",
    "nc_webhook",
]

#: Every simulated system that takes events as they are, by name.
SIMULATORS: dict[str, type[Simulator]] = {
    simulator.system: simulator
    for simulator in (
        ErpSimulator,
        WmsSimulator,
        QmsSimulator,
        MesSimulator,
        CmmsSimulator,
        PortalSimulator,
    )
}
