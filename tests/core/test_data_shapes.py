"""Data of one's own: bytes or floats, of any height and width from 28 to 64, from their files to the figures."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.extras import needs_onnx
from tests.support.idx_data import as_bytes, discs, write_data, write_idx
from tests.support.processes import command, finish
from tests.support.training import train_here
from tui_vae.cli import main
from tui_vae.cli.show import ImageSource
from tui_vae.config import make_config
from tui_vae.core.data.datasets import load
from tui_vae.core.data.published import DatasetError
from tui_vae.core.pixels import as_images, normalize
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.ui.new_run import forecast

TRAIN, TEST = 90, 40
OPTIONS = {
    "device": "cpu", "threads": 1, "precision": "float32", "hidden": "24", "latent-dim": 4, "batch-size": 16,
    "epochs": 1,
}  # fmt: skip


def train_on(place: Path, shape: tuple[int, int], floats: bool, seed: int = 0, **options: Any) -> RunDirectory:
    """A run of one epoch, in this process, on data made for it."""
    train, test = discs(TRAIN, shape, seed), discs(TEST, shape, seed + 1)
    data = write_data(place / "data", *((train, test) if floats else (as_bytes(train), as_bytes(test))))
    given = {**OPTIONS, "name": "own", "data-dir": str(data), **options}
    directory, _ = create_run(place / "runs", make_config(given))
    assert train_here(directory) == 0
    return directory


def export(directory: RunDirectory, what: str, out: Path, *more: str) -> Path:
    where = ["--runs-dir", str(directory.path.parent)]
    assert main(["export", directory.name, *where, "--what", what, "--out", str(out), *more]) == 0
    return out


# -- From the files to the figures -------------------------------------------------------------------------------------


@example(shape=(28, 64), floats=True, model="mlp", objective="sigma", data_on="auto", seed=0)
@example(shape=(40, 33), floats=False, model="conv", objective="mse", data_on="host", seed=0)
@example(shape=(64, 64), floats=True, model="conv", objective="bce", data_on="host", seed=0)
@given(
    shape=st.tuples(st.integers(28, 64), st.integers(28, 64)), floats=st.booleans(),
    model=st.sampled_from(["mlp", "conv"]), objective=st.sampled_from(["sigma", "mse", "bce"]),
    data_on=st.sampled_from(["auto", "host"]), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=5)
def test_the_figures_of_a_run_follow_from_what_it_exports(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int], floats: bool, model: str, objective: str, data_on: str, seed: int,
) -> None:  # fmt: skip
    place, pixels = tmp_path_factory.mktemp("shapes"), shape[0] * shape[1]
    given = {"model": model, "objective": objective, "data-on": data_on}
    directory = train_on(place, shape, floats, seed, **given)
    figures = read_history(directory.events).epochs[-1].test
    with np.load(export(directory, "reconstructions", place / "all.npz")) as file:
        found = dict(file)
    images = discs(TEST, shape, seed + 1)
    np.testing.assert_array_equal(found["original"], images if floats else as_bytes(images))
    assert found["original"].dtype == (np.float32 if floats else np.uint8)
    p = found["original"].astype(np.float64) / (1 if floats else 255)
    p_hat, mu, logvar = (found[name].astype(np.float64) for name in ("reconstruction", "mu", "logvar"))
    assert p_hat.shape == (TEST, *shape)
    kl = (0.5 * (mu**2 + np.exp(logvar) - logvar - 1)).mean(axis=0).sum()
    assert figures.mse == pytest.approx(((p_hat - p) ** 2).mean(), rel=1e-4)
    assert figures.accuracy == pytest.approx(((p_hat > 0.5) == (p > 0.5)).mean(), rel=1e-4)
    assert figures.kl == pytest.approx(kl, rel=1e-4)
    assert figures.recon is not None and figures.elbo_bpd is not None
    m = figures.recon / pixels / 4
    bits = ((0.5 * pixels * (math.log(2 * math.pi * m) + 1) + kl) / pixels + math.log(255)) / math.log(2)
    assert figures.elbo_bpd == pytest.approx(bits, rel=1e-6)

    # What is looked at are bytes in any case.
    with Image.open(directory.previews / "originals.png") as sheet:
        chosen = list(map(int, sheet.info["indices"].split(",")))
        assert (sheet.height, sheet.info["width"]) == (shape[0], str(shape[1]))
        np.testing.assert_array_equal(np.asarray(sheet), np.concatenate(list(as_bytes(images[chosen])), axis=1))
    pairs = ImageSource(directory, None).ask(protocol.Reconstruct(indices=[7]), protocol.Reconstructions)
    assert (pairs.originals, pairs.width) == (as_bytes(images[7]).tobytes(), shape[1])
    assert pairs.mse[0] == pytest.approx(((p_hat[7] - p[7]) ** 2).mean(), rel=1e-4)


@example(shape=(33, 40), seed=0, preset="default")
@given(
    shape=st.sampled_from([(28, 28), (33, 40)]), seed=st.integers(0, 99), preset=st.sampled_from(["default", "seed"])
)
@settings(max_examples=4)
def test_the_same_images_as_bytes_and_as_floats_give_the_same_run_but_for_rounding(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], seed: int, preset: str
) -> None:
    """Matrices have fewer rows than a batch has images: Muon makes all directions of a momentum equally long, also
    those that a batch cannot fill, which hold nothing but rounding."""
    place = tmp_path_factory.mktemp("kinds")
    train, test = (as_bytes(discs(count, shape, seed)) for count in (TRAIN, TEST))
    epochs: list[ev.EpochEvent] = []
    for name, scaled in (("bytes", False), ("floats", True)):
        pair = [images / np.float32(255) if scaled else images for images in (train, test)]
        data = write_data(place / name, pair[0], pair[1])
        given = {**OPTIONS, "hidden": "12", "preset": preset, "name": name, "data-dir": str(data)}
        directory, _ = create_run(place / "runs", make_config(given))
        assert train_here(directory) == 0
        epochs += read_history(directory.events).epochs
    of_bytes, of_floats = epochs
    for name in ("loss", "recon", "kl", "mse", "accuracy", "elbo_bpd"):
        assert getattr(of_floats.test, name) == pytest.approx(getattr(of_bytes.test, name), rel=1e-3)
    if preset == "seed":
        assert of_bytes.legacy and of_floats.legacy and of_bytes.legacy.accuracy and of_floats.legacy.accuracy
        assert 0 < of_bytes.legacy.accuracy == pytest.approx(of_floats.legacy.accuracy, rel=0.02)


def test_floats_are_normalized_exactly_and_left_as_they_are() -> None:
    images = torch.rand(5, 28, 31)
    before = images.clone()
    assert torch.equal(normalize(images), 2 * before.flatten(1) - 1)
    assert torch.equal(images, before)


@pytest.mark.parametrize("floats", [False, True])
def test_networks_get_one_channel_after_the_other_and_images_come_back(floats: bool) -> None:
    images = torch.randint(0, 256, (4, 8, 11, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    given = images / 255 if floats else images
    x = normalize(given)
    torch.testing.assert_close(x[2, 8 * 11 + 3 * 11 + 5], images[2, 3, 5, 1] / 127.5 - 1)  # green of row 3, column 5
    torch.testing.assert_close(as_images(x, (3, 8, 11)), images / 127.5 - 1)
    grey = images[..., 0].contiguous()
    assert torch.equal(as_images(normalize(grey), (1, 8, 11)), normalize(grey).view(4, 8, 11))


# -- What else is made of such a run -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Floats of 64×45."""
    return train_on(tmp_path_factory.mktemp("tall"), (64, 45), floats=True)


