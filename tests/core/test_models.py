"""Networks: the fully connected one, the convolutional one, and a user's own in every command and after a resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.pictures import SHAPE, pictures
from tests.support.processes import command, events, finish, wait_until
from tests.support.training import Script, train_here
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.config.own_code import allow
from tui_vae.core.models.build import build_model
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.client import request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import start_serving
from tui_vae.runs.protocol import Decode, Done, Images, LatentMap, Map, Reconstruct, Reconstructions, Stop
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.trainer.learner import Learner

torch.set_num_threads(1)
SMALL = ("--device", "cpu", "--threads", 1, "--precision", "float32", "--train-limit", 600, "--test-limit", 200,
         "--batch-size", 100, "--latent-dim", 5)  # fmt: skip

OWN = dedent(
    """
    import torch
    from torch import nn


    class Ours(nn.Module):
        def __init__(self, shape, config):
            super().__init__()
            self.shape = shape
            height, width = shape
            self.inwards = nn.Sequential(
                nn.Flatten(), nn.Linear(height * width, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Dropout(0.1)
            )
            self.mean = nn.Linear(40, config.latent_dim)
            self.spread = nn.Linear(40, config.latent_dim)
            self.outwards = nn.Sequential(
                nn.Linear(config.latent_dim, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, height * width)
            )

        def encode(self, x):
            features = self.inwards(x)
            return self.mean(features), self.spread(features)

        def decode(self, z):
            return torch.tanh(self.outwards(z)).view(-1, 1, *self.shape)
    """
)


@contextmanager
def fresh_modules() -> Iterator[None]:
    """Each test's modules are its own, although they have the same names."""

    def forget() -> None:
        for name in ("ours", "broken", "needy", "silly"):
            sys.modules.pop(name, None)

    path = list(sys.path)
    forget()
    yield
    sys.path[:] = path
    forget()


# -- The user's own ----------------------------------------------------------------------------------------------------


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Path]:
    """A folder with the user's module, which is not the tests' own working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "ours.py").write_text(OWN)
    with fresh_modules():
        yield folder


def test_a_model_of_ones_own_trains_and_is_looked_at_from_anywhere(
    workplace: Path, own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = command("train", "--model", "ours:Ours", "--name", "own", "--epochs", 2, *SMALL, cwd=workplace)
    code, out, err = finish(train)
    assert code == 0, out + err
    directory = RunDirectory(own_runs / "own")
    assert directory.read_config().model_dir == str(workplace)
    last = events(directory, ev.EpochEvent)[-1]
    npz = own_runs / "test.npz"
    assert main(["eval", "own", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["loss"] == last.test.loss
    assert main(["export", "own", "--what", "reconstructions", "--out", str(npz)]) == 0
    with np.load(npz) as file:
        p, p_hat = file["original"] / 255.0, file["reconstruction"].astype(float)
        assert ((p - p_hat) ** 2).mean() == pytest.approx(last.test.mse, rel=1e-4)
        assert file["mu"].shape == (200, 5)

    start_serving(directory)
    wait_until(directory.holder)
    pairs = request(directory, Reconstruct(indices=[3]), Reconstructions, timeout=60)
    assert pairs.reconstructions == (p_hat[3] * 255).round().astype(np.uint8).tobytes()
    assert request(directory, Map(), LatentMap, timeout=60).latent_dim == 5
    assert len(request(directory, Decode(z=np.zeros(5, "<f4").tobytes()), Images, timeout=60).images) == 784
    request(directory, Stop(), Done, timeout=60)
    wait_until(lambda: directory.holder() is None)


def test_a_resumed_model_of_ones_own_goes_on_bit_for_bit(workplace: Path, own_runs: Path) -> None:
    """BatchNorm's statistics and dropout's generator are in the checkpoint."""
    options = dict(zip((str(name).removeprefix("--") for name in SMALL[::2]), SMALL[1::2], strict=True))
    results = []
    for name, script in (("whole", {}), ("broken", {8: [Stop()]})):
        config = make_config({**options, "name": name, "epochs": 2, "model": "ours:Ours", "model-dir": str(workplace)})
        directory, _ = create_run(own_runs, config)
        train_here(directory, Script(script))
        if script:
            torch.manual_seed(99)  # another process would not know where the generator stood
            train_here(directory, Script({}))
        results.append(events(directory, ev.EpochEvent)[-1])
    assert results[0].step == results[1].step == 12
    assert results[0].test == results[1].test


def test_a_model_of_ones_own_gets_channels_first_and_is_told_of_colour(workplace: Path) -> None:
    given = {"model": "ours:Colour", "model-dir": str(workplace), "latent-dim": 5, "precision": "float32"}
    (workplace / "ours.py").write_text(OWN + COLOUR)
    config = make_config(given)
    allow(config)
    images = pictures(4, (3, 9, 12))
    model = build_model(config, (3, 9, 12))
    learner = Learner(config, model, torch.device("cpu"))
    learner.step(images, 1e-3, 1.0)
    mu, _ = model.encode(torch.tensor(images.numpy().transpose(0, 3, 1, 2).reshape(4, -1) / 127.5 - 1).float())
    expected = images.numpy().reshape(4, -1, 3).mean(axis=1) / 127.5 - 1
    np.testing.assert_allclose(mu[:, :3].detach().numpy(), expected, atol=1e-5)  # red, green and blue
    of_grey = make_config({**given, "model": "ours:Ours"})
    allow(of_grey)
    with pytest.raises(
        UserError, match=r"its constructor, for images in colour of shape \(3, 9, 12\), raised ValueErr"
    ):
        build_model(of_grey, (3, 9, 12))


COLOUR = dedent(
    """

    class Colour(nn.Module):
        def __init__(self, shape, config):
            super().__init__()
            self.shape = shape
            self.outwards = nn.Linear(config.latent_dim, 3 * shape[1] * shape[2])

        def encode(self, x):
            mu = nn.functional.pad(x.mean(dim=(2, 3)), (0, 2))
            return mu, 0 * mu

        def decode(self, z):
            return torch.tanh(self.outwards(z)).view(-1, *self.shape)
    """
)

BROKEN = {
    "nowhere:Ours": "there is no module nowhere",
    "ours:Theirs": "has no class Theirs",
    "ours:torch": "has no class torch",
    "broken:Plain": "not a torch.nn.Module",
    "broken:Picky": "its constructor raised TypeError",
    "broken:Blind": "has no method decode",
    "broken:Bare": "no parameters",
    "broken:Wide": "encode's μ must have shape (2, 5), not (2, 6)",
    "broken:Single": "must give two tensors",
    "broken:Cut": "decode's images must have shape (2, 1, 28, 28), not (2, 100)",
    "broken:Nan": "decode's images must be finite",
    "broken:Angry": "encode raised ValueError: no images today (broken.py, line 65)",
    "broken:Double": "must be float32",
    "broken:Severed": "no gradient",
    "needy:Ours": "needs 'a_package_nobody_has'",
    "silly:Ours": "importing silly raised SyntaxError",
}
BROKEN_MODULE = dedent(
    """
    import torch
    from torch import nn


    class Plain:
        pass


    class Base(nn.Module):
        wide, tall = 5, 784

        def __init__(self, shape, config):
            super().__init__()
            self.inwards, self.outwards = nn.Linear(784, self.wide), nn.Linear(self.wide, self.tall)

        def encode(self, x):
            mu = self.inwards(x.flatten(1))
            return mu, mu

        def decode(self, z):
            return self.outwards(z)


    class Picky(Base):
        def __init__(self, shape):
            pass


    class Blind(Base):
        decode = None


    class Bare(Base):
        def __init__(self, shape, config):
            nn.Module.__init__(self)

        def encode(self, x):
            return x.flatten(1)[:, :5], x.flatten(1)[:, :5]

        def decode(self, z):
            return z.repeat(1, 157)[:, :784]


    class Wide(Base):
        wide = 6


    class Single(Base):
        def encode(self, x):
            return self.inwards(x.flatten(1))


    class Cut(Base):
        tall = 100


    class Nan(Base):
        def decode(self, z):
            return self.outwards(z) / 0


    class Angry(Base):
        def encode(self, x):
            raise ValueError("no images today\\nnor tomorrow")


    class Double(Base):
        def __init__(self, shape, config):
            super().__init__(shape, config)
            self.double()

        def encode(self, x):
            return super().encode(x.double())


    class Severed(Base):
        def decode(self, z):
            return self.outwards(z).detach()
    """
)


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_refused_in_a_sentence(name: str, workplace: Path) -> None:
    (workplace / "broken.py").write_text(BROKEN_MODULE)
    (workplace / "needy.py").write_text("import a_package_nobody_has\n")
    (workplace / "silly.py").write_text("class Ours(:\n")
    config = make_config({"model": name, "model-dir": str(workplace), "latent-dim": 5})
    allow(config)
    with pytest.raises(UserError) as caught:
        build_model(config, SHAPE)
    assert f"model {name} cannot be used: " in caught.value.message
    assert BROKEN[name] in caught.value.message
    assert "\n" not in str(caught.value)


def test_the_command_says_it_and_leaves_no_run_in_the_way(workplace: Path, own_runs: Path) -> None:
    train = command("train", "--model", "ours:Theirs", "--name", "own", "--epochs", 1, *SMALL, cwd=workplace)
    code, _, err = finish(train)
    assert code == 1
    assert "has no class Theirs" in err and "Traceback" not in err
    assert not (own_runs / "own").exists()
    create_run(own_runs, make_config({"name": "own"}))


def test_an_error_in_the_user_s_code_is_a_sentence_in_a_command_and_a_traceback_in_the_trainer_s_log(
    workplace: Path, own_runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory, _ = create_run(own_runs, make_config({"name": "own", "model": "ours:Ours", "model-dir": str(workplace),
                                                     "epochs": 1, "train-limit": 300, "test-limit": 100}))  # fmt: skip
    assert train_here(directory) == 0
    broken = OWN.replace("def encode(self, x):", "def encode(self, x):\n        raise ValueError('no images today')")
    (workplace / "ours.py").write_text(broken)
    where = f"(ours.py, line {1 + broken[: broken.index('raise')].count(chr(10))})"
    sys.modules.pop("ours")
    capfd.readouterr()
    assert main(["show", "own", "--trust"]) == 1
    said = capfd.readouterr().err
    assert f"encode raised ValueError: no images today {where}" in said and "Traceback" not in said
    sys.modules.pop("ours")
    assert train_here(directory, more_epochs=1) == 1
    assert "Traceback" in capfd.readouterr().err


def test_tied_and_frozen_weights_are_kept(workplace: Path) -> None:
    """A decoder that uses the encoder's matrix, and a layer that is not to learn."""
    (workplace / "ours.py").write_text(dedent(
        """
        import torch
        from torch import nn


        class Ours(nn.Module):
            def __init__(self, shape, config):
                super().__init__()
                self.inwards = nn.Linear(784, config.latent_dim, bias=False)
                self.fixed = nn.Linear(config.latent_dim, config.latent_dim).requires_grad_(False)
                self.again = self.inwards

            def encode(self, x):
                mu = self.inwards(x.flatten(1)) / 28
                return self.fixed(mu), mu - 2

            def decode(self, z):
                return z @ self.again.weight
        """
    ))  # fmt: skip
    given: dict[str, Any] = {"model": "ours:Ours", "model-dir": str(workplace), "latent-dim": 5, "weight-decay": 1,
                             "precision": "float32"}  # fmt: skip
    config = make_config(given)
    allow(config)  # as `tui-vae train` does
    learner = Learner(config, build_model(config, SHAPE), torch.device("cpu"))
    before = {name: value.clone() for name, value in learner.weights().items()}
    learner.step(pictures(30), 1e-2, 1.0)
    after = learner.weights()
    assert torch.equal(before["model.own.fixed.weight"], after["model.own.fixed.weight"])
    assert not torch.equal(before["model.own.inwards.weight"], after["model.own.inwards.weight"])
    path = workplace / "last.safetensors"
    save_checkpoint(path, Progress(config=config.to_dict(), segments=[1], beta=1.0), learner.tensors())
    again = Learner(config, build_model(config, SHAPE), torch.device("cpu"))
    again.restore(load_checkpoint(path)[1])
    assert all(torch.equal(value, again.weights()[name]) for name, value in after.items())
    for each in (learner, again):
        each.step(pictures(30), 1e-2, 1.0)
    assert all(torch.equal(value, again.weights()[name]) for name, value in learner.weights().items())


def test_no_model_of_ones_own_is_imported_by_the_app(workplace: Path, own_runs: Path) -> None:
    """Describing, starting and forecasting such a run needs neither the module nor PyTorch."""
    (workplace / "ours.py").write_text("raise SystemExit('imported')")
    code = (
        "import sys\nfrom tui_vae.config import make_config, train_options\nfrom tui_vae.runs.create import *\n"
        "from tui_vae.runs.runs_directory import *\n"
        "from tui_vae.ui.new_run.forecast import summary\nconfig = make_config({'model': 'ours:Ours'})\n"
        "run, named = create_run(runs_directory(), config)\nassert run.read_config() == named\n"
        "assert summary(named, [])\nprint(*train_options(named))\nassert not {'ours', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=workplace, env=os.environ, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"--model ours:Ours --model-dir {workplace}" in done.stdout
