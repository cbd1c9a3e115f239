"""How many cases a property test tries: few by default, many with ``--hypothesis-profile=torture``."""

from hypothesis import settings

settings.register_profile("torture", max_examples=500, deadline=None)
