"""Code blocks of the documentation, and how each kind of them is run.

| block | how it is run |
|---|---|
| ```` ```python ```` | executed in the page's folder; blocks of a page share their names |
| ```` ```yaml ```` | a part of `mfgroute.yaml`: compiled with what it leaves out filled in |
| ```` ```yaml example ```` | `given`, `fields` or `emit`, and what comes of it: run as a mapping |
| ```` ```yaml contract ````, ```` ```yaml mapping ```` | a whole file: compiled, and its examples run |
| any block with `file=NAME` | written into the page's folder, which `console` and `python` blocks then find |
| ```` ```console ```` | each `$` command is run in the page's folder and its output compared |

Every other block needs a line `<!-- not run: REASON -->` before it.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+?) -->\n+)?"
    r"^ *(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^ *(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
RUNS = {"python", "yaml", "console"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: path of the page in the repository.
        line: where its text starts.
        language: first word of the info string, or nothing.
        kind: second word, such as ``example``, or nothing.
        options: words with ``=``.
        reason: why it is not run, if the page says so.
        text: what is between the fences.
    """

    page: str
    line: int
    language: str
    kind: str
    options: dict[str, str]
    reason: str | None
    text: str

    @property
    def place(self) -> str:
        """Page and line, for messages and names of tests."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page with code blocks that a reader may copy."""
    top = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [path for path in [*top, *sorted((REPOSITORY / "docs").rglob("*.md"))] if path.exists()]


def blocks(page: Path) -> list[Block]:
    """The blocks of one page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        words = match["info"].split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        found.append(
            Block(
                page=str(page.relative_to(REPOSITORY)),
                line=text.count("\n", 0, match.start("body")) + 1,
                language=plain[0] if plain else "",
                kind=plain[1] if len(plain) > 1 else "",
                options=options,
                reason=match["reason"],
                text=match["body"],
            )
        )
    return found


def all_blocks() -> list[Block]:
    """The blocks of all pages."""
    return [block for page in pages() for block in blocks(page)]
