"""Fixtures of the command line: `cli_projects` makes them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cli_projects import environ, mfgroute, project, start, target

__all__ = ["environ", "mfgroute", "project", "start", "target"]
