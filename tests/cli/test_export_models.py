"""Exports for other programs: what onnxruntime, safetensors, pyarrow and a YAML reader read from them."""

import csv
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.support.extras import needs_onnx, needs_parquet
from tests.support.fake_run import make_run
from tests.support.processes import Trained, command, finish
from tui_vae import load_run
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.core.evaluation.onnx_export import as_onnx
from tui_vae.core.evaluation.parts import Decoder, Encoder
from tui_vae.core.evaluation.program_export import as_program
from tui_vae.core.models.build import build_model
from tui_vae.core.models.own import WrappedModel
from tui_vae.errors import UserError
from tui_vae.runs.history import read_history
from tui_vae.trackers.figures import hyperparameters
from tui_vae.trainer.checkpoints import plain_file


def export(trained: Trained, what: str, out: Path) -> Path:
    assert main(["export", "done", "--runs-dir", trained.runs_dir, "--what", what, "--out", str(out)]) == 0
    return out


def run_onnx(file: Path | bytes, **inputs: Any) -> list[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file if isinstance(file, bytes) else str(file))
    outputs: list[Any] = session.run(None, inputs)
    return outputs


@needs_onnx
def test_the_exported_encoder_is_the_networks(trained: Trained, tmp_path: Path) -> None:
    run = load_run("done", trained.runs_dir)
    encoder = export(trained, "encoder", tmp_path / "encoder.onnx")
    for count in (1, 3, 7, 50):
        images = run.test_images()[:count]
        mu, logvar = run_onnx(encoder, image=images[:, None].astype(np.float32) / 255)
        np.testing.assert_allclose(mu, run.encode(images).mu, atol=1e-5)
        np.testing.assert_allclose(logvar, run.encode(images).logvar, atol=1e-5)


def run_program(file: bytes, z: Any) -> list[Any]:
    return [each.detach().numpy() for each in torch.export.load(io.BytesIO(file)).module()(torch.from_numpy(z))]


@pytest.mark.parametrize("ending", [pytest.param("onnx", marks=needs_onnx), "pt2"])
def test_a_bernoulli_decoder_also_gives_its_logits(ending: str) -> None:
    """Its p̂ is exactly 0 far out, where the logits still say how unlikely a bright pixel is."""
    model = build_model(make_config({"objective": "bce", "latent-dim": 2, "hidden": "16", "norm": "none"}), (28, 28))
    z = np.array([[0.0, 0.0], [3e4, -3e4]], np.float32)
    part = Decoder(model, (1, 28, 28))
    image, logits = run_onnx(as_onnx(part, {}), z=z) if ending == "onnx" else run_program(as_program(part, {}), z)
    with torch.no_grad():
        meant = model.eval().decode_logits(torch.from_numpy(z)).double().numpy().reshape(2, 1, 28, 28)
    np.testing.assert_allclose(logits, meant, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(image[0], 1 / (1 + np.exp(-meant[0])), atol=1e-5)
    assert meant[1].min() < -100 and image[1].min() < 1e-7


OWN = """\
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(784, 6), nn.Linear(3, 784)

    def encode(self, x):
        mu, logvar = self.inner(x.flatten(1)).chunk(2, 1)
        return mu, logvar

class Noisy(Base):
    def decode(self, z):
        return self.outer(z + 0.1 * torch.randn_like(z))

class Counts(Base):
    def decode(self, z):
        return torch.stack([self.outer(each) for each in z])

class Drops(Base):
    def decode(self, z):
        return nn.functional.dropout(self.outer(z), training=self.training)
"""


def test_a_package_of_torch_export_is_the_networks_part(trained: Trained, tmp_path: Path) -> None:
    run = load_run("done", trained.runs_dir)
    files = {what: export(trained, what, tmp_path / f"{what}.pt2") for what in ("encoder", "decoder")}
    encode, decode = (torch.export.load(file).module() for file in files.values())
    for count in (1, 3, 7, 50):
        images = run.test_images()[:count]
        mu, logvar = encode(torch.from_numpy(images[:, None].astype(np.float32) / 255))
        np.testing.assert_allclose(mu.detach(), run.encode(images).mu, atol=1e-5)
        np.testing.assert_allclose(logvar.detach(), run.encode(images).logvar, atol=1e-5)
        (image,) = decode(mu)
        np.testing.assert_allclose(image.detach()[:, 0], run.reconstruct(images), atol=1e-5)
    weights = 4 * sum(each.numel() for each in run.model().parameters())
    for file in files.values():
        assert file.stat().st_size < 0.7 * weights + 50_000  # its own part's, not the other one's too
        with zipfile.ZipFile(file) as package:
            texts = [package.read(each) for each in package.namelist() if each.endswith(".json")]
        assert texts and not any(str(Path(__file__).parents[2]).encode() in each for each in texts)
        facts: dict[str, str] = {"run.json": ""}
        torch.export.load(file, extra_files=facts)
        assert json.loads(facts["run.json"])["run"] == "done"


@pytest.mark.parametrize("write", [pytest.param(as_onnx, marks=needs_onnx), as_program])
def test_a_decoder_that_a_file_cannot_hold_is_refused_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., bytes]
) -> None:
    (tmp_path / "my_vae.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_vae", raising=False)
    import my_vae  # type: ignore[import-not-found]

    def decoder(name: str) -> Decoder:
        return Decoder(WrappedModel(getattr(my_vae, name)(), (1, 28, 28), 3), (1, 28, 28))

    with pytest.raises(UserError) as told:
        write(decoder("Noisy"), {})
    assert "the decoder draws random numbers (my_vae.py, line 15); from one z a file makes one image" in str(told.value)
    with pytest.raises(UserError) as told:
        write(decoder("Counts"), {})
    assert "the decoder cannot be written for every number of images" in str(told.value)
    assert "(my_vae.py, line 19)" in str(told.value) and "\n" not in str(told.value)
    assert write(decoder("Drops"), {})  # in evaluation it draws nothing
    assert write(Encoder(WrappedModel(my_vae.Counts(), (1, 28, 28), 3), (1, 28, 28)), {})


