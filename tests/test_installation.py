"""What installs the package: the units and commands of docs/installation.md, and what its builds are made of."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tui_vae.cli.parser import make_parser
from tui_vae.interrupts import COMES_AGAIN

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGE = (ROOT / "docs" / "installation.md").read_text()


def test_the_unit_runs_a_command_that_the_parser_takes() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "docs" / "systemd" / "tui-vae@.service")
    words = shlex.split(unit["Service"]["ExecStart"].replace("%i", "wide").replace("%h", "/home/me"))
    assert words[0] == "/home/me/.local/bin/tui-vae"
    options = make_parser().parse_args(words[1:])
    assert options.resume_if_exists and (options.option_name, options.runs_dir) == ("wide", "/home/me/runs")
    assert unit["Service"]["SuccessExitStatus"] == str(COMES_AGAIN)


def test_the_page_names_every_extra() -> None:
    table = PAGE.split("| extra |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert named == PROJECT["project"]["optional-dependencies"].keys() - {"test", "dev"}


def test_an_sdist_has_all_that_a_build_and_the_tests_need(tmp_path: Path) -> None:
    """By setuptools' own list of files, without an environment of its own."""
    pytest.importorskip("setuptools", minversion="77")
    for path in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_file():
            shutil.copy(ROOT / path, target)
    if not (tmp_path / "setup.py").exists():
        pytest.skip("this is no checkout of git")
    code = "from setuptools import setup; import runpy; runpy.run_path('setup.py')"
    subprocess.run([sys.executable, "-c", code, "-q", "egg_info"], cwd=tmp_path, check=True, capture_output=True)
    found = set((tmp_path / "tui_vae.egg-info" / "SOURCES.txt").read_text().splitlines())
    wanted = {str(path.relative_to(tmp_path)) for folder in ("tui_vae", "tests", "scripts", "docs")
              for path in (tmp_path / folder).rglob("*") if path.is_file()}  # fmt: skip
    assert {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"} <= found
    assert wanted - found == set()
