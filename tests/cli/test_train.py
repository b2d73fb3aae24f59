"""`train`: what it prints and leaves, and what its options and files say."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.support.commands import Run, assert_one_sentence
from tests.support.processes import Trained, command, events, finish
from tui_vae import config
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.trainer.checkpoints import load_checkpoint


def test_train_json_prints_the_epoch_events_and_nothing_else(trained: Trained) -> None:
    lines = trained.stdout.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        event = json.loads(line)
        assert (event["kind"], event["epoch"], event["step"]) == ("epoch", number, 21 * number)
        assert {"t", "seconds", "images_per_s", "train", "test"} <= event.keys()
        assert 0 < event["seconds"] < 60
        assert event["images_per_s"] > 2000 / event["seconds"] * 0.9
        assert "legacy" not in event
        for side in (event["train"], event["test"]):
            assert list(side) == ["loss", "recon", "kl", "mse", "accuracy", "elbo_bpd", "active_units", "kl_per_dim"]
            assert len(side["kl_per_dim"]) == 8
            assert sum(side["kl_per_dim"]) == pytest.approx(side["kl"])
            assert 0 < side["mse"] < 0.2
            assert 0.5 < side["accuracy"] < 1
    written = [line for line in trained.directory.events.read_text().splitlines() if '"kind":"epoch"' in line]
    assert lines == written
    losses = [json.loads(line)["test"]["loss"] for line in lines]
    assert losses == sorted(losses, reverse=True)


def test_the_bundled_sample_is_announced(trained: Trained) -> None:
    (warning,) = events(trained.directory, ev.WarningEvent)
    assert "bundled sample of 5,000 + 1,000 images" in warning.message
    assert "TUI_VAE_OFFLINE" in warning.hint
    assert warning.message in trained.stderr
    run = events(trained.directory, ev.RunEvent)[0]
    assert (run.dataset.train, run.dataset.test, run.dataset.source) == (2000, 500, warning.message.split("the ")[1].
                                                                         removesuffix(", not on "))  # fmt: skip


def test_a_run_leaves_what_the_design_says(trained: Trained) -> None:
    directory = trained.directory
    files = "best.safetensors config.toml events.jsonl last.safetensors lock previews trainer.log"
    assert sorted(path.name for path in directory.path.iterdir()) == files.split()
    written = events(directory)
    assert [event.state for event in written if isinstance(event, ev.StateEvent) and not event.reason] == [
        "training", "finished"]  # fmt: skip
    (run,) = events(directory, ev.RunEvent)
    assert (run.name, run.device, run.epochs, run.steps_per_epoch, run.step) == ("done", "cpu", 3, 21, 0)
    assert {"torch", "python", "tui-vae"} <= run.versions.keys()
    assert run.parameters == sum(t.numel() for t in load_checkpoint(directory.best)[1].values())
    previews = events(directory, ev.PreviewEvent)
    assert [event.epoch for event in previews] == [1, 2, 3]
    for file in ["originals.png", *(event.file for event in previews)]:
        with Image.open(directory.previews / file) as image:
            assert image.size == (8 * 28, 28)
    assert events(directory, ev.CheckpointEvent)[-1].step == 63
    assert load_checkpoint(directory.last)[0].step == 63


def test_without_a_terminal_nothing_is_drawn_and_a_config_file_gives_the_same_run(trained: Trained) -> None:
    """A run's config.toml, with another name over it, trains the same to the last bit."""
    code, out, err = finish(command("train", "--config", trained.directory.config, "--name", "again"))
    assert (code, err) == (0, "")
    assert not set(out) & set("\r\x1b\b")
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    again = RunDirectory(Path(os.environ["TUI_VAE_RUNS"]) / "again")
    first, second = (load_checkpoint(directory.last)[1] for directory in (trained.directory, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert config.make_config({**trained.directory.read_config().to_dict(), "name": "again"}) == again.read_config()


def test_what_stands_on_the_command_line_goes_over_the_file(
    tui_vae: Run, own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "seed"\nlr = 0.25\nhidden = [30, 20]\nepochs = 7\n')
    monkeypatch.setattr("tui_vae.cli.train.start_training", lambda *given, **more: None)
    assert tui_vae("train", "--config", file, "--epochs", 5, "--detach") == (0, "fashion-1\n", "")
    made = RunDirectory(own_runs / "fashion-1").read_config()
    assert (made.preset, made.lr, made.hidden, made.epochs, made.latent_dim) == ("seed", 0.25, (30, 20), 5, 20)


@pytest.mark.parametrize("word", ["runs-dir", "runs_dir"])
def test_a_file_says_where_the_runs_are_unless_the_command_line_does(
    tui_vae: Run, own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The file was named on the command line, so it counts more than TUI_VAE_RUNS, which the tests set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui_vae.cli.train.start_training", lambda *given, **more: None)
    file = tmp_path / "mine.toml"
    file.write_text(f'{word} = "elsewhere"\nname = "mine"\n')
    train = ("train", "--config", file, "--detach")
    assert tui_vae(*train) == (0, "mine\n", "")
    assert RunDirectory(tmp_path / "elsewhere" / "mine").read_config().name == "mine"
    assert tui_vae("--runs-dir", "here", *train) == (0, "mine\n", "")
    assert (tmp_path / "here" / "mine").is_dir() and not own_runs.exists()
    assert_one_sentence(tui_vae("sweep", "--config", file, "--latent-dim", "2"), 2, "nothing to sweep")
    for wrong in ("3", '""', "[]", '"~nobody-of-this-name/x"', r'"\u0000"'):
        file.write_text(f"{word} = {wrong}\n")
        assert_one_sentence(tui_vae(*train), 2, f"{file}: runs-dir must be a path")
