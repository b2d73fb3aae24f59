"""Runs on images in colour, of odd sizes, of many classes or of none, from their arrays to the exported files."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.support.extras import needs_onnx
from tests.support.given_data import blobs, dataset, give
from tests.support.training import TINY, Script, same, train_here
from tui_vae.cli import main
from tui_vae.cli.show import ImageSource
from tui_vae.config import make_config
from tui_vae.core.data.datasets import Dataset
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.labels import decode_labels
from tui_vae.runs.previews import read_originals, read_previews
from tui_vae.runs.reply_sizes import most_images

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    data = dataset(blobs(90, HEIGHT, WIDTH), blobs(40, HEIGHT, WIDTH, seed=1))
    give(monkeypatch, data)
    return data


def trained(runs: Path, **given: object) -> RunDirectory:
    directory, _ = create_run(runs, make_config({**TINY, "name": "own", "batch-size": 16, "epochs": 1, **given}))
    assert train_here(directory) == 0
    return directory


def state(directory: RunDirectory) -> str:
    last = read_history(directory.events).state
    return last.state if last else ""


def exported(directory: RunDirectory, what: str, out: Path, *more: str) -> Path:
    assert (
        main(["export", "own", "--runs-dir", str(directory.path.parent), "--what", what, "--out", str(out), *more]) == 0
    )
    return out


@pytest.mark.parametrize("model", ["mlp", "conv"])
@pytest.mark.parametrize("floats", [False, True])
def test_figures_follow_from_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, floats: bool
) -> None:
    images = [blobs(90, HEIGHT, WIDTH), blobs(40, HEIGHT, WIDTH, seed=1)]
    train, test = (each / np.float32(255) for each in images) if floats else images
    give(monkeypatch, dataset(train, test))
    directory = trained(tmp_path, model=model)
    figures = read_history(directory.events).epochs[-1].test
    with np.load(exported(directory, "reconstructions", tmp_path / "all.npz")) as file:
        found = dict(file)
    np.testing.assert_array_equal(found["original"], test)
    assert found["original"].dtype == test.dtype and found["reconstruction"].shape == (40, HEIGHT, WIDTH, 3)
    p, p_hat = images[1] / 255.0, found["reconstruction"].astype(float)
    pixels = 3 * HEIGHT * WIDTH
    assert figures.mse == pytest.approx(((p_hat - p) ** 2).mean(), rel=1e-4)
    assert figures.accuracy == pytest.approx(((p_hat > 0.5) == (p > 0.5)).mean(), rel=1e-4)
    assert figures.recon is not None and figures.kl is not None
    m = figures.recon / pixels / 4
    bits = ((0.5 * pixels * (math.log(2 * math.pi * m) + 1) + figures.kl) / pixels + math.log(255)) / math.log(2)
    assert figures.elbo_bpd == pytest.approx(bits, rel=1e-6)

    originals = read_originals(directory.previews)
    assert (originals.width, originals.channels) == (WIDTH, 3)
    assert originals.images[0] == images[1][originals.indices[0]].tobytes()
    [(_, saved)] = read_previews(directory.previews, WIDTH, channels=3)
    made = np.rint(255 * found["reconstruction"][originals.indices[0]])
    assert np.abs(np.frombuffer(saved[0], np.uint8) - made.ravel()).max() <= 1


@needs_onnx
def test_every_file_is_in_colour(tmp_path: Path, colour: Dataset) -> None:
    import onnx

    directory = trained(tmp_path)
    with Image.open(exported(directory, "grid", tmp_path / "grid.png")) as sheet:
        first = np.asarray(sheet)[: 2 * HEIGHT : 2, : 2 * WIDTH : 2]
    np.testing.assert_array_equal(first, colour.test_images[0])
    with Image.open(exported(directory, "samples", tmp_path / "samples.png", "--images", "4")) as sheet:
        assert (sheet.mode, sheet.size) == ("RGB", (2 * (2 * WIDTH + 2), 2 * (2 * HEIGHT + 2)))
    with Image.open(exported(directory, "timelapse", tmp_path / "film.gif")) as film:
        tile = np.asarray(film.convert("RGB")).astype(int)[12 : 12 + 3 * HEIGHT : 3, 12 : 12 + 3 * WIDTH : 3]
    original = colour.test_images[read_originals(directory.previews).indices[0]].astype(int)
    assert np.abs(tile - original).mean() < 12  # as near as 256 colours for the whole frame are
    graph = onnx.load(exported(directory, "decoder", tmp_path / "decoder.onnx")).graph
    assert [axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim][1:] == [3, HEIGHT, WIDTH]


@pytest.mark.parametrize("classes", [0, 1, 47, 1000])
def test_any_number_of_classes_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], classes: int
) -> None:
    data = dataset(blobs(60, 8, 8, 1), blobs(60, 8, 8, 1, seed=1), classes)
    if data.test_labels is not None:
        data.test_labels[7] = classes - 1
    give(monkeypatch, data)
    directory = trained(tmp_path)
    source = ImageSource(directory, None)
    facts = source.describe()
    assert facts.image_count == 60 and len(facts.classes) == classes
    pair = source.ask(protocol.Reconstruct(indices=[7, 8]), protocol.Reconstructions)
    plane = source.ask(protocol.Map(), protocol.LatentMap)
    errors = source.ask(protocol.TestErrors(), protocol.Errors)
    expected = [] if data.test_labels is None else data.test_labels.tolist()
    for labels in (facts.labels, plane.labels, errors.labels):
        assert list(decode_labels(labels, 60)) == expected
    assert list(decode_labels(pair.labels, 2)) == expected[7:9]
    with np.load(exported(directory, "reconstructions", tmp_path / "all.npz")) as file:
        assert ("label" in file) == bool(classes)
    exported(directory, "grid", tmp_path / "grid.png")
    capsys.readouterr()
    where = ["--runs-dir", str(tmp_path)]
    assert main(["show", "own", *where, "--images", "1", "--worst"]) == 0
    code = main(["show", "own", *where, "--class", f"kind {classes - 1}"])
    told = capsys.readouterr()
    assert code == (0 if classes else 2)
    assert ("have no labels" in told.err) == (not classes)
    assert (f"kind {classes - 1} #7" in told.out) == bool(classes)


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, colour: Dataset, model: str) -> None:
    states = []
    for name, script in (("whole", Script()), ("broken", Script({7: [protocol.Stop()]}))):
        given = {**TINY, "name": name, "batch-size": 16, "model": model, "norm": "batch"}
        directory, _ = create_run(tmp_path, make_config(given))
        train_here(directory, script)
        if name == "broken":
            assert state(directory) == "stopped"
            train_here(directory)
        assert state(directory) == "finished"
        states.append(load_file(directory.last))
    assert same(*states)


def test_large_images_in_colour_train_and_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, dataset(blobs(6, 256, 256), blobs(3, 256, 256, seed=1)))
    directory = trained(tmp_path, **{"model": "conv", "batch-size": 3})
    figures = read_history(directory.events).epochs[-1].test
    assert figures.recon is not None and math.isfinite(figures.recon)
    source = ImageSource(directory, None)
    reply = source.ask(protocol.Sample(count=2), protocol.Samples)
    assert len(reply.images) == 2 * 3 * 256 * 256
    most = most_images(3 * 256 * 256)
    z = torch.zeros(most + 1, 4).numpy().tobytes()
    with pytest.raises(Exception, match=f"at most {most} latents"):
        source.ask(protocol.Decode(z=z), protocol.Images)


@pytest.mark.parametrize("columns", [200, 40])
def test_show_prints_colours_as_brightness_where_there_are_none(
    tmp_path: Path, colour: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    directory = trained(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    capsys.readouterr()
    assert main(["show", "own", "--runs-dir", str(directory.path.parent), "--images", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    side = min(WIDTH, (columns + 1) // 2 - 1)
    assert len(lines) == -(-round(HEIGHT * side / WIDTH) // 2) + 1 and max(map(len, lines)) <= columns
