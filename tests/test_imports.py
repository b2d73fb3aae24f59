"""Who may import whom, between the rooms and inside them, and that quick commands stay quick."""

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tui_vae
from tests.support.processes import Trained

PACKAGE = Path(tui_vae.__file__).parent
CONFIG_FILES = (
    "combinations",
    "convolutions",
    "data_options",
    "data_places",
    "end_command",
    "files",
    "imported_files",
    "options",
    "own_code",
    "presets",
    "run_config",
    "state_directory",
    "trackers",
    "train_options",
    "user_file",
)
CONFIG = {f"tui_vae.config.{name}" for name in CONFIG_FILES}
SHARED = {"tui_vae", "tui_vae.affinity", "tui_vae.config", "tui_vae.errors", "tui_vae.main_memory",
          "tui_vae.plain_text", *CONFIG}  # fmt: skip
HEAVY = {"torch", "torchvision"}

MAY_IMPORT = {
    "runs": {"runs"},
    "core": {"core"},
    "trainer": {"trainer", "core", "runs"},
    "trackers": {"trackers", "runs"},
    "ui": {"ui", "runs"},
}
NEVER = {"runs": {"torch", "torchvision", "textual", "numpy"}, "core": {"textual"}, "trainer": {"textual", "rich"},
         "trackers": {*HEAVY, "textual"},
         "ui": {*HEAVY, "safetensors"}}  # fmt: skip


PANES = ("ui.train", "ui.browse", "ui.latent", "ui.runs")
INSIDE = {
    "core.step": ("trainer",),
    "core.data": ("core.step", "core.models", "core.evaluation"),
    "core.models": ("core.step", "core.data", "core.evaluation"),
    "core.evaluation": ("core.step",),
    "core.objectives": ("core.step", "core.data", "core.evaluation"),
    "ui.charts": (*PANES, "ui.new_run", "ui.images"),
    "ui.images": (*PANES, "ui.new_run", "ui.charts"),
    "ui.new_run": PANES,
    **{pane: tuple(other for other in PANES if other != pane) for pane in PANES},
}
"""What a folder inside a room never imports."""

ONLY_THERE = {
    "safetensors": ("trainer.checkpoints", "core.evaluation.classifier"),
    "struct": ("runs.protocol", "core.data"),
    "tomli_w": ("runs.create",),
    "PIL.PngImagePlugin": (
        "runs.previews",
        "cli.export_images",
        "cli.animation",
    ),  # a preview's facts; an exported picture's description
    "socket": (  # that of `cli.serve` is for a browser, `cli.sweep.ray_cluster` asks whether anything listens
        "runs.client",
        "runs.warm_trainer",
        "trainer.server",
        "trainer.several",
        "cli.serve",
        "cli.sweep.ray_cluster",
    ),
}
"""Which modules alone import what reads or writes a file's or message's format."""

FILES = {"events.jsonl", "last.safetensors", "best.safetensors", "originals.png"}
"""Files of a run directory whose names stand in `runs/` alone; messages to people may hold them."""


@cache
def modules() -> dict[str, Path]:
    """The package's files by the names that they are imported by."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module, f"{path} imports relatively"
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                foreign = node.module.partition(".")[0] != "tui_vae"
                found.add(name if foreign or name in modules() or node.module == "tui_vae" else node.module)
    return frozenset(found)


def within(module: str, *places: str) -> bool:
    """Whether a module is one of these, or lies in one of them."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def ours(*places: str) -> tuple[str, ...]:
    return tuple(f"tui_vae.{place}" for place in places)


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


@pytest.mark.parametrize("place", INSIDE)
def test_a_folder_inside_a_room_knows_its_direction(place: str) -> None:
    inside = [(module, path) for module, path in modules().items() if within(module, *ours(place))]
    assert inside, f"there is no {place}"
    for module, path in inside:
        against = {each for each in imports(path) if within(each, *ours(*INSIDE[place]))}
        assert not against, f"{module} imports {', '.join(sorted(against))}"


