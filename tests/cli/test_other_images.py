"""`eval --frechet` and `--probe` of images that are not FashionMNIST: in colour, of many classes, of one, of none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.extras import needs_probe
from tests.support.given_data import blobs, dataset, give
from tests.support.training import TINY, train_here
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.config.data_places import cache_home
from tui_vae.core.evaluation.classifier import as_input, small
from tui_vae.runs.create import create_run

SIDE = (10, 14)


def trained(runs: Path) -> list[str]:
    """A run, and how commands name it."""
    directory, _ = create_run(runs, make_config({**TINY, "name": "own", "batch-size": 16, "epochs": 1}))
    assert train_here(directory) == 0
    return ["own", "--runs-dir", str(runs)]


def told_apart(count: int, seed: int) -> NDArray[np.uint8]:
    """Images whose class, in turn one of three, is their brightest colour."""
    images = blobs(count, *SIDE, seed=seed) // 4
    images[np.arange(count), :, :, np.arange(count) % 3] += 150
    return images


def test_the_distance_is_in_the_features_of_a_classifier_that_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUI_VAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(small, "STEPS", 60)
    give(monkeypatch, dataset(told_apart(120, 0), told_apart(60, 1)))
    run = trained(tmp_path / "runs")
    capsys.readouterr()
    assert main(["eval", *run, "--frechet", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)["frechet"]
    assert "trained on these 120 training images" in found["classifier"]
    assert f"to be kept in {cache_home() / 'classifiers'}" in told.err
    assert found["classifier_accuracy"] > 0.95
    assert 0 <= found["train"] < found["prior"]
    monkeypatch.setattr(small, "train", lambda *_: pytest.fail("it is there already"))
    assert main(["eval", *run, "--frechet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frechet"] == found


@pytest.mark.parametrize(("classes", "says"), [(0, "have no labels"), (1, "all of one class")])
def test_without_classes_both_are_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], classes: int, says: str
) -> None:
    give(monkeypatch, dataset(blobs(40, *SIDE), blobs(9, *SIDE, seed=1), classes))
    run = trained(tmp_path)
    for option in ("--frechet", "--probe"):
        capsys.readouterr()
        assert main(["eval", *run, option]) == 1
        told = capsys.readouterr().err
        assert says in told.splitlines()[-1]
        assert "fitting" not in told  # nothing is said to be done that cannot be


@needs_probe
def test_of_many_classes_the_probe_lists_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, dataset(blobs(300, *SIDE), blobs(150, *SIDE, seed=1), 47))
    run = trained(tmp_path)
    capsys.readouterr()
    assert main(["eval", *run, "--probe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("10 of 47 classes with the lowest f1" in line for line in lines)
    assert sum(" called kind " in line for line in lines) == 20  # of two classifiers
    assert max(len(line) for line in lines if line.startswith("  kind ")) <= 80


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 256, 40), (1, 28, 28), (3, 9, 200)])
def test_the_classifier_takes_any_shape(shape: tuple[int, int, int]) -> None:
    images = blobs(5, *shape[1:], shape[0])
    network = small.SmallClassifier(shape, 7)
    seen = as_input(torch.from_numpy(images), shape)
    assert tuple(seen.shape) == (5, *shape)
    assert network.classify(network.features(seen)).shape == (5, 7)


def test_the_classifier_is_trained_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a run that trains, two threads took ten times as long."""
    monkeypatch.setattr(small, "STEPS", 2)
    before, seen = torch.get_num_threads(), set[int]()
    torch.set_num_threads(2)
    try:
        labels = np.arange(6) % 2
        small.train(blobs(6, 8, 8, 1), labels, (1, 8, 8), 2, lambda steps: seen.add(torch.get_num_threads()))
        assert seen == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
