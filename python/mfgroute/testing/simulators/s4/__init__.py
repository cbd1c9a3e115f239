"""An ERP as the OData services of SAP S/4HANA are documented, with a ledger and scripted faults.

* `model`, `wire`, `query`, `protocol`, `multipart`: OData V2 and the vendor's names.
* `confirm`, `goods`, `changes`, `reads`: what the services do.
* `gateway`, `sessions`: what stands before them: tokens, repeated requests, batches, locks.
* `messages`: what it refuses with, and which of that is known from public material.
* `master`: master data and switches. `faults`: misbehaviour. `ledger`: what was done.
* `store`: tables that survive a kill. `server`: the web server.
"""

from mfgroute.testing.simulators.s4.faults import Fault
from mfgroute.testing.simulators.s4.ledger import Books
from mfgroute.testing.simulators.s4.master import S4Setup, Stock, Switches
from mfgroute.testing.simulators.s4.messages import MESSAGES
from mfgroute.testing.simulators.s4.protocol import ROOT
from mfgroute.testing.simulators.s4.server import S4Simulator

__all__ = ["MESSAGES", "ROOT", "Books", "Fault", "S4Setup", "S4Simulator", "Stock", "Switches"]
