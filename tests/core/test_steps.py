"""How steps are launched and fed: the optimizer's one kernel, captured steps, images on the host."""

from __future__ import annotations

import copy
import ctypes.util
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.support.steps import IMAGES, SIDE, assert_same, config, into, model, refuse, run_again
from tui_vae.config.run_config import options
from tui_vae.core.evaluation.metrics import evaluate
from tui_vae.core.models.build import build_model
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.own import WrappedModel
from tui_vae.core.models.vae import ACTIVATIONS, NORMS, OUTPUTS
from tui_vae.core.objectives import OBJECTIVES
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step import load_kernels as kernel_loader
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.choose import repeats_itself
from tui_vae.core.step.flat_parameters import flatten_parameters
from tui_vae.core.step.fused_step import ACTIVATION_NAMES
from tui_vae.core.step.load_kernels import Kernels, load_kernels
from tui_vae.trainer.batches import batches
from tui_vae.trainer.learner import Learner

CPU = torch.device("cpu")
without_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def taught(learner: Learner, epochs: int = 2, start: int = 0) -> Learner:
    """Learn whole epochs of `IMAGES`, whose last batch is smaller, with lr and β changing as they go."""
    images = IMAGES.to(learner.device)
    for epoch in range(start, start + epochs):
        for number, batch in enumerate(batches(images, epoch_order(0, epoch, len(images)), 16, learner.device)):
            learner.step(batch, 1e-3 / (1 + number), 1.0 + epoch)
    return learner


def test_flat_parameters_are_the_models_own() -> None:
    vae = model()
    x = torch.rand(5, SIDE * SIDE)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    flat = flatten_parameters(vae)
    for name, value in vae.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    shifted = vae.encode(x)[0].detach().clone()
    vae.decode(vae.encode(x)[0]).sum().backward()
    assert flat.grad is not None and bool(flat.grad.any())
    torch.optim.SGD([flat], lr=0.1).step()
    assert not torch.equal(vae.encode(x)[0], shifted)


def test_the_options_choices_are_the_rows_of_the_tables() -> None:
    choices = {name: set(options()[name].choices) for name in ("activation", "norm", "output")}
    assert choices["activation"] == set(ACTIVATIONS)
    assert choices["norm"] == {"none", *NORMS}
    assert choices["output"] == {"auto", *OUTPUTS}


