"""Full disks, damaged files and data that have changed: nothing is lost, and the log says what happened."""

import asyncio
import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.processes import Trained, command, events, finish, kill_trainer, wait_until
from tests.support.training import Script, new_run, same, train_here
from tui_vae.cli import main
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import request
from tui_vae.runs.files import write_atomic
from tui_vae.runs.launch import start_serving
from tui_vae.runs.summary import summarize
from tui_vae.trainer.checkpoints import CheckpointError, Progress, load_checkpoint, save_checkpoint
from tui_vae.trainer.training import Training
from tui_vae.ui.session import RunSession


def test_a_file_is_whole_however_often_its_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = """
import itertools, sys
from pathlib import Path
from tui_vae.runs.files import write_atomic
for number in itertools.count():
    write_atomic(Path(sys.argv[1]), bytes([number % 251]) * 2_000_000)
"""
    dice, seen = random.Random(1), set()
    for _ in range(12):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        wait_until(path.exists)
        time.sleep(dice.uniform(0, 0.06))
        writer.kill()
        writer.wait()
        data = path.read_bytes()
        assert len(data) == 2_000_000
        assert data == data[:1] * len(data)
        seen.add(data[0])
    assert len(seen) > 1


def small_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "noise": torch.arange(5, dtype=torch.uint8)}
    save_checkpoint(path, Progress(config={"seed": 5}, segments=[2, 1], beta=1.5, step=41, best_loss=-1.25), tensors)
    return tensors


