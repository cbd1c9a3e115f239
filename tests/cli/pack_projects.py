"""Projects with packs, and what commands say of them."""

import json

import pytest
from cli_projects import PROJECT, command

from mfgroute.config.packs import SHIPPED
from mfgroute.errors import ConfigError
from mfgroute.project import load_project

NAME = "contracts/production.operation.completed.v1.yaml"
CANONICAL = SHIPPED / "canonical"


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def use(project, *names, more=""):
    listed = ", ".join(json.dumps(name) for name in names)
    (project / "mfgroute.yaml").write_text(PROJECT.replace("[canonical]", f"[{listed}]") + more)


def problems(project):
    with pytest.raises(ConfigError) as info:
        load_project(project)
    return [one for one in info.value.problems if one.severity == "error"]


def origin(project, **env):
    found = command("config", "show", "--origin", "--output", "json", folder=project, env=env)
    assert found.code == 0, found.err
    return found.json
