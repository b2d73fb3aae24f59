"""`eval` and `show`: figures and images of a run."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.fake_run import FakeProcess, make_run
from tests.support.processes import Trained, events
from tests.support.training import WILD, Script, new_run, train_here
from tui_vae.cli.show import print_images
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.ui.images.picture import Picture


def test_eval_equals_the_last_epoch_event_to_the_last_bit(tui_vae: Run, trained: Trained) -> None:
    last = json.loads(trained.stdout.splitlines()[-1])
    code, out, err = tui_vae("eval", "done", "--json", "--runs-dir", trained.runs_dir)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["test"] == last["test"]
    assert (found["run"], found["checkpoint"], found["epoch"], found["step"], found["images"]) == (
        "done", "last", 3, 63, 500)  # fmt: skip
    code, table, _ = tui_vae("eval", "done", "--runs-dir", trained.runs_dir, "--checkpoint", "best")
    assert code == 0
    assert f"{last['test']['mse']:.6g}" in table  # the last epoch was the best


def test_eval_of_best_is_that_of_the_best_epoch_in_the_middle_of_a_warm_up(tui_vae: Run, own_runs: Path) -> None:
    """β counts in full, and the epoch is that of the weights, not of the moment at which they were written."""
    directory = new_run(own_runs, **{"name": "warm", "epochs": 4, "kl-warmup": 8, "beta": 3, "objective": "mse",
                                     "schedule": "constant", "lr": 2e-3})  # fmt: skip
    assert train_here(directory, Script({11: [protocol.Set(beta=500)]})) == 0
    epochs = events(directory, ev.EpochEvent)
    best = min(epochs, key=lambda event: event.test.loss if event.test.loss is not None else float("inf"))
    for which, event in (("best", best), ("last", epochs[-1])):
        code, out, _ = tui_vae("eval", "warm", "--json", "--checkpoint", which)
        found = json.loads(out)
        assert code == 0
        assert (found["epoch"], found["step"]) == (event.epoch, event.step)
        assert found["test"] == msgspec.to_builtins(json.loads(msgspec.json.encode(event.test)))
    assert best.epoch < 4
    assert best.test.loss == pytest.approx(best.test.recon + 3 * best.test.kl)


def test_figures_that_are_not_finite_are_null_in_json(tui_vae: Run, own_runs: Path) -> None:
    wild = {**WILD, "lr": 10}
    assert train_here(new_run(own_runs, name="wild", **wild)) == 1
    tame = new_run(own_runs, name="tame", epochs=1)
    assert train_here(tame) == 0
    progress, tensors = load_checkpoint(tame.last)
    huge = {name: value * 1e25 if name.startswith("model.") else value for name, value in tensors.items()}
    save_checkpoint(tame.last, progress, huge)

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    _, out, _ = tui_vae("eval", "tame", "--json", "--checkpoint", "last")
    assert json.loads(out, parse_constant=refuse)["test"]["loss"] is None
    _, out, _ = tui_vae("ls", "--json")
    losses = {run["name"]: run["test_loss"] for run in json.loads(out, parse_constant=refuse)}
    assert losses["wild"] is None is not losses["tame"]
    code, out, _ = tui_vae("ls")
    assert code == 0
    assert "wild" in out
    assert tui_vae("eval", "tame", "--checkpoint", "last")[0] == 0
    _, out, _ = tui_vae("compare", "tame", "wild", "--json")
    assert [run["name"] for run in json.loads(out, parse_constant=refuse)] == ["tame", "wild"]
    assert tui_vae("compare", "tame", "wild")[0] == 0


def test_show_prints_half_blocks_where_there_are_colours_and_ascii_elsewhere(
    tui_vae: Run, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = ("show", "done", "--runs-dir", trained.runs_dir, "--images", 2, "--class", "sneaker")
    monkeypatch.setenv("COLUMNS", "130")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, plain, _ = tui_vae(*show)
    assert code == 0
    assert plain.isascii()
    assert plain.count("Sneaker #") == 2
    assert "\x1b" not in plain

    monkeypatch.setenv("FORCE_COLOR", "1")
    code, coloured, _ = tui_vae(*show)
    assert code == 0
    assert coloured.count("▀") > 300
    assert "\x1b[38;5;" in coloured
    monkeypatch.setenv("LC_ALL", "C")
    assert "▀" not in tui_vae(*show)[1]


def test_show_puts_the_worst_first_and_knows_classes_and_samples(
    tui_vae: Run, trained: Trained, tmp_path: Path
) -> None:
    where = ("--runs-dir", trained.runs_dir)
    _, out, _ = tui_vae("show", "done", *where, "--images", 5, "--worst")
    shown = [float(word) for word in out.replace("mse", " ").split() if word.startswith("0.") and len(word) == 6]
    assert shown == sorted(shown, reverse=True)
    arrays = tmp_path / "all.npz"
    tui_vae("export", "done", *where, "--what", "reconstructions", "--out", arrays)
    with np.load(arrays) as file:
        errors = ((file["reconstruction"] - file["original"] / 255.0) ** 2).mean(axis=(1, 2))
        labels = file["label"]
    assert shown == pytest.approx(np.sort(errors)[:-6:-1], abs=1e-4)
    _, out, _ = tui_vae("show", "done", *where, "--images", 3, "--class", "Bag")
    assert [int(word[1:]) for word in out.split() if word[0] == "#" and word[1:].isdigit()] == list(
        np.flatnonzero(labels == 8)[:3]
    )
    code, out, _ = tui_vae("show", "done", *where, "--samples", "--images", 2)
    assert code == 0
    assert "fitted" in out.splitlines()[0]
    assert len(out.splitlines()) > 14
    code, of_class, _ = tui_vae("show", "done", *where, "--samples", "--images", 2, "--class", "bag")
    assert code == 0
    assert of_class.splitlines()[0].endswith("the encoder's z of training images of class Bag")
    assert of_class.splitlines()[1:] != out.splitlines()[1:]


def test_show_says_where_a_class_has_no_images(tui_vae: Run, own_runs: Path) -> None:
    class FewImages(FakeProcess):
        """The test set was limited to so few images that not every class is among them."""

        def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
            reply = super()._answer(request)
            return msgspec.structs.replace(reply, labels=reply.labels[:3]) if isinstance(
                reply, protocol.Description) else reply  # fmt: skip

    with FewImages(make_run(own_runs, "few", epochs=1), "serve"):
        output = tui_vae("show", "few", "--class", "bag")
        assert_one_sentence(output, 2, "none of the run's 3 test images is of class 'Bag'")
        assert "there are some of T-shirt/top, Trouser, Pullover" in output[2]
        assert_one_sentence(tui_vae("show", "few", "--class", "bag", "--worst"), 2, "of class 'Bag'")


def test_a_caption_stands_below_its_own_images_however_small_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    picture = Picture(bytes(64), 8)
    captions = [f"Ankle boot #{index}   mse 0.0123" for index in (9740, 9741, 9742)]
    print_images([(picture, picture)] * 3, captions)
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if "#9740" in line)
    assert [line.index(caption) for caption in captions] == [0, 30, 60]
