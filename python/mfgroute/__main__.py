"""``python -m mfgroute`` is the command ``mfgroute``."""

from __future__ import annotations

import sys

from mfgroute.cli import main

sys.exit(main())
