"""A node as a process of its own, with the fakes; started by `test_process`."""

import asyncio
import sys

import fakes_runtime as fakes

from mfgroute import _core
from mfgroute.api.node import run
from mfgroute.errors import Locked
from mfgroute.registry import Registry

_core.Plan = fakes.FakePlan
_core.Engine = fakes.FakeEngine
fakes.FakeSource.reset()
fakes.FakeSink.reset()


def ready(router):
    loop = type(asyncio.get_running_loop()).__module__
    print("ready", router.address[1], loop, flush=True)  # noqa: T201


registry = Registry({"fake": fakes.FakeSource, "box": fakes.FakeInbox}, {"fake": fakes.FakeSink})
try:
    left = run(
        sys.argv[1], adapters=registry, on_ready=ready, watch="--watch" in sys.argv, drain_timeout_s=0.5
    )
except Locked as error:
    print(error)  # noqa: T201
    sys.exit(75)
sys.exit(1 if left else 0)
