"""What other people's trackers read of a run, while it is written and afterwards, by their own readers."""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.extras import needs_tensorboard, needs_wandb
from tests.support.processes import SMALL, command, events, finish, wait_until
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.previews import read_originals


def read(folder: Path) -> Any:
    """TensorBoard's own reader of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    reader.Reload()
    return reader


@pytest.mark.slow
@needs_tensorboard
def test_tensorboard_reads_a_run_while_it_trains(own_runs: Path) -> None:
    directory = RunDirectory(own_runs / "tb")
    process = command("train", "--name", "tb", "--log", "tensorboard", "--epochs", 100_000, *SMALL)
    folder = directory.path / "tensorboard" / "from-step-0"
    wait_until(lambda: folder.is_dir() and os.listdir(folder))
    reader = read(folder)

    def has_epochs() -> bool:
        reader.Reload()
        return "test/elbo_bpd" in reader.Tags()["scalars"]

    wait_until(has_epochs)
    seen = len(reader.Scalars("test/elbo_bpd"))
    wait_until(lambda: has_epochs() and len(reader.Scalars("test/elbo_bpd")) > seen)
    assert directory.is_training()
    os.kill(process.pid, signal.SIGTERM)
    finish(process)
    stopped_at = events(directory, ev.ControlEvent)[-1].step
    epochs = events(directory, ev.EpochEvent)

    def is_whole() -> bool:
        reader.Reload()
        return "options" in os.listdir(folder)

    wait_until(is_whole)
    reader = read(folder)
    for name, figure in (("test/elbo_bpd", "elbo_bpd"), ("test/mse", "mse"), ("test/active_units", "active_units")):
        found = [(each.step, each.value) for each in reader.Scalars(name)]
        assert found == [(each.step, pytest.approx(getattr(each.test, figure), rel=1e-6)) for each in epochs]
    assert [each.step for each in reader.Scalars("steps/loss")] == [
        each.step for each in events(directory, ev.StepEvent) if each.loss is not None
    ]
    kl = reader.Histograms("test/kl_per_dim")[-1]
    assert kl.step == epochs[-1].step and kl.histogram_value.num == 8
    assert kl.histogram_value.sum == pytest.approx(epochs[-1].test.kl, rel=1e-5)
    image = reader.Images("previews")[0]
    assert (image.height, image.width) == (
        56,
        28 * len(read_originals(directory.previews).images),
    ) and image.encoded_image_string.startswith(b"\x89PNG")

    # A resumed run writes into a folder of its own: an open reader of the first one misses nothing of it.
    assert finish(command("resume", "tb"))[0] == 0
    again = directory.path / "tensorboard" / f"from-step-{stopped_at}"
    wait_until(lambda: again.is_dir() and "test/mse" in read(again).Tags()["scalars"])
    assert read(again).Scalars("test/mse")[0].step > epochs[-1].step
    assert len(read(folder).Scalars("test/mse")) == len(epochs)
    finish(command("stop", "tb"))


def records_in(folder: Path) -> Iterator[Any]:
    """The records of an offline run of wandb: protobuf messages in LevelDB's log format behind a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2  # its classes are made when it is imported
    for file in folder.glob("offline-run-*/*.wandb"):
        data, at, whole = file.read_bytes(), 7, b""
        while at + 7 <= len(data):
            left = 32768 - at % 32768
            if left < 7:  # the end of a block is filled with zeros
                at += left
                continue
            length, kind = struct.unpack_from("<HB", data, at + 4)
            whole += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # a whole record, or its last part
                record = messages.Record()
                record.ParseFromString(whole)
                whole = b""
                yield record


@pytest.mark.slow
@needs_wandb
def test_wandb_keeps_a_run_offline(own_runs: Path) -> None:
    code, _, err = finish(command("train", "--name", "wb", "--log", "wandb", "--epochs", 2, *SMALL))
    assert code == 0, err
    directory = RunDirectory(own_runs / "wb")

    wait_until(
        lambda: any(record.WhichOneof("record_type") == "exit" for record in records_in(directory.path / "wandb"))
    )
    items = [item for record in records_in(directory.path / "wandb") for item in record.history.item]
    names = {item.key or item.nested_key[0] for item in items}
    assert {"test/mse", "train/mse", "steps/loss", "previews", "test/kl_per_dim"} <= names
    values = [float(item.value_json) for item in items if (item.key or item.nested_key[0]) == "test/mse"]
    assert values == [pytest.approx(each.test.mse) for each in events(directory, ev.EpochEvent)]


def test_a_tracker_that_fails_costs_a_warning(own_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorboardX.py").write_text("raise RuntimeError('this one is broken')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    process = command("train", "--name", "tb", "--log", "tensorboard", "--epochs", 300, *SMALL, env=environment)
    directory = RunDirectory(own_runs / "tb")
    said = "logging for tensorboard has failed; training goes on"
    wait_until(lambda: said in [each.message for each in events(directory, ev.WarningEvent)])
    at = len(events(directory, ev.EpochEvent))
    wait_until(lambda: len(events(directory, ev.EpochEvent)) > at)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 130


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_made(own_runs: Path, tmp_path: Path) -> None:
    code, _, err = finish(command("train", "--log", "mlflow", *SMALL))
    assert code == 2 and "log must be tensorboard or wandb, or both with a comma between them, not 'mlflow'" in err
    hidden = "import sys; sys.modules['tensorboardX'] = None; from tui_vae.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", hidden, "train", "--log", "tensorboard", *SMALL], capture_output=True, text=True
    )
    assert done.returncode == 1 and "--log tensorboard needs tensorboardX; install it: pip install" in done.stderr
    assert not own_runs.exists()