def test_only_what_composes_the_app_imports_a_pane() -> None:
    for module, path in modules().items():
        if not within(module, *ours("ui.run_screen", *PANES)):
            assert not {each for each in imports(path) if within(each, *ours(*PANES))}, module


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither at their top nor inside a function: `prepare` raises an error that names the circle."""
    known = modules()
    arrows = {module: {each for each in imports(path) if each in known} for module, path in known.items()}
    assert sum(map(len, arrows.values())) > 300
    TopologicalSorter(arrows).prepare()


@pytest.mark.parametrize("library", ONLY_THERE)
def test_a_format_is_read_and_written_in_its_own_place(library: str) -> None:
    users = {module for module, path in modules().items() if any(within(each, library) for each in imports(path))}
    assert users
    assert all(within(module, *ours(*ONLY_THERE[library])) for module in users), users


def test_only_the_meeting_point_names_the_files_of_a_run_directory() -> None:
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and not within(module, *ours("runs")):
                assert node.value not in FILES, f"{module}:{node.lineno} names {node.value!r}"


def test_what_everybody_imports_imports_nobody() -> None:
    """But that the package itself offers the Python side, which it imports when somebody asks for it."""
    for path in (*(PACKAGE / "config").glob("*.py"), PACKAGE / "errors.py", PACKAGE / "__init__.py"):
        lazily = ours("api") if path == PACKAGE / "__init__.py" else ()
        found = {module for module in imports(path) if within(module, "tui_vae")} - SHARED
        assert not {module for module in found if not within(module, *lazily)}, path


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
        (running("--help"), {*HEAVY, "textual", "numpy", "rich", "msgspec"}),
        (running("train", "--help"), {*HEAVY, "textual", "numpy", "msgspec"}),
        (running("ls", "--runs-dir", "."), {*HEAVY, "textual", "numpy", "rich"}),
        (running("data"), {*HEAVY, "textual"}),
        ("import tui_vae.ui.open_app", {*HEAVY, "textual"}),
        ("import tui_vae.ui.app", {*HEAVY, "safetensors"}),
        ("import tui_vae.runs.launch, tui_vae.runs.history, tui_vae.runs.client", {*HEAVY, "textual", "numpy"}),
        (
            "import tui_vae.cli.train, tui_vae.cli.control, tui_vae.cli.show, tui_vae.cli.export\n"
            "import tui_vae.cli.sweep.command, tui_vae.cli.sweep.table",
            {*HEAVY, "textual"},
        ),
        ("import tui_vae.core.data.sources", {*HEAVY, "numpy"}),
        ("import tui_vae.cli.evaluate", {*HEAVY, "textual", "numpy", "sklearn"}),
        ("import tui_vae.trainer.__main__, tui_vae.trainer.server", HEAVY),
    ],
    ids=["help", "train-help", "ls", "data", "open_app", "app", "runs", "commands", "sources", "evaluate", "trainer"],
)
def test_it_opens_without_the_heavy_packages(code: str, without: set[str]) -> None:
    assert not loaded(code) & without


def test_steering_and_exporting_figures_need_no_torch(trained: Trained, tmp_path: Path) -> None:
    export = ("export", "done", "--runs-dir", trained.runs_dir, "--out", str(tmp_path / "out"), "--force", "--what")
    assert not loaded(running("ls", "--json", "--runs-dir", trained.runs_dir)) & {*HEAVY, "textual", "numpy", "rich"}
    verify = running("verify", "done", "--runs-dir", trained.runs_dir)
    assert not loaded(verify) & {*HEAVY, "textual", "numpy", "rich", "safetensors"}
    for what in ("metrics", "timelapse"):
        assert not loaded(running(*export, what)) & {*HEAVY, "textual"}


def test_the_check_itself_sees_what_is_loaded() -> None:
    assert "numpy" in loaded("import tui_vae.core.data.datasets")


MOST_LINES = 400
"""Lines of a file that one can still keep in mind."""


def test_no_file_is_too_long_to_be_kept_in_mind() -> None:
    root = PACKAGE.parent
    files = [path for folder in ("tui_vae", "tests", "scripts") for path in (root / folder).rglob("*.py")]
    files += PACKAGE.rglob("*.c")
    assert len(files) > 300
    assert [path for path in files if len(path.read_text().splitlines()) > MOST_LINES] == []
