"""Going back to a kept epoch: a run goes on from there bit for bit, and what it was is a run of its own."""

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.piloting import in_event_loop, notifications, opened, seen, until
from tests.support.processes import SMALL, command, events, finish, wait_until
from tests.support.training import Killed, Script, new_run, same, train_here
from tui_vae.cli import main
from tui_vae.errors import UserError
from tui_vae.runs import copy_run, launch, protocol
from tui_vae.runs import events as ev
from tui_vae.runs import go_back as back
from tui_vae.runs.checkpoint_file import CheckpointError, verify_checkpoint
from tui_vae.runs.directory import RunDirectory, RunError, list_runs
from tui_vae.runs.go_back import go_back, newest_whole
from tui_vae.runs.history import read_history
from tui_vae.runs.kept import best_file, kept_epochs, state_file
from tui_vae.runs.lock import RunLock
from tui_vae.runs.previews import preview_files
from tui_vae.runs.summary import summarize
from tui_vae.runs.verify import verify_run
from tui_vae.trainer.serving import Serving
from tui_vae.ui.app import TuiVae
from tui_vae.ui.key_advice import with_keys

KEEPING = {"keep": 10, "checkpoint-every": 0, "epochs": 4}


def figures(directory: RunDirectory) -> list[tuple[int, ev.Metrics, ev.Metrics]]:
    return [(event.epoch, event.train, event.test) for event in read_history(directory.events).epochs]


def contents(directory: RunDirectory) -> dict[str, bytes]:
    """Every file of a run but those of its processes and its name."""
    passed = {directory.lock, directory.log, directory.config}
    files = [path for path in directory.path.rglob("*") if path.is_file() and path not in passed]
    return {str(path.relative_to(directory.path)): path.read_bytes() for path in files}


def trained(runs: Path, **given: object) -> RunDirectory:
    directory = new_run(runs, **{**KEEPING, "name": "run", **given})
    assert train_here(directory) == 0
    return directory


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.unlink()  # not the file that other names have too
    path.write_bytes(data)


def test_a_kept_epoch_is_what_a_run_is_that_stops_there(own_runs: Path) -> None:
    directory = trained(own_runs)
    assert kept_epochs(directory.kept) == [1, 2, 3, 4]
    for epoch in (1, 2, 3, 4):
        assert verify_checkpoint(state_file(directory.kept, epoch)).evaluated == epoch
    assert state_file(directory.kept, 4).samefile(directory.last)
    assert not trained(own_runs, keep=0, name="none").kept.exists()


@pytest.mark.parametrize("every", [0, None, 1e9], ids=["each epoch", "when cheap", "never"])
def test_each_second_epoch_is_kept_whatever_other_checkpoints_there_are(own_runs: Path, every: float | None) -> None:
    directory = trained(own_runs, keep="every:2", epochs=5, **{"checkpoint-every": every})
    assert kept_epochs(directory.kept) == [2, 4]
    assert not [check for check in verify_run(directory) if not check.ok]
    wanted = figures(directory), load_file(directory.last), load_file(directory.best)
    assert go_back(directory, 2) is not None
    assert train_here(directory) == 0
    assert kept_epochs(directory.kept) == [2, 4]
    assert figures(directory) == wanted[0]
    assert same(load_file(directory.last), wanted[1]) and same(load_file(directory.best), wanted[2])


