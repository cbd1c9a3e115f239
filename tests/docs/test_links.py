"""Links between pages lead somewhere."""

from __future__ import annotations

import re

import pytest

from .blocks import REPOSITORY, pages

_LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def headings(text: str) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.*)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_of_a_page_leads_somewhere(page):
    dead = []
    for path, anchor in _LINK.findall(_FENCED.sub("", page.read_text())):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings(target.read_text())):
            dead.append(f"{path}#{anchor}")
    assert dead == []


def test_every_page_can_be_reached_from_the_index():
    reached, waiting = set(), [REPOSITORY / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = _LINK.findall(_FENCED.sub("", page.read_text()))
        waiting += [(page.parent / path).resolve() for path, _ in links if path]
    assert sorted(str(page) for page in pages() if page.parent != REPOSITORY and page not in reached) == []