def test_a_layer_without_kernels_is_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = load_kernels()
    settings = config()
    with_kernels = Learner(settings, build_model(settings, (28, 28)), CPU)
    assert with_kernels.kernels == kernels.level
    monkeypatch.delitem(ACTIVATION_NAMES, nn.SiLU)
    without = Learner(settings, build_model(settings, (28, 28)), CPU)
    assert without.kernels == "none"
    monkeypatch.undo()
    assert taught(without).take_means().loss == pytest.approx(taught(with_kernels).take_means().loss, rel=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("floats", [False, True])
def test_kernels_and_autograd_learn_the_same_from_colours(kind: str, floats: bool) -> None:
    settings = config(model=kind, objective="sigma")
    images = torch.randint(0, 256, (16, 9, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    means = []
    for kernels in (load_kernels(), Kernels()):
        learner = Learner(settings, build_model(settings, (3, 9, 12)), CPU, kernels=kernels)
        for _ in range(2):
            learner.step(images / 255 if floats else images, 1e-3, 1.0)
        means.append(learner.take_means())
    assert means[0].loss == pytest.approx(means[1].loss, rel=1e-5)
    assert means[0].recon == pytest.approx(means[1].recon, rel=1e-5)


@pytest.mark.skipif(not load_kernels(), reason=f"no compiled kernels: {load_kernels().reason}")
@pytest.mark.parametrize("old_build", ["another version's", "none of ours"])
def test_kernels_built_from_another_version_are_not_used(monkeypatch: pytest.MonkeyPatch, old_build: str) -> None:
    """As after an update of a checkout without another `pip install`."""
    if old_build == "another version's":
        monkeypatch.setattr(kernel_loader, "KERNELS_VERSION", kernel_loader.KERNELS_VERSION + 1)
    else:
        monkeypatch.setattr(kernel_loader, "_built", lambda level: ctypes.util.find_library("m"))
    kernels = kernel_loader.usable_kernels.__wrapped__()[0]
    assert not kernels and "built from another version of tui-vae: install it again" in kernels.reason


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_flat_optimizer_is_torchs(weight_decay: float) -> None:
    torch.manual_seed(0)
    mine, theirs = nn.Parameter(torch.randn(1000)), nn.Parameter(torch.empty(1000))
    theirs.data.copy_(mine.data)
    flat = FlatAdam(mine, weight_decay)
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    usual = kind([theirs], weight_decay=weight_decay, fused=True)
    for number in range(5):
        mine.grad = torch.randn(1000)
        theirs.grad = mine.grad.clone()
        lr = 1e-3 * (number + 1)
        usual.param_groups[0]["lr"] = lr
        usual.step()
        flat.step(lr)
    assert torch.equal(mine.data, theirs.data)
    for name, value in usual.state[theirs].items():
        assert torch.equal(flat.tensors()[name], value), name


@pytest.mark.parametrize("more", [{}, {"precision": "bfloat16"}, {"preset": "seed"}, {"free-bits": 0.1}])
def test_a_replayed_step_is_the_step(more: dict[str, object]) -> None:
    """What replays reads static buffers: images, lr and β of now, not of when it was recorded; an epoch's last too."""
    settings = config(**more)
    eager = Learner(settings, build_model(settings, (28, 28)), CPU, record=refuse, kernels=Kernels())
    recorded = []

    def record(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
        recorded.append(body)
        return run_again(body, generator)

    replayed = Learner(settings, build_model(settings, (28, 28)), CPU, record=record, kernels=Kernels())
    assert_same(taught(eager, epochs=6), taught(replayed, epochs=6))
    assert len(recorded) == 2
    assert eager.take_means() == replayed.take_means()


def test_what_cannot_be_captured_is_launched_kernel_by_kernel_and_said_once() -> None:
    notes: list[str] = []
    settings = config()
    plain = Learner(settings, build_model(settings, (28, 28)), CPU, kernels=Kernels())
    learner = Learner(settings, build_model(settings, (28, 28)), CPU, warn=into(notes), record=refuse)
    taught(learner)
    assert [note.partition(":")[0] for note in notes] == ["steps are launched one by one"]
    assert notes[0].endswith("operation not permitted when stream is capturing")
    taught(plain)
    for name, value in learner.weights().items():
        torch.testing.assert_close(value, plain.weights()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_checkpoint_takes_up_everything(precision: str) -> None:
    settings = config(precision=precision)
    whole = taught(Learner(settings, build_model(settings, (28, 28)), CPU), epochs=2)
    half = taught(Learner(settings, build_model(settings, (28, 28)), CPU), epochs=1)
    saved = copy.deepcopy(half.tensors())
    resumed = Learner(settings, build_model(settings, (28, 28)), CPU)
    resumed.restore(saved)
    assert_same(taught(resumed, epochs=1, start=1), whole)


def test_bfloat16_learns_what_float32_learns() -> None:
    rng = torch.Generator().manual_seed(1)
    pixels = torch.linspace(0, 6, 28)
    slopes = torch.rand(1500, 2, generator=rng)
    waves = torch.sin(pixels[None, :, None] * slopes[:, :1, None] + pixels[None, None, :] * slopes[:, 1:, None])
    images = (waves * 127 + 128).to(torch.uint8)
    found = []
    for precision in ("float32", "bfloat16"):
        settings = config(precision=precision, hidden="64,32")
        learner = Learner(settings, build_model(settings, (28, 28)), CPU)
        for epoch in range(4):
            for batch in batches(images, epoch_order(0, epoch, len(images)), 50, CPU):
                learner.step(batch, 2e-3, 1.0)
        found.append(evaluate(learner.model, images, OBJECTIVES["sigma"], 1.0, seed=0)[0])
    single, half = found
    assert half.mse == pytest.approx(single.mse, rel=0.02)
    assert half.elbo_bpd == pytest.approx(single.elbo_bpd, rel=0.02)
    assert single.mse < 0.5 * images.float().div(255).var(dim=0).mean().item()  # they did learn


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, without_cuda])])
def test_images_on_the_host_come_in_the_same_order(device: str) -> None:
    order = epoch_order(3, 5, len(IMAGES))
    here = [batch.cpu().clone() for batch in batches(IMAGES, order, 16, torch.device(device))]
    there = [batch.cpu().clone() for batch in batches(IMAGES.to(device), order, 16, torch.device(device))]
    assert [len(batch) for batch in here] == [16, 16, 16, 16, 16, 10]
    assert list(batches(IMAGES, order[:0], 16, torch.device(device))) == []
    assert torch.equal(torch.cat(here), torch.cat(there)) and torch.equal(torch.cat(here), IMAGES[order])


@pytest.mark.parametrize("shape", [(3,), (28, 28), (5, 7, 3), (64, 64, 3)], ids=str)
def test_a_batch_holds_the_chosen_images_of_any_size_and_type(shape: tuple[int, ...]) -> None:
    order = torch.randperm(300)
    for images in (torch.randint(0, 256, (300, *shape), dtype=torch.uint8), torch.rand(300, *shape)):
        apart = images.repeat_interleave(2, 0)[::2]
        for source in (images, apart):
            assert all(torch.equal(got, images[places]) for got, places in zip(
                batches(source, order, 128, CPU), order.split(128), strict=True))  # fmt: skip
        for wrong in (-1, 300):
            with pytest.raises(IndexError):
                list(batches(images, torch.tensor([0, wrong]), 2, CPU))


@pytest.mark.gpu
@without_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cuda_graph_replays_the_step_bit_for_bit(precision: str) -> None:
    device = torch.device("cuda")
    settings = config(precision=precision)
    notes: list[str] = []
    captured = taught(Learner(settings, build_model(settings, (28, 28)), device, warn=into(notes)), epochs=3)
    assert notes == []
    eager = taught(Learner(settings, build_model(settings, (28, 28)), device, record=refuse), epochs=3)
    assert_same(captured, eager)
    resumed = Learner(settings, build_model(settings, (28, 28)), device)
    resumed.restore({name: value.cpu() for name, value in eager.tensors().items()})
    assert_same(taught(resumed, epochs=1, start=3), taught(eager, epochs=1, start=3))


@pytest.mark.gpu
@without_cuda
def test_a_model_that_waits_for_the_device_still_learns() -> None:
    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(x.detach().abs().max().item() > 0)

    settings = config()
    waiting = build_model(settings, (28, 28))
    assert isinstance(waiting, MLP)
    waiting.encoder.append(Waits())
    notes: list[str] = []
    learner = taught(Learner(settings, waiting, torch.device("cuda"), warn=into(notes)))
    assert len(notes) == 1
    means = learner.take_means()
    assert means.images == 2 * len(IMAGES) and math.isfinite(means.loss)


class Own(nn.Module):
    """A network as a user writes one; `cuda_graph` is what its class may say."""

    def __init__(self) -> None:
        super().__init__()
        self.inwards, self.outwards = nn.Linear(28 * 28, 6), nn.Sequential(nn.Linear(3, 28 * 28), nn.Dropout(0.1))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.inwards(x.flatten(1)).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        return torch.tanh(self.outwards(z))


class SameEachTime(Own):
    cuda_graph = True


@pytest.mark.parametrize("made", [Own, SameEachTime])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, without_cuda])])
def test_an_own_network_is_recorded_where_its_class_says_that_it_repeats_itself(made: type[Own], device: str) -> None:
    torch.manual_seed(0)
    own = WrappedModel(made(), (1, 28, 28), 3)
    assert repeats_itself(own) == (made is SameEachTime)
    if device == "cuda":
        settings, found = config(**{"latent-dim": 3}), list[Learner]()
        notes: tuple[list[str], list[str]] = [], []
        for record, said in zip((None, refuse), notes, strict=True):
            each = Learner(settings, copy.deepcopy(own), torch.device(device), warn=into(said), record=record)
            torch.cuda.manual_seed(0)
            found.append(taught(each))
        assert_same(*found)
        assert ["cuda_graph = True" in note for note in notes[0]] == ([] if made is SameEachTime else [True])
