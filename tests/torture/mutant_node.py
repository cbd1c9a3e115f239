"""The command `mfgroute` with a sender that breaks one of its promises: ``MUTANT=… mutant_node.py run …``."""

import os
import sys

from mfgroute.adapter import Request
from mfgroute.adapters.http import answer
from mfgroute.cli import main
from mfgroute.events import Done
from mfgroute.runtime.posting import Posting


def _sends(change):
    """Let a request that was sent before be changed before it is sent again."""
    posted = Posting._posted

    async def changed(self, poster, batch, requests):
        made = [
            (
                event,
                await change(self, poster, event, request)
                if event.begun and event.begun.attempts
                else request,
            )
            for event, request in requests
        ]
        return await posted(self, poster, batch, made)

    Posting._posted = changed


async def _other_key(_posting, _poster, event, request):
    # The packed request holds its own header.
    key = f"{request.key}-{event.begun.attempts}"
    return Request(key=key, body=request.body.replace(request.key.encode(), key.encode()))


async def _other_bytes(posting, poster, event, _request):
    return await poster.render(event, posting._records.books(posting._sink))


def new_key():
    """Each try has a key of its own."""
    _sends(_other_key)


def new_body():
    """Each try is rendered anew."""
    _sends(_other_bytes)


def never_asks():
    """After a lost answer it is sent again, and nobody is asked."""

    async def absent(*_):
        return None

    Posting._looked_up = absent


def asks_at_once():
    """The target is asked while it may still be at work."""
    looked_up = Posting._looked_up

    async def hasty(self, *arguments):
        self._sent.clear()
        self._began = float("-inf")
        return await looked_up(self, *arguments)

    Posting._looked_up = hasty


def writes_nothing_down():
    """What is sent is not durable before."""

    async def forgotten(*_):
        return None

    Posting._intend = forgotten


def takes_silence_for_done():
    """A lost answer counts as a good one."""
    Posting._unknown = lambda *_: Done(None)


def takes_lies_for_done():
    """Each 2xx is a good answer, whatever it says."""
    answer.lost = lambda *_: Done(None)


MUTANTS = {
    made.__name__: made
    for made in (
        *(new_key, new_body, never_asks, asks_at_once, writes_nothing_down),
        *(takes_silence_for_done, takes_lies_for_done),
    )
}

if __name__ == "__main__":
    MUTANTS.get(os.environ.get("MUTANT", ""), lambda: None)()
    sys.exit(main())
