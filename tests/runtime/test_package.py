import subprocess
import sys

import pytest

import mfgroute

SLOW = [
    "asyncua",
    "starlette",
    "aiohttp",
    "structlog",
    "prometheus_client",
    "zmq",
    "uvicorn",
    "rich",
    "asyncio",
]


def test_the_public_names_are_sorted_and_complete():
    assert mfgroute.__all__ == sorted(mfgroute.__all__)
    assert set(dir(mfgroute)) == set(mfgroute.__all__)
    homes = set(mfgroute._HOME)
    assert homes == set(mfgroute.__all__)
    assert len(mfgroute.__all__) <= 36


@pytest.mark.parametrize("name", mfgroute.__all__)
def test_a_public_name_exists(name):
    assert getattr(mfgroute, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = mfgroute.nope


def python(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_importing_the_package_imports_nothing_slow():
    loaded = python("import sys, mfgroute, mfgroute.errors; print(*sys.modules)")
    assert [name for name in SLOW if name in loaded] == []


def test_a_command_that_talks_to_a_node_imports_little():
    loaded = python("import sys, mfgroute.api.client; print(*sys.modules)")
    assert [name for name in SLOW if name in loaded] == []


def test_importing_the_package_takes_little_time():
    code = "import time; t = time.process_time(); import mfgroute; print(time.process_time() - t)"
    assert min(float(python(code)[0]) for _ in range(3)) < 0.06
