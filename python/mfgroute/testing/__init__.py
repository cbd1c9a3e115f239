"""Helpers for tests of projects and adapters.

``conformance``  the suite every adapter passes, ours and others'
``fakes``        a source and a sink in memory, and a TCP proxy that misbehaves
"""
