"""Adapters that ship with mfgroute: one folder each, found through entry points, imported on first use."""
