"""The project that is loaded: confirmations of a MES, as ``mfgroute init`` has it, and a sink that reads."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mfgroute import _core
from mfgroute.config.packs import SHIPPED
from mfgroute.project import load_plan

SOURCE, SINK = "mes", "reader"
#: How safe an event is when it is acknowledged, with the setting of the stream.
LEVELS = {"memory": "memory", "durable": "fsync"}
_TEMPLATE = SHIPPED / "templates" / "confirmation-to-sap"
#: More than an event of this project needs in a log.
_EVENT_BYTES = 1024
_CAPACITY_MIB_MIN = 64
_SETTINGS = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {{id: bench, site: DE04, namespace: com.example, data_dir: ./data}}
owner: bench
streams:
  business: {{durability: {durability}, capacity: {capacity}MiB, when_full: block}}
sources:
  {source}: {{adapter: http, mappings: [mes-completion], token: "nobody-listens-here"}}
sinks:
  {sink}: {{adapter: console, owner: bench}}
routes:
  - {{name: all, match: {{type: ">"}}, to: {sink}}}
"""


def messages(count: int, start: int = 0) -> list[bytes]:
    """Messages with the numbers from `start` on, each one line and new; twenty in a row are of one order."""
    return [
        b'{"evt":"OP_COMPLETE","id":"A-%d","ts":"2026-11-24T07:10:00+01:00","order":{"no":"%012d","op":10},'
        b'"wc":"PRESS-7","state":"PART","qty":{"good":%d,"bad":2,"uom":"ST"}}\n'
        % (number, 1_000_000 + number // 20, 1 + number % 500)
        for number in range(start, start + count)
    ]


@contextmanager
def opened(folder: Path, level: str, events: int) -> Iterator[_core.Engine]:
    """An engine of this project with room for so many events, its data below `folder`.

    Raises:
        LogFailed: the disk refuses.
        OSError: likewise.
    """
    project = folder / level
    shutil.copytree(_TEMPLATE, project, copy_function=shutil.copyfile)
    capacity = max(_CAPACITY_MIB_MIN, 2 * events * _EVENT_BYTES >> 20)
    text = _SETTINGS.format(durability=LEVELS[level], capacity=capacity, source=SOURCE, sink=SINK)
    (project / "mfgroute.yaml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = load_plan(project)
    data = str(project / "data") if level == "durable" else None
    with closing(_core.Engine(plan, data_dir=data)) as engine:
        yield engine