def test_an_epoch_is_kept_although_its_process_was_killed_before_it_could(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        raise Killed

    directory = new_run(own_runs, **{**KEEPING, "keep": "every:2", "name": "run"})
    with monkeypatch.context() as patch:
        patch.setattr("tui_vae.trainer.checkpoint_keeper.keep", killed)
        with pytest.raises(Killed):
            train_here(directory)
    assert verify_checkpoint(directory.last).evaluated == 2 and kept_epochs(directory.kept) == []
    best_then = directory.best.read_bytes()
    with pytest.raises(Killed):
        train_here(directory, Script(kill_at=8))  # in epoch 4: `best` is of epoch 3 by then
    assert kept_epochs(directory.kept) == [2]
    assert best_file(directory.kept, 2).read_bytes() == best_then != directory.best.read_bytes()
    assert train_here(directory) == 0
    assert kept_epochs(directory.kept) == [2, 4]
    assert best_file(directory.kept, 2).read_bytes() == best_then
    assert not [check for check in verify_run(directory) if not check.ok]


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_that_went_back_ends_as_one_that_went_straight_on(own_runs: Path, epoch: int) -> None:
    directory = trained(own_runs)
    straight = contents(directory)
    wanted = figures(directory), load_file(directory.last), load_file(directory.best)
    former = go_back(directory, epoch)
    assert former is not None and former.name == "run-until-4"
    assert contents(former) == straight  # nothing of it is lost
    assert kept_epochs(directory.kept) == [*range(1, epoch + 1)]
    assert [each for each, _ in preview_files(directory.previews)] == [*range(1, epoch + 1)]
    assert verify_checkpoint(directory.last).evaluated == epoch

    with pytest.raises(Killed):  # killed at once, it has still gone back: one rule cuts its log
        train_here(directory, Script(kill_at=1))
    history = read_history(directory.events)
    assert [event.epoch for event in history.epochs] == [*range(1, epoch + 1)]
    assert set(history.previews) == {*range(1, epoch + 1)}
    assert summarize(directory).epochs == epoch
    assert train_here(directory) == 0
    assert figures(directory) == wanted[0]
    assert same(load_file(directory.last), wanted[1]) and same(load_file(directory.best), wanted[2])
    assert kept_epochs(directory.kept) == [1, 2, 3, 4]
    assert contents(former) == straight
    assert train_here(former, more_epochs=1) == 0
    assert [event.epoch for event in read_history(former.events).epochs] == [1, 2, 3, 4, 5]


def test_a_finished_run_that_went_back_is_not_finished_any_more(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = trained(own_runs)
    started: list[RunDirectory] = []
    monkeypatch.setattr(launch, "start_training", lambda run, *options, **more: started.append(run))
    with pytest.raises(RunError, match="finished"):
        launch.continue_training(directory)
    go_back(directory, 2)
    launch.continue_training(directory)
    assert started == [directory]


def test_a_going_back_that_is_killed_at_any_moment_loses_nothing(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trained(own_runs, epochs=2)
    straight = contents(original)
    moment = left = 0

    def killing(write: Callable[..., None]) -> Callable[..., None]:
        def killed_at_the_moment(*arguments: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            write(*arguments)

        return killed_at_the_moment

    for module, names in (
        (back, ("link_or_copy", "remove", "remove_previews_after", "sync_directory")),
        (copy_run, ("link_or_copy", "sync_directory", "write_atomic")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, killing(getattr(module, name)))
    while True:
        moment += 1
        left = moment
        directory = RunDirectory(own_runs / f"run-{moment}")
        shutil.copytree(original.path, directory.path)
        try:
            go_back(directory, 1)
            break
        except Killed:
            left = 0
        formers = [each for each in list_runs(own_runs) if each.name.startswith(f"{directory.name}-until")]
        assert contents(directory) == straight or [contents(each) for each in formers] == [straight]
        assert not [check for check in verify_run(directory) if not check.ok]
        go_back(directory, 1)
        assert contents(directory) == {path: data for path, data in contents(directory).items() if path in straight}
        assert directory.last.read_bytes() == straight["kept/epoch-000001.safetensors"]
        assert directory.best.read_bytes() == straight["kept/epoch-000001.best.safetensors"]
    assert moment > 12


def test_a_disk_that_is_full_leaves_the_run_as_it_was(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = trained(own_runs)
    before = contents(directory)

    def full(*paths: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "kept")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(UserError, match="No space left"):
            go_back(directory, 2)
    assert contents(directory) == before
    assert [each.name for each in own_runs.iterdir()] == ["run"]
    lock = RunLock(directory, "train")
    with pytest.raises(RunError, match="is being trained"):
        go_back(directory, 2)
    lock.release()
    assert contents(directory) == before


def test_controls_of_what_was_cut_are_marked_no_more(own_runs: Path) -> None:
    directory = new_run(own_runs, **KEEPING, name="run")
    assert train_here(directory, Script({2: [protocol.Set(lr=1e-3)], 12: [protocol.Set(lr=1e-4)]})) == 0
    assert [event.value for event in read_history(directory.events).controls] == [1e-3, 1e-4]
    go_back(directory, 1)
    assert train_here(directory) == 0
    assert [event.value for event in read_history(directory.events).controls] == [1e-3]


def test_an_epoch_that_is_not_kept_is_one_sentence_with_those_that_are(
    own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = trained(own_runs, keep=2)
    before = contents(directory)
    for arguments in (["resume", "run", "--from", "1"], ["eval", "run", "--checkpoint", "1"]):
        assert main(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        kept = ", ".join(map(str, kept_epochs(directory.kept)))
        assert line.startswith("tui-vae: run 'run' keeps no checkpoint of epoch 1") and line.endswith(f": {kept}")
    with pytest.raises(RunError, match="finished"):
        go_back(directory, 4)
    assert contents(directory) == before and len(list_runs(own_runs)) == 1


def test_the_weights_of_a_kept_epoch_can_be_looked_at(own_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = trained(own_runs)
    for epoch in (2, 4):
        assert main(["eval", "run", "--checkpoint", str(epoch), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        logged = read_history(directory.events).epochs[epoch - 1]
        assert (found["checkpoint"], found["epoch"], found["test"]["loss"]) == (str(epoch), epoch, logged.test.loss)
    assert main(["show", "run", "--checkpoint", "2", "--images", "1"]) == 0
    assert main(["eval", "run", "--checkpoint", "0"]) == 2


@pytest.mark.parametrize("what", ["a FIFO", "a file", "a link"])
def test_what_stands_in_the_place_of_previews_keeps_nobody_from_going_back(
    own_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    directory, foreign = trained(own_runs), tmp_path / "foreign"
    shutil.copytree(directory.previews, foreign)
    shutil.rmtree(directory.previews)
    {"a FIFO": os.mkfifo, "a file": Path.touch, "a link": lambda path: path.symlink_to(foreign)}[what](
        directory.previews
    )
    former = go_back(directory, 2)
    assert former is not None and not os.listdir(former.previews)
    assert {path.stat().st_nlink for path in foreign.iterdir()} == {1}
    assert main(["export", "run", "--what", "timelapse", "--out", str(tmp_path / "film.gif")]) == 1
    assert f"previews: it is {what}, not a directory" in capsys.readouterr().err
    assert train_here(directory) == 0


def test_what_stands_in_the_place_of_kept_epochs_is_named(own_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = trained(own_runs)
    shutil.rmtree(directory.kept)
    os.mkfifo(directory.kept)
    assert main(["resume", "run", "--from", "2"]) == 1
    assert "kept: it is a FIFO, not a directory" in capsys.readouterr().err


def test_a_damaged_last_checkpoint_leads_to_the_one_before(own_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = trained(own_runs)
    damaged = state_file(directory.kept, 4)
    flip(directory.last)
    flip(damaged)
    assert newest_whole(directory) == 3
    assert train_here(directory, more_epochs=1) == 1
    hint = events(directory, ev.ErrorEvent)[-1].hint
    assert "the epoch after it is lost" in hint
    words = shlex.split(hint[hint.index("tui-vae resume") :])
    assert words == ["tui-vae", "resume", "run", "--from", "3"]
    former = go_back(directory, 3)
    assert former is not None and former.last.read_bytes() != directory.last.read_bytes()
    assert train_here(directory) == 0
    assert summarize(directory).epochs == 4
    flip(directory.last)
    for epoch in kept_epochs(directory.kept):
        flip(state_file(directory.kept, epoch))
    with pytest.raises(CheckpointError):
        go_back(directory, 3)
    assert train_here(directory, more_epochs=1) == 1
    assert "--config" in events(directory, ev.ErrorEvent)[-1].hint


@pytest.mark.parametrize(
    "command", ["eval", "show", "export --what samples --out samples.png"], ids=lambda words: words.partition(" ")[0]
)
def test_who_cannot_look_at_the_last_checkpoint_is_told_which_are_whole(
    own_runs: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    directory = trained(own_runs, epochs=3)
    flip(directory.last)
    flip(state_file(directory.kept, 3))
    assert main([*command.split(), "run"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("; whole are best, of epoch 3 (--checkpoint best) and epoch 2 (--checkpoint 2)\n")
    flip(directory.best)
    assert main([*command.split(), "run", "--checkpoint", "best"]) == 1
    assert capsys.readouterr().err.endswith("; whole is epoch 2 (--checkpoint 2)\n")
    for epoch in (1, 2):
        flip(state_file(directory.kept, epoch))
    assert main([*command.split(), "run"]) == 1
    assert "train a new one like it: tui-vae train --config" in capsys.readouterr().err


def test_a_process_that_only_serves_a_damaged_run_says_how_to_go_on_or_to_look(own_runs: Path) -> None:
    directory = trained(own_runs, epochs=2)
    flip(directory.last)

    def hint() -> str:
        with pytest.raises(CheckpointError) as error:
            Serving(directory, Script(), read_only=False)
        return error.value.hint

    assert hint().endswith(": tui-vae resume run --from 2")
    assert with_keys(hint()).endswith("lost): r")
    for epoch in (1, 2):
        flip(state_file(directory.kept, epoch))
    assert hint() == "look at a whole checkpoint: tui-vae show run --checkpoint best"
    flip(directory.best)
    assert hint().startswith("train a new one like it: tui-vae train --config")


@in_event_loop
async def test_r_offers_the_checkpoint_before_a_damaged_one(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs, **KEEPING, name="run")
    assert train_here(directory, Script({12: [protocol.Stop()]})) == 0
    flip(directory.last)
    started: list[RunDirectory] = []
    monkeypatch.setattr(launch, "continue_training", lambda run, *options, **more: started.append(run))
    app = TuiVae(own_runs, directory)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("r")
        await seen(app, pilot, "The last checkpoint of run is damaged.")
        assert "epoch 2, the newest whole checkpoint" in await seen(app, pilot, "Go on from")
        await pilot.press("escape")
        assert not started and len(list_runs(own_runs)) == 1
        await pilot.press("r")
        await seen(app, pilot, "Go on from")
        await pilot.press("enter")
        await until(pilot, lambda: bool(started))
        await until(pilot, lambda: any("is run run-until-" in said for said in notifications(app)))
    assert verify_checkpoint(directory.last).evaluated == 2


@pytest.mark.long
def test_resume_from_an_epoch_with_real_processes(own_runs: Path) -> None:
    options = (*SMALL, "--epochs", 3, "--checkpoint-every", 0, "--keep", 5)
    assert finish(command("train", "--name", "run", *options))[0] == 0
    directory = RunDirectory(own_runs / "run")
    wanted = figures(directory), load_file(directory.last), load_file(directory.best)
    code, out, err = finish(command("resume", "run", "--from", 1))
    assert code == 0, err
    assert "run is back at epoch 1; what it was until now is kept as run run-until-3\n" in out
    wait_until(lambda: directory.holder() is None and summarize(directory).state == "finished")
    assert figures(directory) == wanted[0]
    assert same(load_file(directory.last), wanted[1]) and same(load_file(directory.best), wanted[2])
    assert figures(RunDirectory(own_runs / "run-until-3")) == wanted[0]
