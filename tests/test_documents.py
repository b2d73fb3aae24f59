"""What the documents at the repository's root say of the code."""

import re
from pathlib import Path

import pytest

import tui_vae

ROOT = Path(__file__).resolve().parent.parent


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == tui_vae.__version__ and len(versions) == len(set(versions))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_files_that_a_document_names_are_there(name: str) -> None:
    """Links, and paths in backquotes that begin with a folder of the repository."""
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    quoted = re.findall(r"`((?:tui_vae|tests|scripts|docs)/[\w./-]+)", text)
    missing = [path for path in {*links, *quoted} if not (ROOT / path).exists()]
    assert not missing
