"""What the documents at the repository's root say of the code."""

import re
from pathlib import Path

import tui_vae

ROOT = Path(__file__).resolve().parent.parent


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == tui_vae.__version__ and len(versions) == len(set(versions))
