"""`export`: each kind of file, read by another program's reader and held against the run it was made from."""

import csv
import io
import json
import os
import shutil
import struct
import zlib
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from PIL.GifImagePlugin import GifImageFile

from tests.support.extras import needs_onnx
from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, until
from tests.support.processes import Trained
from tui_vae.cli import main
from tui_vae.cli.show import ImageSource
from tui_vae.config import make_config
from tui_vae.core.data import datasets
from tui_vae.core.evaluation.onnx_export import as_onnx
from tui_vae.core.evaluation.parts import Decoder
from tui_vae.core.models.build import build_model
from tui_vae.runs import protocol
from tui_vae.runs.exports import EXPORTS
from tui_vae.trainer.trained_run import load_trained_run
from tui_vae.ui.app import TuiVae
from tui_vae.ui.dialogs import Choose
from tui_vae.ui.film import read_film


def export(trained: Trained, what: str, out: Path, *more: object) -> None:
    given = ["export", "done", "--runs-dir", trained.runs_dir, "--what", what, "--out", out, *more]
    assert main([str(each) for each in given]) == 0


def test_exported_metrics_are_a_row_an_epoch(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "metrics.csv"
    export(trained, "metrics", out)
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    printed = [json.loads(line) for line in trained.stdout.splitlines()]
    assert len(rows) == 3
    for row, event in zip(rows, printed, strict=True):
        for name in ("epoch", "step", "seconds", "images_per_s"):
            assert float(row[name]) == event[name]
        assert float(row["beta"]) == event["beta"] and 0 < float(row["lr"]) <= 2e-3
        for side in ("train", "test"):
            for name in ("loss", "recon", "kl", "mse", "accuracy", "elbo_bpd", "active_units"):
                assert float(row[f"{side}_{name}"]) == event[side][name]


def test_no_file_is_replaced_unasked_nor_named_for_what_it_is_not(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("hours of work")
    given = ["export", "done", "--runs-dir", str(trained.runs_dir), "--what", "metrics"]
    assert main([*given, "--out", str(out)]) == 1 and out.read_text() == "hours of work"
    assert f"{out} is there already" in capsys.readouterr().err
    assert main([*given, "--out", str(out), "--force"]) == 0 and out.read_text().startswith("epoch,")
    assert main([*given, "--out", str(tmp_path / "mine.jpg")]) == 2 and not (tmp_path / "mine.jpg").exists()
    assert "whose format is CSV" in capsys.readouterr().err
    assert main([*given, "--out", str(tmp_path / "MINE.CSV")]) == 0
    assert main([*given, "--out", str(tmp_path / "mine")]) == 0


def test_only_a_files_contents_are_ever_replaced(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, link, real, nowhere = (tmp_path / name for name in ("pipe.csv", "link.csv", "real.csv", "nowhere.csv"))
    os.mkfifo(pipe)  # root would else replace even a device
    real.write_text("old")
    link.symlink_to(real.name)
    nowhere.symlink_to("gone/x.csv")
    given = ["export", "done", "--runs-dir", str(trained.runs_dir), "--what", "metrics", "--force", "--out"]
    new = f"{tmp_path}/new/"  # a file called new would be no surprise to Path
    for out, says in (
        (pipe, "is no ordinary file"), (nowhere, "there is no folder"), (tmp_path, "is a folder; name"),
        (new, "is a folder; name a file in it"),
    ):  # fmt: skip
        assert main([*given, str(out)]) == 1 and says in capsys.readouterr().err
    assert pipe.is_fifo() and nowhere.is_symlink()
    assert main([*given, str(link)]) == 0 and link.is_symlink() and real.read_text().startswith("epoch,")
    assert main([*given, ""]) == 2 and "name a file" in capsys.readouterr().err
    two = ["compare", "done", "done-2", "--runs-dir", str(trained.runs_dir), "--out", str(tmp_path)]
    shutil.copytree(Path(trained.runs_dir) / "done", Path(trained.runs_dir) / "done-2")
    assert main(two) == 1
    told = capsys.readouterr()
    assert told.out == "" and "is a folder" in told.err  # before anything else is said
    shutil.rmtree(Path(trained.runs_dir) / "done-2")


def test_exported_reconstructions_are_as_the_design_names_them(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "all.npz"
    export(trained, "reconstructions", out)
    with np.load(out, allow_pickle=False) as file:
        arrays = dict(file)
    assert [(name, array.shape, array.dtype.str) for name, array in arrays.items()] == [
        ("index", (500,), "<i8"), ("label", (500,), "<i8"), ("original", (500, 28, 28), "|u1"),
        ("reconstruction", (500, 28, 28), "<f4"), ("mu", (500, 8), "<f4"), ("logvar", (500, 8), "<f4"),
    ]  # fmt: skip
    dataset = datasets.load(test_limit=500)
    np.testing.assert_array_equal(arrays["index"], np.arange(500))
    np.testing.assert_array_equal(arrays["label"], dataset.test_labels)
    np.testing.assert_array_equal(arrays["original"], dataset.test_images)
    made = arrays["reconstruction"]
    assert 0 <= made.min() < 0.2 < 0.6 < made.max() <= 1
    own = np.abs(made - arrays["original"] / 255).mean()
    others = np.abs(made - arrays["original"][::-1] / 255).mean()
    assert own < 0.8 * others


def test_an_exported_grid_shows_originals_and_reconstructions(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    export(trained, "grid", out)
    with Image.open(out) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("L"))[::2, ::2]
    dataset = datasets.load(test_limit=500)
    for label, row in enumerate(range(0, pixels.shape[0], 30)):
        first = dataset.test_images[dataset.test_labels == label][0]
        np.testing.assert_array_equal(pixels[row : row + 28, :28], first)
        assert not np.array_equal(pixels[row : row + 28, 28:56], first)
    assert label == 9


def tiles(file: Path) -> np.ndarray:
    """The 28×28 images of a sheet of samples, row by row: it is enlarged twice, with gaps of two pixels."""
    with Image.open(file) as image:
        assert image.format == "PNG"
        sheet = np.asarray(image.convert("L"))[::2, ::2]
    height, width = (sheet.shape[0] + 2) // 30, (sheet.shape[1] + 2) // 30
    assert sheet.shape == (30 * height - 2, 30 * width - 2)
    return np.stack([sheet[30 * y : 30 * y + 28, 30 * x : 30 * x + 28] for y in range(height) for x in range(width)])


def test_samples_are_the_decoded_draws_of_their_seed(trained: Trained, tmp_path: Path) -> None:
    export(trained, "samples", tmp_path / "prior.png", "--prior", "--images", 7, "--seed", 5)
    found = tiles(tmp_path / "prior.png")
    assert len(found) == 9 and not found[7:].any()
    run, _ = load_trained_run(trained.directory)
    z = torch.randn(7, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        decoded = run.model.eval().decode(z).double().numpy()
    meant = np.clip((decoded + 1) / 2, 0, 1).reshape(-1, 28, 28) * 255
    assert np.abs(found[:7] - meant).max() <= 0.51  # rounded to whole levels
    with Image.open(tmp_path / "prior.png") as image:
        assert "prior N(0, I), seed 5" in image.info["Description"]

    files = [tmp_path / f"{name}.png" for name in ("one", "same", "other")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        export(trained, "samples", file, "--images", 9, "--seed", seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    shown = ImageSource(trained.directory, None).ask(protocol.Sample(count=9, seed=1), protocol.Samples)
    np.testing.assert_array_equal(tiles(files[0]).ravel(), np.frombuffer(shown.images, np.uint8))


def test_samples_of_a_class_are_those_that_the_model_answers(trained: Trained, tmp_path: Path) -> None:
    export(trained, "samples", tmp_path / "bags.png", "--class", "bag", "--images", 9, "--seed", 1)
    request = protocol.Sample(count=9, seed=1, label=8)
    shown = ImageSource(trained.directory, None).ask(request, protocol.Samples)
    np.testing.assert_array_equal(tiles(tmp_path / "bags.png").ravel(), np.frombuffer(shown.images, np.uint8))
    with Image.open(tmp_path / "bags.png") as image:
        assert "fitted to the encoder's z of class bag, seed 1" in image.info["Description"]


def test_classes_that_cannot_be_sampled_are_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["export", "done", "--runs-dir", str(trained.runs_dir), "--out", str(tmp_path / "x.png"), "--class"]
    for words, told in (
        (["hat", "--what", "samples"], "there is no class 'hat'; classes are T-shirt/top, "),
        (["Bag", "--what", "samples", "--prior"], "the prior has no classes; leave out --prior or --class"),
        (["Bag", "--what", "grid"], "--class goes with --what samples only"),
    ):
        assert main([*given, *words]) == 2
        assert told in capsys.readouterr().err and not (tmp_path / "x.png").exists()


def test_a_timelapse_shows_each_saved_epoch_below_the_originals(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "learning.gif"
    export(trained, "timelapse", out)

    def row(sheet: Image.Image) -> np.ndarray:
        levels: np.ndarray = np.minimum(np.asarray(sheet.convert("L")), 254)
        return levels

    with Image.open(trained.directory.previews / "originals.png") as sheet:
        originals = row(sheet)
    epochs = sorted(trained.directory.previews.glob("epoch-*.png"))
    captions = set()
    with Image.open(out) as film:
        assert isinstance(film, GifImageFile) and film.n_frames == len(epochs) == 3 and film.info["loop"] == 0
        for number, file in enumerate(epochs):
            film.seek(number)
            picture = np.asarray(film.convert("RGB"))
            assert film.info["duration"] >= (1000 if number == 2 else 80)
            with Image.open(file) as sheet:
                for expected, top in ((originals, 12), (row(sheet), 12 + 84 + 6)):
                    count = expected.shape[1] // 28
                    for at in range(count):
                        left = 12 + at * 90
                        tile = picture[top + 1 : top + 84 : 3, left + 1 : left + 84 : 3]
                        np.testing.assert_array_equal(tile[..., 0], expected[:, 28 * at : 28 * at + 28])
            captions.add(picture[12 + 2 * 84 + 6 :, :80].tobytes())
    assert len(captions) == 3  # each says its own epoch


def png(header: bytes) -> bytes:
    """A file with this header and no pixels, each of its parts with the right checksum."""
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def test_a_timelapse_passes_over_damaged_previews(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs", "fashion-1", epochs=6)
    many_digits = PngImagePlugin.PngInfo()
    many_digits.add_text("width", "9" * 5000)
    Image.new("L", (28, 28)).save(run.previews / "epoch-000001.png", pnginfo=many_digits)
    as_said = (run.previews / "epoch-000001.png").read_bytes()
    damaged = {
        2: png(struct.pack(">II5B", 60_000, 60_000, 8, 0, 0, 0, 0)),  # what Pillow takes for an attack
        3: png(struct.pack(">II", 28, 28)),
        4: as_said[:60],
        5: b"",
    }
    for epoch, data in damaged.items():
        (run.previews / f"epoch-{epoch:06d}.png").write_bytes(data)
    assert [epoch for epoch, _ in read_film(run.previews, ()).frames] == [1, 6]
    out = tmp_path / "film.gif"
    given = ("export", "fashion-1", "--runs-dir", run.path.parent, "--what", "timelapse", "--out", out)
    assert main(list(map(str, given))) == 0, capsys.readouterr().err
    with Image.open(out) as film:
        assert isinstance(film, GifImageFile) and film.n_frames == 2


def run_onnx(data: bytes, z: np.ndarray) -> np.ndarray:
    import onnx
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    (image,) = ReferenceEvaluator(data).run(["image"], {"z": z})
    assert isinstance(image, np.ndarray)
    return image


@needs_onnx
def test_the_exported_decoder_computes_what_the_network_computes(trained: Trained, tmp_path: Path) -> None:
    import onnx

    out = tmp_path / "decoder.onnx"
    export(trained, "decoder", out)
    data = out.read_bytes()
    graph = onnx.load_from_string(data).graph
    described = [(each.name, each.type.tensor_type.elem_type,
                  [size.dim_param or size.dim_value for size in each.type.tensor_type.shape.dim])
                 for each in (*graph.input, *graph.output)]  # fmt: skip
    batch, number = described[0][2][0], onnx.TensorProto.FLOAT
    assert isinstance(batch, str)
    assert described == [("z", number, [batch, 8]), ("image", number, [batch, 1, 28, 28])]
    facts = {each.key: each.value for each in onnx.load_from_string(data).metadata_props}
    assert facts.items() >= {"run": "done", "epoch": "3", "step": "63"}.items() and b".py" not in data
    with np.load(_reconstructions(trained, tmp_path)) as arrays:
        for count in (1, 5, 500):  # the decoder at z = μ is what `reconstructions` holds
            made = run_onnx(data, arrays["mu"][:count])
            assert made.dtype == np.float32 and made.shape == (count, 1, 28, 28)
            assert np.abs(made[:, 0] - arrays["reconstruction"][:count]).max() < 1e-5


def _reconstructions(trained: Trained, tmp_path: Path) -> Path:
    out = tmp_path / "all.npz"
    export(trained, "reconstructions", out)
    return out


@needs_onnx
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu", "norm": "none", "output": "sigmoid", "hidden": "24"},
        {"activation": "gelu", "norm": "layer", "output": "linear", "hidden": "40,24"},
    ],
)
def test_every_kind_of_decoder_can_be_exported(options: dict[str, str]) -> None:
    model = build_model(make_config({"latent-dim": 3, "device": "cpu", **options}), (28, 28))
    z = 30 * np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)  # far out: a linear output is clipped
    made = run_onnx(as_onnx(Decoder(model, (1, 28, 28)), {}), z)
    with torch.no_grad():
        meant = np.clip((model.eval().decode(torch.from_numpy(z)).double().numpy() + 1) / 2, 0, 1)
    assert np.abs(made.reshape(6, 784) - meant).max() < 1e-5 and made.min() >= 0 and made.max() <= 1


def test_what_cannot_be_exported_is_one_sentence(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "runs", "young", epochs=0)

    def complaint(runs_dir: object, name: str, what: str, *more: str) -> tuple[int, str]:
        capsys.readouterr()
        given = ["export", name, "--runs-dir", str(runs_dir), "--what", what, "--out", str(tmp_path / "out"), *more]
        code = main(given)
        assert not (tmp_path / "out").exists()
        return code, capsys.readouterr().err

    code, said = complaint(trained.runs_dir, "done", "grid", "--prior")
    assert code == 2 and "--prior goes with --what samples only" in said
    code, said = complaint(trained.runs_dir, "done", "decoder", "--images", "5")
    assert code == 2 and "--images" in said
    code, said = complaint(tmp_path / "runs", "young", "timelapse")
    assert code == 1 and "has no previews yet" in said
    monkeypatch.setattr("tui_vae.cli.export_parts.find_spec", lambda name: None if name == "onnx" else util)
    code, said = complaint(trained.runs_dir, "done", "decoder")
    assert code == 1 and said.count("\n") == 1 and "without onnx;" in said and "pip install onnx" in said


@in_event_loop
async def test_the_app_offers_every_export_and_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs", "fashion-1", epochs=3)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session is not None and app.session.state == "finished")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        assert isinstance(app.screen, Choose)
        assert [name for name, _ in app.screen._choices] == [each.what for each in EXPORTS]
        at = [each.what for each in EXPORTS].index("timelapse")
        await pilot.press(*["down"] * at, "enter")
        await until(pilot, lambda: any("Written:" in each.message for each in app._notifications), seconds=30)
    with Image.open(tmp_path / "fashion-1-timelapse.gif") as film:
        assert isinstance(film, GifImageFile) and film.n_frames == 3
