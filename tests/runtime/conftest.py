"""Fixtures of the runtime: a project on disk and adapters in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fakes_runtime as fakes

from mfgroute import _core
from mfgroute.registry import Registry
from mfgroute.runtime.app import Router


@pytest.fixture
def registry():
    return Registry(
        {"fake": fakes.FakeSource, "box": fakes.FakeInbox}, {"fake": fakes.FakeSink, "many": fakes.BatchSink}
    )


@pytest.fixture
def project(tmp_path):
    """Writes `mfgroute.yaml` and returns the folder."""

    def write(text=fakes.SMALL):
        (tmp_path / "mfgroute.yaml").write_text(text)
        return tmp_path

    return write


@pytest.fixture
def fake_core(monkeypatch):
    monkeypatch.setattr(_core, "Plan", fakes.FakePlan, raising=False)
    monkeypatch.setattr(_core, "Engine", fakes.FakeEngine, raising=False)
    fakes.FakeSource.reset()
    fakes.FakeSink.reset()
    fakes.BatchSink.reset()


@pytest.fixture
def router(project, registry):
    def make(text=fakes.SMALL, tempo=fakes.QUICK):
        return Router(project(text), adapters=registry, tempo=tempo, random=Random(1))

    return make