def test_a_checkpoint_reads_back_or_is_refused_whichever_bit_flips(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    tensors = small_checkpoint(path)
    progress, found = load_checkpoint(path)
    assert same(found, tensors)
    assert (progress.step, progress.segments, progress.best_loss) == (41, [2, 1], -1.25)

    whole = path.read_bytes()
    accepted, dice = [], random.Random(2)
    for position in range(len(whole)):
        bit = dice.randrange(8)
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :])
        try:
            other, read = load_checkpoint(path)
        except CheckpointError as error:
            assert str(path) in str(error)
        else:
            accepted.append(position)
            assert other == progress
            assert same(read, tensors)
    assert len(accepted) < 20  # a space of the header that became another
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=path.stem):
            load_checkpoint(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_checkpoint_is_one_sentence_that_names_it(
    own_runs: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    damage(directory.last)
    capsys.readouterr()
    for arguments in (["eval", "run"], ["show", "run"], ["export", "run", "--what", "grid", "--out", "grid.png"]):
        assert main([*arguments, "--checkpoint", "last"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith(f"tui-vae: {directory.last} is damaged")
        assert "best.safetensors" in line
    assert main(["eval", "run", "--checkpoint", "best"]) == 0
    assert train_here(directory, more_epochs=1) == 1
    assert str(directory.last) in events(directory, ev.ErrorEvent)[-1].message
    assert events(directory, ev.StateEvent)[-1].state == "failed"


def test_resuming_from_a_damaged_checkpoint_fails_aloud(own_runs: Path) -> None:
    directory = new_run(own_runs, name="run")
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    flip(directory.last)
    code, out, err = finish(command("resume", "run"))
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("tui-vae: ")
    assert str(directory.last) in line and "--config" in line and "--checkpoint" not in line
    assert summarize(directory).state == "failed"


def test_whoever_still_has_a_deleted_run_on_screen_is_told_so(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    session = RunSession(directory)
    shutil.rmtree(directory.path)
    for asking in (session.train(1), session.ask(protocol.Describe(), protocol.Description)):
        with pytest.raises(UserError, match="run 'run' has been deleted"):
            asyncio.run(asking)
    assert not directory.path.exists()


def test_a_run_that_has_only_its_best_weights_keeps_them(own_runs: Path) -> None:
    """Whether nobody looks at it, or a process serves it: to train it anew would overwrite them."""
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    directory.last.unlink()
    best, log = directory.best.read_bytes(), directory.events.read_bytes()
    for serving in (False, True):
        if serving:
            start_serving(directory)
        code, out, err = finish(command("resume", "run", "--epochs", 1))
        assert (code, out) == (1, "") and "only its best weights" in err
    request(directory, protocol.Describe(), protocol.Description, timeout=60)  # it still serves
    assert (directory.best.read_bytes(), directory.events.read_bytes()) == (best, log)
    kill_trainer(directory)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_the_old_checkpoint_stays_whole_and_training_goes_on(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, **{"epochs": 3, "checkpoint-every": 0})
    whole: list[bytes] = []

    class FullLater(Script):
        """The disk fills up after the 2nd look, and is free again before the last."""

        def pending(self) -> Any:
            if self.looks == 2:
                whole.append(directory.last.read_bytes())
                monkeypatch.setattr(os, "fsync", no_space)
            if self.looks == 13:
                whole.append(directory.last.read_bytes())
                monkeypatch.undo()
            return super().pending()

    refused: dict[int, list[protocol.AnyRequest]] = {
        4: [protocol.Checkpoint(), protocol.Resume(epochs=1)], 7: [protocol.Pause(), protocol.Stop()],
    }  # fmt: skip
    inbox = FullLater({1: [protocol.Checkpoint()], **refused})
    assert train_here(directory, inbox) == 0
    assert inbox.replies[0].step == 1
    assert all("No space left on device" in reply.message for reply in inbox.replies[1:])
    assert len(inbox.replies) == 5
    assert whole[0] == whole[1]
    assert not list(directory.path.glob(".*"))
    assert load_checkpoint(directory.last)[0].step == 9
    assert events(directory, ev.StateEvent)[-1].state == "finished"


def test_a_write_beyond_the_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = """
import sys
from pathlib import Path
from tui_vae.runs.files import write_atomic
try:
    write_atomic(Path(sys.argv[1]), bytes(100_000))
except OSError as error:
    print(error.strerror)
"""
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert out.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_leftovers_of_killed_writers_are_swept_away(own_runs: Path) -> None:
    directory = new_run(own_runs)
    leftover = directory.path / ".last.safetensors.abc.part"
    leftover.write_bytes(bytes(1000))
    assert train_here(directory) == 0
    assert not leftover.exists()


def test_a_full_disk_loses_events_but_neither_the_run_nor_the_log(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from tui_vae.runs.events import EventLog, StateEvent
log = EventLog(Path(sys.argv[1]))
log.write(StateEvent(t=1, state="loading"))
resource.setrlimit(resource.RLIMIT_FSIZE, (70, resource.RLIM_INFINITY))
log.write(StateEvent(t=2, state="training"))
log.write(StateEvent(t=3, state="training"))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
log.write(StateEvent(t=4, state="finished"))
"""
    path = tmp_path / "events.jsonl"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True)
    told = [(event.t, event.state) for event in ev.LogTail(path).read_all()]  # type: ignore[union-attr]
    assert told == [(1, "loading"), (4, "finished")]


def test_a_damaged_configuration_is_one_sentence_that_names_it(
    own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = new_run(own_runs, name="run")
    directory.config.write_text('epochs = "many"\n')
    assert train_here(directory) != 0
    message = events(directory, ev.ErrorEvent)[-1].message
    assert str(directory.config) in message
    assert "epochs must be a whole number" in message
    assert main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["run", "failed"]


def test_an_unexpected_failure_ends_the_run_with_a_word(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Training) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(Training, "_end_epoch", breaks)
    directory = new_run(own_runs)
    assert train_here(directory) == 1
    error, state = events(directory)[-2:]
    assert "ZeroDivisionError: nobody thought of this" in error.message
    assert state.state == "failed"


def test_resuming_with_other_data_is_refused(own_runs: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs)
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    progress, tensors = load_checkpoint(directory.last)
    progress.train_images = 60_000
    save_checkpoint(directory.last, progress, tensors)
    assert train_here(directory) == 1
    assert "was trained on 60000 images; there are 500 now" in events(directory, ev.ErrorEvent)[-1].message
