"""The configuration of a project: read, checked, reported.

In reading order: `model` is the structure of ``mfgroute.yaml``; `units` reads sizes, durations and rates;
`convert` makes structs and finds every problem; `checks` holds what concerns several parts; `substitute`
replaces ``${...}``; `load` puts them together; `report` and `schema` show them to people and editors.
"""

from mfgroute.config.load import Project, find_project, read_project
from mfgroute.config.model import Model

__all__ = ["Model", "Project", "find_project", "read_project"]
