"""What the tests of the benchmarks run in."""

import pytest
import race
from peers import Workshop
from rows.context import Context


@pytest.fixture
def context(tmp_path):
    """A run that only shows that everything works; a program of the Rust side is built by nobody."""
    shop = Workshop(tmp_path / "peers")
    return Context(
        rounds=1,
        messages=512,
        full=False,
        quick=True,
        repeat_noisy=False,
        shop=shop,
        track=race.Track(tmp_path),
    )
