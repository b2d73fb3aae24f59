"""The rule between the rooms: who may import whom, and that quick commands stay quick."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tui_vae
from tests.support.processes import Trained

PACKAGE = Path(tui_vae.__file__).parent
CONFIG = {f"tui_vae.config.{name}" for name in ("files", "options", "run_config")}
SHARED = {"tui_vae", "tui_vae.config", "tui_vae.errors", *CONFIG}
HEAVY = {"torch", "torchvision"}

MAY_IMPORT = {
    "runs": {"runs"},
    "core": {"core"},
    "trainer": {"trainer", "core", "runs"},
    "ui": {"ui", "runs"},
}
NEVER = {"runs": {"torch", "torchvision", "textual", "numpy"}, "core": {"textual"}, "trainer": {"textual", "rich"},
         "ui": {*HEAVY, "safetensors"}}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" if node.module == "tui_vae" else str(node.module)
                      for alias in node.names}  # fmt: skip
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert len(files) > 3
    for path in files:
        for module in imports(path):
            top, _, rest = module.partition(".")
            assert top not in NEVER[room], f"{path} imports {module}"
            if top == "tui_vae" and module not in SHARED and module != "tui_vae.__version__":
                assert rest.split(".")[0] in MAY_IMPORT[room], f"{path} imports {module}"


def test_what_everybody_imports_imports_nobody() -> None:
    for path in (*(PACKAGE / "config").glob("*.py"), PACKAGE / "errors.py", PACKAGE / "__init__.py"):
        ours = {module for module in imports(path) if module.startswith("tui_vae")}
        assert ours <= SHARED


def loaded(code: str) -> set[str]:
    """The top-level packages in memory after some code."""
    look = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    script = f"{code}\nprint()\n{look}"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def running(*arguments: str) -> str:
    return (f"from tui_vae.cli import main\n"
            f"try: assert main({list(arguments)}) == 0\n"
            f"except SystemExit as end: assert not end.code")  # fmt: skip


@pytest.mark.parametrize(
    ("code", "without"),
    [
        (running("--help"), {*HEAVY, "textual", "numpy", "rich"}),
        (running("train", "--help"), {*HEAVY, "textual", "numpy"}),
        (running("ls", "--runs-dir", "."), {*HEAVY, "textual", "numpy", "rich"}),
        (running("data"), {*HEAVY, "textual"}),
        ("import tui_vae.ui.open", {*HEAVY, "textual"}),
        ("import tui_vae.ui.app", {*HEAVY, "safetensors"}),
        ("import tui_vae.runs.launch, tui_vae.runs.history, tui_vae.runs.client", {*HEAVY, "textual", "numpy"}),
        (
            "import tui_vae.cli.train, tui_vae.cli.control, tui_vae.cli.show, tui_vae.cli.export, tui_vae.cli.sweep",
            {*HEAVY, "textual"},
        ),
        ("import tui_vae.cli.evaluate", {*HEAVY, "textual", "numpy", "sklearn"}),
        ("import tui_vae.trainer.__main__, tui_vae.trainer.server", HEAVY),
    ],
    ids=["help", "train-help", "ls", "data", "app", "application", "runs", "commands", "evaluate", "trainer"],
)
def test_it_opens_without_the_heavy_packages(code: str, without: set[str]) -> None:
    assert not loaded(code) & without


def test_steering_and_exporting_figures_need_no_torch(trained: Trained, tmp_path: Path) -> None:
    export = ("export", "done", "--runs-dir", trained.runs_dir, "--out", str(tmp_path / "out"), "--what")
    assert not loaded(running("ls", "--json", "--runs-dir", trained.runs_dir)) & {*HEAVY, "textual", "numpy", "rich"}
    for what in ("metrics", "timelapse"):
        assert not loaded(running(*export, what)) & {*HEAVY, "textual"}


def test_the_check_itself_sees_what_is_loaded() -> None:
    assert "numpy" in loaded("import tui_vae.core.data.datasets")
