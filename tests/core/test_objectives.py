"""Objectives against independent float64 arithmetic: formulas, gradients, total correlation, the courses of β."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_vae.cli import main
from tui_vae.config import PRESETS, RunConfig, make_config
from tui_vae.core.evaluation.likelihood import decoder_variance
from tui_vae.core.evaluation.metrics import bits_per_pixel, evaluate
from tui_vae.core.models.build import build_model
from tui_vae.core.objectives import (
    LEAST_SQUARE,
    OBJECTIVES,
    Objective,
    kl_per_dimension,
    make_objective,
    sigma_vae,
    total_correlation,
)
from tui_vae.core.schedules import beta_share
from tui_vae.errors import UsageError
from tui_vae.trainer.learner import Learner

Array = NDArray[np.float64]
torch.set_num_threads(1)  # many small products: more threads would wait for each other
IMAGES, PIXELS, LATENT, ALL_IMAGES, BETA = 6, 5, 3, 50, 0.7
VARIANTS = [
    pytest.param(name, {"free_bits": free, "tc_weight": weight}, id=f"{name}-free{free:g}-tc{weight:g}")
    for name in OBJECTIVES
    for free in (0.0, 0.3)
    for weight in (0.0, 2.0)
]


class Decoder(torch.nn.Module):
    """One matrix, and a tanh or the logits of twice the argument: the same x̂ either way."""

    def __init__(self, matrix: Tensor, has_logits: bool) -> None:
        super().__init__()
        self.matrix, self.has_logits = matrix, has_logits

    def decode(self, z: Tensor) -> Tensor:
        return torch.tanh(z @ self.matrix)

    def decode_logits(self, z: Tensor) -> Tensor:
        return 2 * z @ self.matrix


def numbers(seed: int = 0) -> dict[str, Tensor]:
    dice = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64)

    x = torch.rand(IMAGES, PIXELS, generator=dice, dtype=torch.float64) * 2 - 1
    latents = {name: draw(IMAGES, LATENT) for name in ("mu", "logvar", "noise")}
    return {"matrix": draw(LATENT, PIXELS) / 4, **latents, "x": x}


def computed(objective: Objective, has_logits: bool, matrix: Tensor, mu: Tensor, logvar: Tensor, noise: Tensor,
             x: Tensor) -> Tensor:  # fmt: skip
    z = mu + torch.exp(0.5 * logvar) * noise
    model: Any = Decoder(matrix, has_logits)
    _, distortion = objective.decode(model, z, x)
    return objective.loss(distortion, z, mu, logvar, BETA, PIXELS, ALL_IMAGES)


def by_hand(name: str, free_bits: float, tc_weight: float, matrix: Array, mu: Array, logvar: Array, noise: Array,
            x: Array) -> float:  # fmt: skip
    """The same loss in numpy, image by image, from the formulas in the papers."""
    z = mu + np.exp(logvar / 2) * noise
    decoded = np.tanh(z @ matrix)
    recon = ((decoded - x) ** 2).sum(axis=1).mean()
    p, q = (x + 1) / 2, (decoded + 1) / 2
    entropy = -(p * np.log(q) + (1 - p) * np.log(1 - q)).sum(axis=1).mean()
    sigma = PIXELS / 2 * math.log(max(recon / PIXELS, 4 / 12 / 255**2))
    distortion = {"mse": recon, "sigma": sigma, "bce": entropy}[name]
    kl = np.maximum((0.5 * (mu**2 + np.exp(logvar) - logvar - 1)).mean(axis=0), free_bits).sum()
    return float(distortion + BETA * kl + tc_weight * stratified(z, mu, logvar, ALL_IMAGES))


def density(z: Array, mu: Array, logvar: Array) -> Array:
    """N(z; μ, σ²) of each dimension."""
    value: Array = np.exp(-0.5 * (z - mu) ** 2 / np.exp(logvar)) / np.sqrt(2 * np.pi * np.exp(logvar))
    return value


def stratified(z: Array, mu: Array, logvar: Array, images: int) -> float:
    total = 0.0
    for i in range(len(z)):
        weights = np.full(len(z), (1 - 1 / images) / (len(z) - 1))
        weights[i] = 1 / images
        densities = density(z[i], mu, logvar)  # (M, latent): of z_i under every posterior
        total += math.log(weights @ densities.prod(axis=1)) - np.log(weights @ densities).sum()
    return total / len(z)


def varied(name: str, extra: dict[str, float]) -> Objective:
    return replace(OBJECTIVES[name], free_bits=extra["free_bits"], tc_weight=extra["tc_weight"])


@pytest.mark.parametrize(("name", "extra"), VARIANTS)
def test_a_loss_is_the_formula_that_it_states(name: str, extra: dict[str, float]) -> None:
    for seed in range(3):
        drawn = numbers(seed)
        arrays: dict[str, Array] = {key: value.numpy() for key, value in drawn.items()}
        expected = by_hand(name, extra["free_bits"], extra["tc_weight"], **arrays)
        for has_logits in (False, True):
            loss = computed(varied(name, extra), has_logits, **drawn)
            assert float(loss) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "extra"), VARIANTS)
def test_a_gradient_is_that_of_finite_differences(name: str, extra: dict[str, float]) -> None:
    objective = varied(name, extra)
    drawn = numbers(7)
    noise, x = drawn.pop("noise"), drawn.pop("x")

    def loss_of(has_logits: bool) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        return lambda matrix, mu, logvar: computed(objective, has_logits, matrix, mu, logvar, noise, x)

    for has_logits in (False, True):
        assert torch.autograd.gradcheck(loss_of(has_logits), [value.requires_grad_() for value in drawn.values()])


def test_a_fitted_variance_is_never_below_that_of_a_grey_levels_rounding() -> None:
    """Of a perfect decoder the loss is finite, and only the KL is left to learn from; NaN stays NaN."""
    recon = torch.tensor([0.0, 1e-9, 0.9 * PIXELS * LEAST_SQUARE, 1.1 * PIXELS * LEAST_SQUARE], dtype=torch.float64)
    recon.requires_grad_()
    losses = torch.stack([sigma_vae(each, torch.zeros(()), 1.0, PIXELS) for each in recon])
    least = PIXELS / 2 * math.log(4 / 12 / 255**2)
    assert losses.tolist() == pytest.approx([least, least, least, least + PIXELS / 2 * math.log(1.1)])
    losses.sum().backward()
    assert recon.grad is not None and recon.grad[:3].tolist() == [0, 0, 0] and recon.grad[3] > 0
    assert math.isnan(sigma_vae(torch.tensor(math.nan), torch.zeros(()), 1.0, PIXELS))
    assert bits_per_pixel(decoder_variance(0.0, 784), 0.0, 784) == pytest.approx(0.2546, abs=1e-4)
    assert math.isnan(bits_per_pixel(decoder_variance(math.nan, 784), 0.0, 784))


def test_bce_survives_a_decoder_that_is_sure_and_wrong() -> None:
    """Logits of ±200: p̂ is 0 or 1 to the last bit, and yet the loss is finite and says which way to go."""
    z = torch.ones(1, 1, requires_grad=True)
    x = torch.tensor([[-1.0, 1.0]])
    for has_logits, most in ((True, 400.0), (False, 40.0)):
        model: Any = Decoder(torch.tensor([[100.0, -100.0]]), has_logits)
        _, distortion = OBJECTIVES["bce"].decode(model, z, x)
        assert 20 < float(distortion.detach()) <= most
        (gradient,) = torch.autograd.grad(distortion.sum(), z)
        assert torch.isfinite(gradient).all()
        if has_logits:
            assert float(distortion.detach()) == pytest.approx(400)
            assert float(gradient) == pytest.approx(400)


def test_the_total_correlation_of_the_whole_set_is_that_of_the_mixture() -> None:
    """With all images in the batch the estimate is ln q(z) - Σ ln q(z_j) of the very mixture; zero where it factors."""
    dice = np.random.default_rng(3)
    mu, logvar, noise = dice.normal(size=(40, 2)), dice.normal(size=(40, 2)) - 1, dice.normal(size=(40, 2))
    mu[:, 1] = mu[:, 0] + 0.1 * mu[:, 1]
    z = mu + np.exp(logvar / 2) * noise
    densities = density(z[:, None], mu[None], logvar[None])
    exact = (np.log(densities.prod(axis=2).mean(axis=1)) - np.log(densities.mean(axis=1)).sum(axis=1)).mean()
    assert exact > 0.2

    def estimate(z: Array, mu: Array, logvar: Array) -> float:
        return float(
            total_correlation(torch.from_numpy(z), torch.from_numpy(mu), torch.from_numpy(logvar), train_size=40)
        )

    assert estimate(z, mu, logvar) == pytest.approx(exact, rel=1e-10)
    same = np.zeros_like(mu)
    assert estimate(same + noise, same, same) == pytest.approx(0, abs=1e-12)


def test_total_correlation_from_batches_is_near_that_of_the_whole_set() -> None:
    """Batches of 100 out of 600: the logarithm of a noisy mean is a little low, but no constant is off."""
    dice = torch.Generator().manual_seed(0)
    mu = torch.randn(600, 10, generator=dice, dtype=torch.float64) @ torch.randn(10, 10, generator=dice).double() / 3
    logvar = torch.full_like(mu, -1.0)
    z = mu + torch.exp(logvar / 2) * torch.randn(600, 10, generator=dice, dtype=torch.float64)
    whole = float(total_correlation(z, mu, logvar, 600))
    order = torch.randperm(600, generator=dice).split(100)
    batches = float(torch.stack([total_correlation(z[part], mu[part], logvar[part], 600) for part in order]).mean())
    assert whole > 1 and abs(batches - whole) < 0.3 * whole


@pytest.mark.parametrize(
    "given",
    [{"objective": "bce"}, {"objective": "bce", "model": "conv", "hidden": "6"},
     {"norm": "batch", "weight-decay": 0.01}, {"tc-weight": 3, "free-bits": 0.02},
     {"objective": "bce", "precision": "bfloat16"}],
    ids=["bce", "bce-conv", "batch-norm-weight-decay", "tc-free-bits", "bce-bfloat16"],
)  # fmt: skip
def test_training_goes_down_and_reports_what_it_minimizes(given: dict[str, Any]) -> None:
    config = make_config({"hidden": "32", "latent-dim": 4, "precision": "float32", "seed": 1, **given})
    levels = np.random.default_rng(4).integers(0, 256, (4, 4, 1, 4, 1), dtype=np.uint8)
    blocks = np.broadcast_to(levels, (4, 4, 7, 4, 7)).reshape(4, 28, 28)
    images = torch.from_numpy(blocks.copy()).repeat(16, 1, 1)
    learner = Learner(config, build_model(config, (28, 28)), torch.device("cpu"), train_size=len(images))
    losses = []
    for _ in range(60):
        learner.step(images, 3e-3, 1.0)
        losses.append(learner.take_means())
    assert all(math.isfinite(each.loss) for each in losses)
    assert losses[-1].loss < losses[0].loss and losses[-1].recon < 0.5 * losses[0].recon
    found = evaluate(learner.model, images, make_objective(config), 1.0, seed=3)[0]
    assert found.recon < 0.5 * losses[0].recon
    if config.objective == "bce":
        x = images.flatten(1).double() / 127.5 - 1
        p = (x + 1) / 2
        floor = float(-(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum(dim=1).mean())
        assert floor < found.loss - found.kl < losses[0].loss - losses[0].kl


def test_evaluation_counts_free_bits_and_total_correlation_into_the_loss() -> None:
    config = make_config({"hidden": "8", "latent-dim": 3, "objective": "mse", "free-bits": 0.5, "tc-weight": 2})
    images = torch.randint(0, 256, (240, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    model = build_model(config, (28, 28))
    found = evaluate(model, images, make_objective(config), 3.0, seed=1)[0]
    x = images.flatten(1).float() / 127.5 - 1
    with torch.no_grad():
        mu, logvar = model.encode(x)
        noise = torch.empty_like(mu).normal_(generator=torch.Generator().manual_seed(1))
    z = mu + torch.exp(logvar / 2) * noise
    tc = stratified(z.double().numpy(), mu.double().numpy(), logvar.double().numpy(), 240)
    paid = sum(max(0.5, kl) for kl in kl_per_dimension(mu, logvar).double().mean(dim=0).tolist())
    assert paid > found.kl + 0.1
    assert found.loss == pytest.approx(found.recon + 3 * paid + 2 * tc, rel=1e-5)


# -- The course of β ---------------------------------------------------------------------------------------------------


def test_beta_rises_once_or_anew_in_every_cycle() -> None:
    assert [beta_share(step, 8, 1, 100) for step in (0, 2, 8, 99)] == [0, 0.25, 1, 1]
    assert beta_share(0, 0, 1, 100) == 1
    cycles = [beta_share(step, 0, 4, 80) for step in range(90)]
    assert cycles[:20] == [*(step / 10 for step in range(10)), *[1.0] * 10]
    assert cycles[:80] == cycles[:20] * 4
    assert set(cycles[80:]) == {1.0}  # more epochs than planned: annealing is over
    assert [beta_share(step, 5, 4, 80) for step in range(20, 27)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    thirds = [beta_share(step, 0, 3, 100) for step in range(100)]
    assert [step for step in range(100) if thirds[step] < thirds[step - 1]] == [0, 34, 67]


# -- Options that go together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "bce", "output": "tanh"}, "bce needs probabilities"),
        ({"objective": "sigma", "output": "logits"}, "output logits goes with objective bce"),
        ({"preset": "seed", "objective": "bce"}, "output sigmoid"),
        ({"kl-cycles": 4, "kl-warmup": 3, "epochs": 10}, "kl-warmup 3 is longer than a cycle"),
        ({"norm": "batch", "batch-size": 1}, "norm batch needs"),
        ({"tc-weight": 1, "batch-size": 1}, "tc-weight needs"),
        ({"model": "resnet"}, "model must be one of mlp, conv, or your own"),
        ({"model": "../evil:Class"}, "model must be"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(given)
    assert words in caught.value.message
    assert "\n" not in str(caught.value)


def test_the_command_line_says_it_too(capsys: pytest.CaptureFixture[str], own_runs: Path) -> None:
    assert main(["train", "--objective", "bce", "--output", "linear"]) == 2
    assert "bce needs probabilities" in capsys.readouterr().err
    assert not own_runs.exists()


def test_every_preset_is_whole_and_every_objective_has_a_decoder() -> None:
    for preset in PRESETS:
        config = make_config({"preset": preset})
        assert isinstance(config, RunConfig)
        model = build_model(config, (28, 28)).eval()
        decoded = model.decode(torch.randn(50, config.latent_dim, generator=torch.Generator().manual_seed(0)) * 100)
        low = 0 if preset == "seed" else -1
        assert low <= float(decoded.detach().min()) and float(decoded.detach().max()) <= 1
        assert model.has_logits == (config.objective == "bce")
