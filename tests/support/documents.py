"""The documents that users read, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

GENERATED = ("commands.md", "keys.md")
"""Pages that are made from the program, and have no commands of their own."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(tui-vae [^`]+)`")


@dataclass(frozen=True)
class DocumentedCommand:
    """A line of a page that a reader would type.

    words: without the comment behind it and what a shell would redirect. for_shell: whether only a shell can run it.
    """

    page: str
    line: str
    words: tuple[str, ...]
    for_shell: bool

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code of a page in this language."""
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[DocumentedCommand]:
    """The lines of a page's `sh` blocks that call `tui-vae` or a script of the project."""
    lines = [line for block in blocks(page, "sh") for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    wanted = re.compile(r"(?<![\w./-])(tui-vae(?=\s|$)|python (scripts/|-m tests))")
    return [_command(page.name, line) for line in lines if wanted.search(line.partition(" # ")[0])]


def _command(page: str, line: str) -> DocumentedCommand:
    words = shlex.split(line, comments=True)
    for_shell = words[0] not in ("tui-vae", "python") or any(word in ("|", "||", "&&", ";") for word in words)
    plain = [word for word in words if not word.startswith(">")]
    return DocumentedCommand(page, line, tuple(plain), for_shell)


def inline_commands(page: Path) -> list[str]:
    """What stands in a page's text as `tui-vae …`."""
    return INLINE.findall(BLOCK.sub("", page.read_text()))
