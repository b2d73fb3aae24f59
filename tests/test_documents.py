"""The documents name files, classes and functions that are there, and the changelog the version."""

import ast
import re
from pathlib import Path

import pytest

import tui_vae

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "tui_vae").rglob("README.md")]
NAMED = re.compile(r"`((?:tui_vae|tests|scripts|docs)/[\w./-]+)[^`\n]*`(?:[ \n]+`([A-Za-z_]\w*(?:\.\w+)?)`)?")
"""A path in backquotes, perhaps with arguments behind it, and a name in backquotes that directly follows it."""
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def definitions(file: Path) -> set[str]:
    """The names a Python file defines: `Class`, `function`, `Class.method`, and constants of both."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        for name in _names(node):
            found.add(name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{name}.{inner}" for statement in node.body for inner in _names(statement)}
    return found


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_name_in_a_document_is_there(document: Path) -> None:
    text = document.read_text()
    for path, name in NAMED.findall(text):
        assert (ROOT / path).exists(), f"{document.name} names {path}"
        assert not name or name in definitions(ROOT / path), f"{document.name} names {name} in {path}"
    for target in LINK.findall(text):
        assert ":" in target or (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_check_sees_names() -> None:
    assert {"ROOT", "definitions", "NAMED"} <= definitions(Path(__file__))
    named = {(path, name) for path, name in NAMED.findall((ROOT / "docs" / "architecture.md").read_text()) if name}
    assert len(named) > 20


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == tui_vae.__version__ and len(versions) == len(set(versions))
