"""Commands at a run's end: run once by the trainer, told the facts, never a stranger's, and nothing to lose by them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.commands import assert_one_sentence
from tests.support.fake_run import FakeProcess
from tests.support.processes import SMALL, command, events, finish, wait_until
from tests.support.training import WILD, new_run, train_here
from tui_vae.config.user_file import config_file
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory

WRITE = 'printf "%s %s %s/%s bits=%s\\n" "$TUI_VAE_RUN" "$TUI_VAE_RUN_STATE" "$TUI_VAE_RUN_EPOCHS" '
WRITE += '"$TUI_VAE_RUN_PLANNED_EPOCHS" "$TUI_VAE_RUN_BITS" >> '


def told(file: Path) -> list[str]:
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    return file.read_text().splitlines()


def test_without_any_app_both_commands_are_run_once_and_know_the_run(own_runs: Path, tmp_path: Path) -> None:
    own, users = tmp_path / "own", tmp_path / "users"
    config_file().write_text(f"[notify]\ncommand = '''{WRITE}{users}'''\n")
    options = ("--name", "told", "--epochs", 2, *SMALL, "--on-end", f"{WRITE}{own}")
    code, out, err = finish(command("train", *options))
    assert code == 0, out + err
    (line,) = told(own)
    words = line.split()
    assert words[:3] == ["told", "finished", "2/2"]
    newest = events(RunDirectory(own_runs / "told"), ev.EpochEvent)[-1]
    assert float(words[3].removeprefix("bits=")) == newest.test.elbo_bpd
    assert told(users) == [line]


def test_a_failed_run_tells_why_and_a_broken_command_changes_nothing(own_runs: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    failing = f'echo "$TUI_VAE_RUN_STATE: $TUI_VAE_RUN_REASON" >> {said}'
    directory = new_run(own_runs, **WILD, lr=10, on_end=failing)
    assert train_here(directory) == 1
    (line,) = told(said)
    assert line.startswith("failed: the weights diverged in epoch ")
    config_file().write_text("[notify]\ncommand = 'exec /no/such/program'\n")
    assert train_here(new_run(own_runs)) == 0
    config_file().write_text("[notify]\ncommand = 3\n")
    assert train_here(new_run(own_runs)) == 0


@pytest.mark.slow
def test_a_command_of_a_run_from_elsewhere_is_not_run_before_it_is_allowed(own_runs: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    env = {**os.environ, "TUI_VAE_STATE": str(tmp_path / "stranger")}
    options = ("--name", "brought", "--epochs", 1, *SMALL, "--on-end", f"{WRITE}{said}")
    code, _, err = finish(command("train", "--runs-dir", tmp_path / "theirs", *options, env=env))
    assert code == 0, err
    told(said)
    said.unlink()
    own_runs.mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "theirs" / "brought", own_runs / "brought")
    for words in (("eval", "brought", "--json"), ("show", "brought", "--images", 1)):
        assert finish(command(*words))[0] == 0, "looking at the run runs nothing, and is not refused"
    refused = finish(command("resume", "brought", "--epochs", 1))
    assert_one_sentence(refused, 1, "which you have neither given nor allowed")
    assert "--trust" in refused[2] and not said.exists()
    with FakeProcess(RunDirectory(own_runs / "brought"), "serve") as serving:  # as for somebody who looks at its images
        refused = finish(command("resume", "brought", "--epochs", 1))
        assert_one_sentence(refused, 1, "which you have neither given nor allowed")
        assert not any(isinstance(asked, protocol.Resume) for asked in serving.asked)
    code, _, err = finish(command("resume", "brought", "--epochs", 1, "--trust"))
    assert code == 0, err
    assert told(said)[0].startswith("brought finished 2/2")


def test_where_it_slips_through_a_serving_process_the_trainer_does_not_run_it(
    own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = tmp_path / "said"
    directory = new_run(own_runs, on_end=f"{WRITE}{said}")
    monkeypatch.setattr("tui_vae.config.own_code._allowed", set())
    monkeypatch.setenv("TUI_VAE_STATE", str(tmp_path / "another-user"))
    assert train_here(directory) == 0
    assert "neither given nor allowed" in capfd.readouterr().err
    assert not said.exists()