@needs_onnx
def test_every_export_has_the_shape_of_the_images(tall: RunDirectory, tmp_path: Path) -> None:
    import onnx

    with Image.open(export(tall, "grid", tmp_path / "grid.png")) as sheet:
        first = np.asarray(sheet)[: 2 * 64 : 2, : 2 * 45 : 2]
    np.testing.assert_array_equal(first, as_bytes(discs(TEST, (64, 45), 1)[0]))
    with Image.open(export(tall, "samples", tmp_path / "samples.png", "--images", "4")) as sheet:
        assert sheet.size == (2 * (2 * 45 + 2), 2 * (2 * 64 + 2))
    with Image.open(export(tall, "timelapse", tmp_path / "film.gif")) as film:
        tile = np.asarray(film.convert("L"))[12 : 12 + 128 : 2, 12 : 12 + 90 : 2]
    np.testing.assert_array_equal(tile, np.minimum(as_bytes(discs(TEST, (64, 45), 1)[0]), 254))
    graph = onnx.load(export(tall, "decoder", tmp_path / "decoder.onnx")).graph
    assert [axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim][1:] == [1, 64, 45]


@pytest.mark.parametrize(("columns", "pairs", "samples"), [(200, 33, 33), (80, 2 * 29, 65), (60, 2 * 22, 65)])
def test_show_reduces_what_is_wider_than_the_terminal(
    tall: RunDirectory, columns: int, pairs: int, samples: int,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns))
    for more, height in ([], pairs), (["--samples"], samples):
        assert main(["show", "own", "--runs-dir", str(tall.path.parent), "--images", "2", *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= columns and len(lines) == height


def test_eval_knows_such_images(tall: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs-dir", str(tall.path.parent)]
    assert main(["eval", "own", *where, "--iwae", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["test"]["elbo_bpd"] == read_history(tall.events).epochs[-1].test.elbo_bpd
    # One draw gives the ELBO in expectation, two give no less.
    assert told["iwae"]["bits_per_pixel"] == pytest.approx(told["test"]["elbo_bpd"], abs=0.05)


def test_the_size_of_a_network_for_data_of_ones_own_is_told_by_a_run_on_them(tall: RunDirectory) -> None:
    config = tall.read_config()
    assert forecast.parameters_of(config) is None
    known = forecast.read_throughputs(tall.path.parent)
    run = read_history(tall.events).run
    assert run is not None and forecast.parameters_of(config, known) == run.parameters
    assert forecast.parameters_of(make_config({**config.to_dict(), "data-dir": "auto"}), known) != run.parameters


# -- What is refused ---------------------------------------------------------------------------------------------------


def other_shape(data: Path) -> None:
    write_idx(data / "t10k-images-idx3-ubyte", discs(TEST, (30, 32)))


def other_kind(data: Path) -> None:
    write_idx(data / "t10k-images-idx3-ubyte", as_bytes(discs(TEST, (30, 31))))


def too_low(data: Path) -> None:
    write_idx(data / "train-images-idx3-ubyte", discs(TRAIN, (7, 31)))
    write_idx(data / "t10k-images-idx3-ubyte", discs(TEST, (7, 31)))


def too_wide(data: Path) -> None:
    write_idx(data / "train-images-idx3-ubyte", as_bytes(discs(TRAIN, (30, 257))))
    write_idx(data / "t10k-images-idx3-ubyte", as_bytes(discs(TEST, (30, 257))))


def with_alpha(data: Path) -> None:
    write_idx(data / "train-images-idx3-ubyte", np.zeros((TRAIN, 32, 32, 4), np.uint8))
    write_idx(data / "t10k-images-idx3-ubyte", np.zeros((TEST, 32, 32, 4), np.uint8))


def float_labels(data: Path) -> None:
    write_idx(data / "train-labels-idx1-ubyte", np.full(TRAIN, 0.5, np.float32))


def doubles(data: Path) -> None:
    path = data / "train-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x0e" + path.read_bytes()[3:])


def cut(data: Path) -> None:
    path = data / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-4])


def one_pixel(value: float) -> Callable[[Path], None]:
    def spoil(data: Path) -> None:
        images = discs(TRAIN, (30, 31))
        images[-1, -1, -1] = value
        write_idx(data / "train-images-idx3-ubyte", images)

    return spoil


SPOILT = [
    (other_shape, "t10k-images-idx3-ubyte does not fit the training images: they are 30×31 floats, these 30×32 floats"),
    (other_kind, "t10k-images-idx3-ubyte does not fit the training images: they are 30×31 floats, these 30×31 bytes"),
    (too_low, "expected N×H×W, N×H×W×3 or N×3×H×W with H and W from 8 to 256, found 90×7×31"),
    (too_wide, "expected N×H×W, N×H×W×3 or N×3×H×W with H and W from 8 to 256, found 90×30×257"),
    (with_alpha, "expected N×H×W, N×H×W×3 or N×3×H×W with H and W from 8 to 256, found 90×32×32×4"),
    (float_labels, "train-labels-idx1-ubyte holds fractions or no numbers: expected labels as whole numbers"),
    (doubles, "is damaged: its header asks for 669,616 bytes, found 334,816"),
    (cut, "is damaged: its header asks for 334,816 bytes, found 334,812"),
    (one_pixel(math.nan), "has pixels that are no numbers: expected floats from 0, black, to 1, white"),
    (one_pixel(255), "has pixels from 0 to 255: expected floats from 0, black, to 1, white"),
    (one_pixel(-1), "has pixels from -1 to 1: expected floats from 0, black, to 1, white"),
    (one_pixel(math.inf), "has pixels from 0 to inf: expected floats from 0, black, to 1, white"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_data_that_do_not_fit_are_refused_in_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    data = write_data(tmp_path / "data", discs(TRAIN, (30, 31)), discs(TEST, (30, 31)))
    load(data_dir=data)
    spoil(data)
    with pytest.raises(DatasetError) as error:
        load(data_dir=data, train_limit=10)  # a limit hides nothing
    assert message in error.value.message
    assert str(data) in error.value.message and "\n" not in error.value.message
    assert error.value.hint


def test_the_command_says_it_in_one_sentence(tmp_path: Path, own_runs: Path) -> None:
    data = write_data(tmp_path / "data", discs(TRAIN, (30, 31)), discs(TEST, (30, 31)))
    one_pixel(math.nan)(data)
    code, out, err = finish(command("train", "--data-dir", data, "--device", "cpu", "--threads", 1))
    assert code == 1
    assert "pixels that are no numbers" in err and "Traceback" not in out + err
