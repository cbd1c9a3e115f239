"""The console sink: one line per event on standard output."""

from mfgroute.adapters.console.sink import ConsoleSink, ConsoleSinkConfig

__all__ = ["ConsoleSink", "ConsoleSinkConfig"]
