"""OPC UA: subscribe to the nodes of a machine, and turn their changes into business messages.

In reading order: `config` (what may be set), `source` (the adapter), `connection` (the only user of
asyncua's client), `trust` and `known` (which server certificate is believed), `subscription` and
`backfill` (no silent loss), `positions` (what is remembered), `values` (variants as JSON), `change` (what
the detectors see), and the detectors: `rules` (their settings), `detect` (order and clock),
`counter`, `state`, `history`.
"""

from mfgroute.adapters.opcua.config import OpcUaConfig
from mfgroute.adapters.opcua.source import OpcUaSource

__all__ = ["OpcUaConfig", "OpcUaSource"]
