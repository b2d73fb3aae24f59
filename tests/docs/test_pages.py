"""The pages that are made from the program are current, each page is listed, and what is quoted is what is said."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import tui_vae
from tests.support.documents import PAGES, ROOT
from tui_vae.cli import doctor
from tui_vae.core.data.published import DATASETS
from tui_vae.trainer.symptoms import Symptom

DOCS = ROOT / "docs"
PACKAGE = Path(tui_vae.__file__).parent
LONGEST_README = 150
"""Lines: a page or two, which lead with what one sees."""
LARGEST_PICTURE = 200_000
"""Bytes, as whoever reads the README over a thin line loads all of them."""
OF_THE_SYSTEM = {"No space left on device"}
"""Words that are quoted and the system's."""


@cache
def said() -> str:
    """All that the program may say: the strings of its modules, `…` in place of what is filled in."""
    texts = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def sections() -> dict[str, dict[str, str]]:
    """The page on troubles: title of a section → first column of its table → second column."""
    parts = re.split(r"^## (.+)\n", (DOCS / "troubleshooting.md").read_text(), flags=re.MULTILINE)
    rows = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
    return {title: dict(rows.findall(text)) for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_pages_of_commands_and_keys_are_those_of_the_program() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_docs.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(re.findall(r"\]\(([\w./-]+)\)", (DOCS / "README.md").read_text()))
    assert {page.name for page in (*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"))} - {"README.md"} <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    for file, place in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text()):
        target = page.parent / file if file else page
        assert place in anchors(target), f"{page.name} links to {file}#{place}"


def anchors(page: Path) -> set[str]:
    """The names of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_its_pictures_are_small() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README
    pictures = list((DOCS / "pictures").iterdir())
    assert len(pictures) > 5
    text = (ROOT / "README.md").read_text() + (DOCS / "tour.md").read_text()
    for picture in pictures:
        assert picture.stat().st_size <= LARGEST_PICTURE, picture.name
        assert picture.name in text, f"no page shows {picture.name}"


def test_every_check_of_doctor_has_an_entry_and_no_other_is_described() -> None:
    tree = ast.parse(Path(doctor.__file__).read_text())
    names = {call.args[0].value for call in ast.walk(tree) if isinstance(call, ast.Call)
             and ast.unparse(call.func) == "Finding" and isinstance(call.args[0], ast.Constant)}  # fmt: skip
    names |= {*doctor.PACKAGES, *DATASETS, "CPU kernels", "GPU kernels"}
    described = {code for cell in sections()["What `doctor` checks"] for code in codes(cell)}
    assert described - {"mnist", "kmnist", "qmnist", "emnist-…"} == names


def test_every_symptom_has_an_entry() -> None:
    described = {code for cell in sections()["While it trains"] for code in codes(cell)}
    assert {f"{symptom}:" for symptom in get_args(Symptom)} <= described


@pytest.mark.parametrize("section", [title for title in sections() if title != "What `doctor` checks"])
def test_what_the_page_quotes_is_what_the_program_says(section: str) -> None:
    for cell in sections()[section]:
        is_of_others = "says" in cell or "command not found" in cell
        for quoted in codes(cell):
            if len(quoted) > 12 and not is_of_others and quoted not in OF_THE_SYSTEM:
                assert quoted in said(), f"{section}: nothing says “{quoted}”"
