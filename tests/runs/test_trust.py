"""A run from elsewhere that brings its model's code: nothing runs it until this user allows it."""

import json
import os
import py_compile
import shutil
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.commands import assert_one_sentence
from tests.support.extras import needs_onnx
from tests.support.processes import SMALL, command, finish, wait_until
from tests.support.terminal import Terminal
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.config.end_command import allow_end_command
from tui_vae.config.own_code import NotTrusted, allow, check_allowed, find_code, record_file
from tui_vae.core.models.build import build_model
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_named

MODULE = dedent(
    """
    from pathlib import Path

    import torch
    from torch import nn

    Path(__file__).with_name("marker").touch()


    class Brought(nn.Module):
        def __init__(self, shape, config):
            super().__init__()
            self.shape = shape
            self.inwards, self.outwards = nn.Linear(784, 4), nn.Linear(4, 784)

        def encode(self, x):
            mu = self.inwards(x.flatten(1))
            return mu, torch.zeros_like(mu)

        def decode(self, z):
            return self.outwards(z).tanh()
    """
)


class World:
    """A run of a stranger, with its module beside it, and this user's own state directory."""

    def __init__(self, runs_dir: Path, work: Path) -> None:
        self.run, self.work = RunDirectory(runs_dir / "brought"), work
        self.module, self.marker = work / "brought.py", work / "marker"

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.run.path.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Trained by somebody else: under another state directory."""
    home = tmp_path_factory.mktemp("stranger")
    work = home / "work"
    work.mkdir()
    (work / "brought.py").write_text(MODULE)
    options = ("--model", "brought:Brought", "--name", "brought", "--epochs", 2, *SMALL, "--latent-dim", 4)
    code, out, err = finish(
        command("train", "--runs-dir", home / "runs", *options, cwd=work,
                env={**os.environ, "TUI_VAE_STATE": str(home / "state")})
    )  # fmt: skip
    assert code == 0, out + err
    return World(home / "runs", work)


@pytest.fixture
def world(brought: World, own_runs: Path) -> World:
    """The run as it came, among one's own; its module's marker says whether it was run."""
    own_runs.mkdir(exist_ok=True)
    brought.marker.unlink(missing_ok=True)
    shutil.copytree(brought.run.path, own_runs / "brought")
    return World(own_runs, brought.work)


COMMANDS = {
    "show": ("show", "brought", "--images", 1),
    "samples": ("show", "brought", "--samples"),
    "eval": ("eval", "brought", "--json"),
    "best": ("eval", "brought", "--checkpoint", "best"),
    "reconstructions": ("export", "brought", "--what", "reconstructions", "--out", "x.npz"),
    "decoder": ("export", "brought", "--what", "decoder", "--out", "x.onnx"),
    "grid": ("export", "brought", "--what", "grid", "--out", "x.png"),
    "resume": ("resume", "brought", "--epochs", 1),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_onnx if name == "decoder" else ()) for name in COMMANDS]
)
def test_no_command_runs_the_code_of_a_run_from_elsewhere(name: str, world: World, tmp_path: Path) -> None:
    before = world.contents()
    output = finish(command(*COMMANDS[name], cwd=tmp_path))
    assert_one_sentence(output, 1, f"is code in {world.module}, which you have neither trained with nor allowed")
    assert "--trust" in output[2]
    assert not world.marker.exists()
    assert world.contents() == before, "nothing was written into the run"
    assert world.run.holder() is None


@pytest.mark.parametrize(
    "name", [pytest.param("show", marks=pytest.mark.slow), pytest.param("eval", marks=pytest.mark.slow), "resume"]
)
def test_trust_allows_it_from_then_on(name: str, world: World, tmp_path: Path) -> None:
    code, _, err = finish(command(*COMMANDS[name], "--trust", cwd=tmp_path))
    assert code == 0, err
    assert world.marker.exists()
    wait_until(lambda: world.run.holder() is None)
    code, _, err = finish(command("show", "brought", "--images", 1))
    assert code == 0, err


@pytest.mark.parametrize(
    "verb", [("train", "--name", "mine"), ("sweep", "--name", "mine", "--beta", "1,2")], ids=" ".join
)
def test_a_file_of_options_from_elsewhere_runs_no_code(
    verb: tuple[str, ...], world: World, own_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(file: Path) -> str:
        assert main([*verb, "--config", str(file)]) == 1
        told = capsys.readouterr()
        assert_one_sentence((1, told.out, told.err), 1, f"{file} names it: read it, then give it yourself")
        return told.err

    assert f"is code in {world.module}, which you have neither trained with" in refused(world.run.config)
    (tmp_path / "end.toml").write_text(f"on-end = 'touch {tmp_path}/marker'\n")
    assert "names a command for its end" in refused(tmp_path / "end.toml")
    assert not world.marker.exists() and [path.name for path in own_runs.iterdir()] == ["brought"]


def test_a_file_of_options_names_what_one_trains_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours.py").write_text("pass\n")
    config = make_config({"model": "ours:Net", "model-dir": str(tmp_path), "on-end": "true"})
    check_named(tmp_path, config, {"epochs"})  # the rest is the command line's
    allow(config)
    check_named(tmp_path, config, {"model", "model_dir"})
    with pytest.raises(NotTrusted, match="names a command"):
        check_named(tmp_path, config, {"on_end"})
    allow_end_command(config)
    (tmp_path / "ours.py").write_text("pass  # better\n")
    check_named(tmp_path, config, {"model", "model_dir", "on_end"})  # as where the command line names it
    monkeypatch.setattr("tui_vae.runs.trust.is_of_this_user", lambda facts, folder: False)
    with pytest.raises(NotTrusted, match="has changed since"):
        check_named(tmp_path, config, {"model"})


@pytest.mark.slow
def test_what_ones_own_train_has_recorded_runs_unasked_until_it_changes(own_runs: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "ours.py").write_text(MODULE)
    options = ("--model", "ours:Brought", "--epochs", 1, *SMALL, "--latent-dim", 4)
    assert finish(command("train", "--name", "a", *options, cwd=work))[0] == 0
    assert finish(command("eval", "a"))[0] == 0
    (work / "ours.py").write_text(MODULE + "\n# and more\n")
    (work / "marker").unlink()
    assert_one_sentence(finish(command("eval", "a")), 1, f"code in {work / 'ours.py'}, which has changed since")
    assert not (work / "marker").exists()
    assert finish(command("train", "--name", "b", *options, cwd=work))[0] == 0
    assert finish(command("eval", "a"))[0] == 0, "trained with again: recorded again"


@pytest.mark.slow
def test_training_with_ones_own_model_needs_no_place_for_the_record(own_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text(MODULE)
    (tmp_path / "file").touch()
    options = ("--model", "ours:Brought", "--name", "a", "--epochs", 1, *SMALL, "--latent-dim", 4)
    environment = {**os.environ, "TUI_VAE_STATE": str(tmp_path / "file" / "state")}
    code, out, err = finish(command("train", *options, cwd=tmp_path, env=environment))
    assert code == 0, out + err
    assert finish(command("eval", "a", env=environment))[0] == 1
    code, out, err = finish(command("eval", "a", "--trust", env=environment))
    assert code == 0, out + err


def test_weights_that_a_changed_class_does_not_fit_are_refused_by_its_name(world: World) -> None:
    world.module.write_text(MODULE.replace("nn.Linear(4, 784)", "nn.Sequential(nn.Linear(4, 784))"))
    try:
        output = finish(command("show", "brought", "--trust"))
    finally:
        world.module.write_text(MODULE)  # other tests' too
    assert_one_sentence(output, 1, "does not fit the class brought:Brought as it is now; put the class back")


def test_the_panes_ask_first(world: World) -> None:
    """Browse, Latent and `r` in the real app; T allows it, after a question."""
    before = world.contents()
    with Terminal([sys.executable, "-m", "tui_vae", "attach", "brought"], columns=120, rows=40) as terminal:
        terminal.until("brought")
        terminal.press("2")
        terminal.until("neither trained with")
        terminal.press("3")
        terminal.until("allow it: --trust, or T")
        terminal.press("r")
        terminal.until("More epochs")
        terminal.press("enter")
        terminal.until(lambda text: "More epochs" not in text and "neither trained with" in text)
        assert not world.marker.exists()
        assert world.contents() == before
        assert world.run.holder() is None
        terminal.press("T")
        terminal.until("Run the code of brought?")
        terminal.press("escape")
        terminal.until(lambda text: "Run the code" not in text)
        assert not world.marker.exists()
        terminal.press("T")
        terminal.until("Run the code of brought?")
        terminal.press("y")  # enter, which fingers press by themselves, runs nothing
        terminal.until(lambda text: world.marker.exists())
        terminal.press("2")
        terminal.until("mse 0.")
        terminal.press("q")
        assert terminal.wait() == 0


def test_a_config_beside_the_checkpoint_does_not_hide_the_code(world: World) -> None:
    """The checkpoint says which model it is of; config.toml may say anything."""
    text = world.run.config.read_text().replace('model = "brought:Brought"', 'model = "mlp"')
    world.run.config.write_text(text)
    assert_one_sentence(finish(command("eval", "brought")), 1, "is code in")
    assert_one_sentence(finish(command("resume", "brought", "--epochs", 1)), 1, "is code in")
    assert not world.marker.exists()


def test_a_package_is_all_the_files_that_its_import_runs(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("raise SystemExit('it was run')\n")
    (tmp_path / "pack" / "ours.py").write_text("raise SystemExit('it was run')\n")
    config = make_config({"model": "pack.ours:Net", "model-dir": str(tmp_path)})
    code = find_code(config)
    assert code is not None
    assert [Path(file).name for file, _ in code.files] == ["__init__.py", "ours.py"]
    with pytest.raises(NotTrusted):
        check_allowed(config)
    allow(config)
    assert check_allowed(config) == code
    (tmp_path / "pack" / "__init__.py").write_text("raise SystemExit('it was run, changed')\n")
    with pytest.raises(NotTrusted, match="has changed since"):
        check_allowed(config)
    for model in ("math:Net", "this:Net", "json.tool:Net"):
        with pytest.raises(NotTrusted):
            check_allowed(make_config({"model": model, "model-dir": str(tmp_path)}))
    (tmp_path / "pack" / "bare").mkdir()
    (tmp_path / "pack" / "bare" / "ours.py").touch()
    within = find_code(make_config({"model": "pack.bare.ours:Net", "model-dir": str(tmp_path)}))
    assert within is not None and within.file == str(tmp_path / "pack" / "bare" / "ours.py")
    assert check_allowed(make_config({"model": "nowhere.ours:Net", "model-dir": str(tmp_path)})) is None
    assert check_allowed(make_config({})) is None


def test_an_archive_is_no_folder_for_a_model(tmp_path: Path) -> None:
    archive = tmp_path / "models.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    config = make_config({"model": "zipped:Net", "model-dir": str(archive)})
    assert check_allowed(config) is None
    with pytest.raises(UserError, match=r"there is no module zipped in .*models\.zip"):
        build_model(config, (28, 28))
    assert not (tmp_path / "marker").exists()


def test_a_folder_of_a_stranger_lends_no_file_to_code_that_is_allowed(tmp_path: Path) -> None:
    """Its file may even be a link to the user's own: what that imports would be the stranger's."""
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "parts.py").write_text("pass\n")
    (tmp_path / "mine" / "ours.py").write_text("import parts\n")
    (tmp_path / "theirs" / "ours.py").symlink_to(tmp_path / "mine" / "ours.py")
    allow(make_config({"model": "ours:Net", "model-dir": str(tmp_path / "mine")}))
    with pytest.raises(NotTrusted):
        check_allowed(make_config({"model": "ours:Net", "model-dir": str(tmp_path / "theirs")}))


def test_what_the_module_imports_from_its_folder_is_part_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "pack" / "deep").mkdir(parents=True)
    for path, text in {
        "ours.py": "import os, json.tool, vast\nfrom pack import first\nraise SystemExit('it was run')\n",
        "pack/__init__.py": "def late():\n    from .deep.last import *\n",
        "pack/first.py": "import pack.second, ours\n", "pack/second.py": "from . import third\nfrom .. import none\n",
        "pack/third.py": "\x00 no Python", "vast.py": "", "pack/deep/last.py": "", "unused.py": "", "json.py": "",
    }.items():  # fmt: skip
        (tmp_path / path).write_text(text)
    os.truncate(tmp_path / "vast.py", 2**24)  # not parsed
    config = make_config({"model": "ours:Net", "model-dir": str(tmp_path)})
    code = find_code(config)
    assert code is not None
    within = [f"pack/{name}.py" for name in ("__init__", "deep/last", "first", "second", "third")]
    assert [str(Path(file).relative_to(tmp_path)) for file, _ in code.files] == [
        "json.py",
        *within,
        "vast.py",
        "ours.py",
    ]
    allow(config)
    (tmp_path / "pack" / "deep" / "last.py").write_text("raise SystemExit('it was run, changed')\n")
    with pytest.raises(NotTrusted, match=r"ours\.py and 7 other files that it imports, which has changed since"):
        check_allowed(config)


def test_a_record_that_others_could_write_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("pass\n")
    config = make_config({"model": "other:Net", "model-dir": str(tmp_path)})
    code = find_code(config)
    assert code is not None
    line = json.dumps({"digest": code.digest, "file": code.file}) + "\n"
    record_file().parent.mkdir(parents=True, exist_ok=True)
    record_file().write_text("{torn\n[]\n" + line)
    assert check_allowed(config) == code
    record_file().chmod(0o666)
    with pytest.raises(NotTrusted):
        check_allowed(config)
    record_file().chmod(0o600)
    record_file().rename(tmp_path / "record")
    record_file().symlink_to(tmp_path / "record")
    with pytest.raises(NotTrusted):
        check_allowed(config)


def test_what_runs_is_the_source_that_was_allowed(tmp_path: Path) -> None:
    """Python would run a `__pycache__` that says it needs no check, whatever the source beside it says."""
    source, other = tmp_path / "shown_source.py", tmp_path / "other.py"
    source.write_text(MODULE)
    other.write_text("raise ValueError('the other one was run')\n")
    py_compile.compile(
        str(other), cache_from_source(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    config = make_config({"model": "shown_source:Brought", "model-dir": str(tmp_path), "latent-dim": 4})
    allow(config)
    try:
        assert build_model(config, (28, 28)).latent_dim == 4
        assert (tmp_path / "marker").exists()
    finally:
        sys.modules.pop("shown_source", None)
        sys.path.remove(str(tmp_path))
