from importlib.metadata import EntryPoint

import pytest
from fakes_runtime import FakeSink

from mfgroute import registry
from mfgroute.errors import AdapterError, UnknownName
from mfgroute.registry import Registry


@pytest.fixture
def installed(monkeypatch):
    points = {
        "mfgroute.sources": [
            EntryPoint("plant", "fakes_runtime:FakeSource", "mfgroute.sources"),
            EntryPoint("broken", "not_there:Source", "mfgroute.sources"),
            EntryPoint("odd", "fakes_runtime:FakeSink", "mfgroute.sources"),
        ],
        "mfgroute.sinks": [],
    }
    monkeypatch.setattr(registry, "entry_points", lambda group: points[group])
    return Registry(sinks={"own": FakeSink})


def test_names_are_listed_without_importing(installed):
    assert installed.source_names() == ["broken", "odd", "plant"]
    assert installed.sink_names() == ["own"]


def test_an_adapter_is_imported_when_it_is_used(installed):
    assert installed.source("plant").__name__ == "FakeSource"
    assert installed.sink("own") is FakeSink


def test_an_unknown_name_lists_what_is_near_or_known(installed):
    with pytest.raises(UnknownName, match=r"no source adapter is called `plent`\ndid you mean `plant`\?"):
        installed.source("plent")
    with pytest.raises(UnknownName, match="known: broken, odd, plant"):
        installed.source("xyz")


def test_an_adapter_that_cannot_be_imported_or_is_of_the_wrong_kind_says_so(installed):
    with pytest.raises(AdapterError, match="source adapter `broken` cannot be imported: No module named"):
        installed.source("broken")
    with pytest.raises(
        AdapterError, match="source adapter `odd` is fakes_runtime:FakeSink, which is no source"
    ):
        installed.source("odd")


def test_configurations_of_broken_adapters_are_left_out_of_the_schema(installed):
    sources, sinks = installed.configs()
    assert (list(sources), list(sinks)) == (["plant"], ["own"])
