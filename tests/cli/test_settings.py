"""The user's file of settings: what it may say, what prevails over it, and a sentence for what it may not."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.processes import SMALL, command, finish
from tui_vae.cli import doctor, manual
from tui_vae.config.user_file import (
    RUNS_DIR,
    TABLES,
    Notices,
    config_file,
    read_notices,
    read_train_defaults,
    unknown_names,
)
from tui_vae.errors import UsageError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.ui.settings import read_keys

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def write(text: str) -> None:
    config_file().write_text(text)


def test_runs_are_kept_where_the_settings_say_unless_something_nearer_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f'runs-dir = "{tmp_path / "mine"}"\n')
    assert runs_directory() == Path(tmp_path / "checkpoints")  # TUI_VAE_RUNS
    monkeypatch.delenv("TUI_VAE_RUNS")
    assert runs_directory() == tmp_path / "mine"
    assert runs_directory("other") == Path("other").absolute()
    write('runs-dir = "~/runs"\n')
    assert runs_directory() == Path.home() / "runs"
    write("[keys]\n")
    assert runs_directory() == Path("checkpoints").absolute()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("runs-dir = 3\n", "runs-dir must be a path that begins with / or ~"),
        ('runs-dir = "runs"\n', "runs-dir must be a path that begins with / or ~"),
        ('runs-dir = "/x\n', "is not a TOML file"),
    ],
)
def test_a_runs_directory_that_is_none_is_one_sentence(
    text: str, says: str, tui_vae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUI_VAE_RUNS")
    write(text)
    assert_one_sentence(tui_vae("ls"), 2, says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train]\nlattent-dim = 3\n", "lattent-dim"),
        ("[train]\nlr = 11\n", "at most 10"),
        ('[train]\nname = "x"\n', "name under [train]"),
        ("train = 3\n", "train must be a table"),
        ("[train\n", "is not a TOML file"),
        ("[keys\n", "is not a TOML file"),
    ],
)
def test_defaults_of_train_that_make_no_sense_are_one_sentence(text: str, says: str, tui_vae: Run) -> None:
    write(text)
    for arguments in (["train"], ["sweep", "--beta", "1,2"]):
        code, out, err = tui_vae(*arguments)
        assert_one_sentence((code, out, err), 2, says)
        assert str(config_file()) in err


def test_defaults_of_train_give_way_to_a_file_and_to_the_command_line(tmp_path: Path, own_runs: Path) -> None:
    write("[train]\nseed = 5\nlatent-dim = 3\nkl-warmup = 2\nepochs = 1\n")
    given = tmp_path / "given.toml"
    given.write_text("latent-dim = 4\nkl-warmup = 1\n")
    code, _, err = finish(command("train", "--name", "run", *SMALL[:-4], "--config", given, "--kl-warmup", "0"))
    assert code == 0, err
    found = RunDirectory(own_runs / "run").read_config()
    assert (found.seed, found.latent_dim, found.kl_warmup, found.epochs) == (5, 4, 0, 1)


def test_doctor_reads_the_settings(tui_vae: Run) -> None:
    for text, ok, says in (
        ('[keys]\nrun.pause = "ctrl+t"\n', True, str(config_file())),
        ('[keys]\nrun.stpo = "z"\n', False, "did you mean run.stop"),
        ("[notify]\nbel = true\n", False, "bel under [notify]"),
        ("[train]\nlr = 11\n", False, "at most 10"),
        ("[nothing]\n", False, "nothing means nothing there"),
        ("=\n", False, "not a TOML file"),
    ):
        write(text)
        finding = doctor._settings()
        assert finding.ok == ok and says in finding.found + finding.hint, finding


def test_doctor_says_once_that_the_settings_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUI_VAE_RUNS")
    write('runs-dir = "/x"\n[keys\n[train]\n')
    findings = [doctor._settings(), doctor._runs(None)]
    assert [finding.ok for finding in findings] == [False, False]
    assert "".join(finding.found + finding.hint for finding in findings).count("is not a TOML file") == 1
    assert read_keys()[1] == read_notices()[1], "the app says it once as well"


def test_a_name_that_means_nothing_is_told() -> None:
    write("[keys]\n[notfy]\nbell = false\n")
    assert "notfy means nothing there; it may have [keys], [notify], [train]" in unknown_names()
    write("[keys]\n[notify]\n[train]\n")
    assert unknown_names() == ""


def test_a_file_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_CONFIG", "/dev/zero")
    monkeypatch.delenv("TUI_VAE_RUNS")
    assert runs_directory() == Path("checkpoints").absolute()
    with pytest.raises(UsageError, match="no plain file"):
        read_train_defaults()


def test_settings_that_cannot_be_read_are_named(tui_vae: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, says in (("folder", "Is a directory"), ("bytes", "is not a TOML file")):
        monkeypatch.setenv("TUI_VAE_CONFIG", str(tmp_path / name))
        output = tui_vae("train")
        assert_one_sentence(output, 2, str(tmp_path / name))
        assert says in output[2] and "Errno" not in output[2]
        assert "Errno" not in doctor._settings().found


# -- The page ----------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_table_and_every_key_with_its_default() -> None:
    text = PAGE.read_text()
    assert set(re.findall(r"(?m)^## `\[(\w+)\]`", text)) == set(TABLES)
    assert f"`{RUNS_DIR}`" in text
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| `(.*?)` \|", text.split("## `[notify]`")[1].split("\n## ")[0]))
    usual = {field.name: getattr(Notices(), field.name) for field in fields(Notices)}
    assert rows == {name: '""' if value == "" else str(value).lower() for name, value in usual.items()}


def test_the_page_has_the_variables_of_the_environment() -> None:
    rows = re.findall(r"(?m)^\| `([A-Z_]+)` \| (.*) \|$", PAGE.read_text())
    assert dict(rows) == manual.ENVIRONMENT