def test_the_weights_are_a_plain_file_of_the_state_dict(trained: Trained, tmp_path: Path) -> None:
    out = export(trained, "model", tmp_path / "model.safetensors")
    meant = load_run("done", trained.runs_dir).model().state_dict()
    found = load_file(out)
    assert found.keys() == meant.keys() and all(torch.equal(found[name], meant[name]) for name in meant)
    with safe_open(out, "pt") as file:
        facts = file.metadata()
    assert json.loads(facts["shape"]) == [1, 28, 28] and json.loads(facts["config"])["latent-dim"] == 8
    model = build_model(make_config({**json.loads(facts["config"])}), tuple(json.loads(facts["shape"])))
    model.load_state_dict(found)  # the facts are enough to build the network again
    assert len({plain_file(found, facts) for _ in range(6)}) == 1, "equal to the last byte, however often"
    assert out.read_bytes() == plain_file(found, facts)


def test_the_card_says_how_to_load_and_to_train_it_again(trained: Trained, tmp_path: Path) -> None:
    card = export(trained, "card", tmp_path / "README.md").read_text()
    front = card.split("---\n")[1].splitlines()
    assert "library_name: pytorch" in front and "datasets: [zalando-datasets/fashion_mnist]" in front
    assert "| images | 2,000 for training, 500 test; 1 × 28 × 28 |" in card and "steered" not in card
    last = json.loads(trained.stdout.splitlines()[-1])
    assert f"| negative ELBO, bits a pixel | {last['train']['elbo_bpd']:.4g} | {last['test']['elbo_bpd']:.4g} |" in card
    line = next(line for line in card.splitlines() if line.startswith("tui-vae train"))
    assert {"--latent-dim", "--hidden", "--train-limit"} <= set(line.split())


def test_what_others_get_to_see_has_no_end_command(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "mine", epochs=1, on_end="curl https://hooks.example/SECRET")
    for what, ending in (("card", "md"), ("report", "html")):
        out = tmp_path / f"{what}.{ending}"
        arguments = ["export", "mine", "--runs-dir", str(tmp_path / "runs"), "--what", what, "--out", str(out)]
        assert main(arguments) == 0 and "SECRET" not in out.read_text()
    event = read_history(run.events).run
    assert event is not None and "SECRET" in str(event.config) and "SECRET" not in str(hyperparameters(event))


def test_metrics_are_the_same_in_every_format(trained: Trained, tmp_path: Path) -> None:
    table = load_run("done", trained.runs_dir).metrics("numpy")
    lines = export(trained, "metrics", tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["test_mse"] for line in lines] == table["test_mse"].tolist()
    assert list(json.loads(lines[0])) == list(table.dtype.names)


@needs_parquet
def test_parquet_has_the_same_metrics(trained: Trained, tmp_path: Path) -> None:
    from pyarrow import parquet

    table = load_run("done", trained.runs_dir).metrics("numpy")
    found = parquet.read_table(export(trained, "metrics", tmp_path / "metrics.parquet"))
    assert found.column_names == list(table.dtype.names)
    assert all(found[name].to_pylist() == table[name].tolist() for name in found.column_names)
    assert str(found.schema.field("epoch").type) == "int64" and str(found.schema.field("lr").type) == "double"


def test_a_name_of_another_format_is_refused(trained: Trained, tmp_path: Path) -> None:
    given = ("export", "done", "--runs-dir", trained.runs_dir, "--what", "metrics", "--out", tmp_path / "m.xlsx")
    code, _, err = finish(command(*given))
    assert code == 2 and "whose format is CSV or PARQUET or JSONL; --out" in err and "m.csv" in err
    assert not list(tmp_path.iterdir())


def test_a_comparison_writes_all_epochs_of_all_runs_in_one_table(trained: Trained, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        shutil.copytree(Path(trained.runs_dir) / "done", runs / name)
    given = ["compare", "one", "two", "--runs-dir", str(runs), "--out", str(tmp_path / "all.csv")]
    assert main(given) == 0
    with open(tmp_path / "all.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["epoch"]) for row in rows] == [
        (name, str(at)) for name in ("one", "two") for at in (1, 2, 3)
    ]
    assert main(given) == 1 and main([*given, "--force"]) == 0
    assert main([*given[:-1], str(tmp_path / "all.xlsx")]) == 2
