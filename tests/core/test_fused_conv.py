"""The convolutional network's compiled step against autograd, in every build that this CPU can run."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.support.steps import BETA, IMAGES, IN_ALL, LATENT, LR, assert_same, by_autograd, config
from tui_vae.core.models.build import build_model
from tui_vae.core.models.conv import ConvVAE
from tui_vae.core.objectives import OBJECTIVES, Objective
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.cpu_conv import ConvCPUStep
from tui_vae.core.step.flat_parameters import flatten_parameters
from tui_vae.core.step.load_kernels import Kernels, load_kernels, usable_kernels
from tui_vae.trainer.learner import Learner

BUILDS = [pytest.param(kernels, id=kernels.level) for kernels in usable_kernels() if kernels]

pytestmark = pytest.mark.skipif(not load_kernels(), reason=f"no compiled kernels: {load_kernels().reason}")


def model(shape: tuple[int, ...], hidden: tuple[int, ...], norm: str, activation: str, output: str) -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(shape, hidden, LATENT, activation, norm, output)


def images(count: int, shape: tuple[int, ...]) -> Tensor:
    """As data are, the colours of a pixel side by side; `shape` has them first where there are any."""
    size = (count, *shape[-2:], *shape[:-2])
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


class Compiled:
    """A copy of a model, which learns by the kernels."""

    def __init__(self, kernels: Kernels, vae: ConvVAE, objective: Objective, bfloat16: bool = False) -> None:
        self.model = copy.deepcopy(vae)
        self.flat = flatten_parameters(self.model)
        self.optimizer = FlatAdam(self.flat)
        self.step = ConvCPUStep(kernels, self.model, objective, self.flat, self.optimizer, bfloat16, IN_ALL)
        self.noise = torch.Generator().manual_seed(3)

    def learn(self, batch: Tensor) -> Tensor:
        return self.step(batch, self.noise, LR, BETA).clone()


# Sides that are odd, down to one place, of three convolutions and more; in colour; every kind of layer.
NETWORKS = [
    ((28, 28), (24,), "layer", "silu", "tanh"), ((13, 10), (17, 9), "batch", "relu", "sigmoid"),
    ((7, 4), (9,), "none", "gelu", "linear"), ((40, 33), (11,), "layer", "silu", "logits"),
    ((35, 41), (11,), "batch", "silu", "logits"), ((3, 11, 16), (9,), "layer", "silu", "tanh"),
    ((3, 66, 16), (9,), "layer", "relu", "sigmoid"),
]  # fmt: skip


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize(("shape", "hidden", "norm", "activation", "output"), NETWORKS)
@pytest.mark.parametrize("name", ["mse", "sigma", "bce"])
def test_figures_and_gradients_are_those_of_autograd(
    kernels: Kernels, name: str, shape: tuple[int, ...], hidden: tuple[int, ...], norm: str, activation: str,
    output: str,
) -> None:  # fmt: skip
    """Autograd works in float64. The memory is for more images than the batch has."""
    objective = replace(OBJECTIVES[name], tc_weight=2.0)
    vae = model(shape, hidden, norm, activation, "logits" if name == "bce" else output)
    mine, batch = Compiled(kernels, vae, objective), images(5, shape)
    mine.step._build(8)
    figures = mine.learn(batch)
    exact = copy.deepcopy(vae).double()
    noise = torch.empty(len(batch), LATENT).normal_(generator=torch.Generator().manual_seed(3)).double()
    expected = by_autograd(exact, batch, noise, objective)
    torch.testing.assert_close(figures, torch.stack(expected).detach(), rtol=2e-6, atol=1e-5)
    expected[0].backward()
    largest = max(float(part.grad.abs().max()) for part in exact.parameters() if part.grad is not None)
    for (title, parameter), gradient in zip(exact.named_parameters(), mine.step.gradients(), strict=True):
        assert parameter.grad is not None
        # The bias before a batch normalization has no gradient but for rounding.
        error = (gradient - parameter.grad).abs().max() / max(float(parameter.grad.abs().max()), 1e-6 * largest)
        assert error < 2e-5, title
    for own, theirs in zip(mine.model.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(own.double(), theirs.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_bfloat16_is_float32_to_its_precision(kernels: Kernels, norm: str) -> None:
    vae = model((28, 28), (64,), norm, "silu", "tanh")
    low, full = (Compiled(kernels, vae, OBJECTIVES["sigma"], bfloat16) for bfloat16 in (True, False))
    batch = images(64, (28, 28))
    torch.testing.assert_close(low.learn(batch), full.learn(batch), rtol=0.01, atol=0)
    floor = 1e-3 * max(float(gradient.norm()) for gradient in full.step.gradients())
    for one, other in zip(low.step.gradients(), full.step.gradients(), strict=True):
        assert (one.float() - other).norm() < 0.05 * other.norm() + floor


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_restored_run_goes_on_with_the_same_bits(optimizer: str, precision: str) -> None:
    settings = config(model="conv", hidden="12", optimizer=optimizer, precision=precision, norm="batch")
    runs = [Learner(settings, build_model(settings, (28, 28)), torch.device("cpu")) for _ in range(3)]
    assert runs[0].kernels != "none"
    for run in runs[:2]:
        for batch in IMAGES[:40].split(16):
            run.step(batch, LR, BETA)
    assert_same(*runs[:2])
    runs[2].restore({name: tensor.clone() for name, tensor in runs[0].tensors().items()})
    for run in runs[1:]:
        run.step(IMAGES[:16], LR, BETA)
    assert_same(*runs[1:])
