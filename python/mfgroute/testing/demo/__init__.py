"""The demo: a day in three plants, told with real processes on loopback.

* `run`: from the first process to the last, `main`.
* `folder`: where it works and what it leaves behind.
* `processes`, `scene`: what runs and how to speak to it; `machines` and `systems` are processes,
  `openings` what they are told.
* `teller`: plays the story and watches.
* `screen`, `report`: what is shown meanwhile and afterwards.
* `balance`: whether it was what had to happen.
"""

from mfgroute.testing.demo.run import main

__all__ = ["main"]
