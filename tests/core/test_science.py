"""The science against independent float64 arithmetic in numpy: figures, objectives, gradients, sampling, schedules."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from tests.support.processes import Trained
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.core.evaluation import metrics
from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
from tui_vae.core.evaluation.metrics import evaluate
from tui_vae.core.evaluation.posteriors import encode_posteriors
from tui_vae.core.models.build import build_model
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import OBJECTIVES, kl_per_dimension, squared_error, with_free_bits
from tui_vae.core.pixels import normalize
from tui_vae.core.schedules import factor
from tui_vae.core.seeds import epoch_order
from tui_vae.trainer.learner import Learner

Array = NDArray[np.float64]
torch.set_num_threads(1)  # many small products: more threads would wait for each other
REAL = Path("/usr/share/datasets/fashion-mnist")


# -- What an epoch event says, against what the run exports ------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    out = tmp_path_factory.mktemp("exported") / "test.npz"
    arguments = ["export", "done", "--runs-dir", trained.runs_dir, "--what", "reconstructions", "--checkpoint", "last"]
    assert main([*arguments, "--out", str(out)]) == 0
    with np.load(out) as file:
        return dict(file)


@pytest.fixture(scope="module")
def figures(trained: Trained) -> dict[str, Any]:
    """The `test` figures of the last epoch event."""
    test: dict[str, Any] = json.loads(trained.stdout.splitlines()[-1])["test"]
    return test


def test_figures_at_the_mean_follow_from_the_exported_arrays(
    exported: dict[str, NDArray[Any]], figures: dict[str, Any]
) -> None:
    p = exported["original"].astype(np.float64) / 255
    p_hat, mu, logvar = (exported[name].astype(np.float64) for name in ("reconstruction", "mu", "logvar"))
    kl = (0.5 * (mu**2 + np.exp(logvar) - logvar - 1)).mean(axis=0)
    assert figures["mse"] == pytest.approx(((p_hat - p) ** 2).mean(), rel=1e-4)
    assert figures["accuracy"] == pytest.approx(((p_hat > 0.5) == (p > 0.5)).mean(), rel=1e-4)
    assert figures["kl_per_dim"] == pytest.approx(kl, rel=1e-4)
    assert figures["kl"] == pytest.approx(kl.sum(), rel=1e-4)
    assert figures["active_units"] == (mu.var(axis=0) > 0.01).sum() > 0


def test_loss_and_bits_follow_from_recon_and_kl(figures: dict[str, Any]) -> None:
    recon, kl = figures["recon"], figures["kl"]
    assert figures["loss"] == pytest.approx(0.5 * 784 * math.log(recon / 784) + kl, rel=1e-9)
    m = recon / 784 / 4  # a pixel's squared error on [0, 1] is a quarter of that on [-1, 1]
    bits = ((0.5 * 784 * (math.log(2 * math.pi * m) + 1) + kl) / 784 + math.log(255)) / math.log(2)
    assert figures["elbo_bpd"] == pytest.approx(bits, rel=1e-9)


def test_recon_is_at_sampled_z_of_the_network_in_the_checkpoint(
    trained: Trained, exported: dict[str, NDArray[Any]], figures: dict[str, Any]
) -> None:
    weights = {name: value.astype(np.float64) for name, value in load_file(trained.directory.last).items()
               if name.startswith("model.")}  # fmt: skip

    def linear(a: Array, layer: str) -> Array:
        product: Array = a @ weights[f"model.{layer}.weight"].T + weights[f"model.{layer}.bias"]
        return product

    def hidden(a: Array, part: str) -> Array:
        a = linear(a, f"{part}.0")
        a = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + 1e-5)
        a = a * weights[f"model.{part}.1.weight"] + weights[f"model.{part}.1.bias"]
        silu: Array = a / (1 + np.exp(-a))
        return silu

    x = exported["original"].reshape(-1, 784) / 127.5 - 1
    mu, logvar = np.split(linear(hidden(x, "encoder"), "encoder.3"), 2, axis=1)
    np.testing.assert_allclose(mu, exported["mu"], atol=1e-4)
    np.testing.assert_allclose(logvar, exported["logvar"], atol=1e-4)

    dice = np.random.default_rng(0)

    def recon(z: Array) -> float:
        return float(((np.tanh(linear(hidden(z, "decoder"), "decoder.3")) - x) ** 2).sum(axis=1).mean())

    sampled = [recon(mu + np.exp(logvar / 2) * dice.standard_normal(mu.shape)) for _ in range(16)]
    assert figures["recon"] == pytest.approx(np.mean(sampled), abs=6 * float(np.std(sampled)))
    at_mean = recon(mu)
    assert at_mean == pytest.approx(figures["mse"] * 4 * 784, rel=1e-4)
    assert at_mean < np.mean(sampled) - 12 * np.std(sampled)  # so the line above tells the two apart


def test_black_is_minus_one_and_white_is_one() -> None:
    levels = torch.tensor([[[0, 51], [204, 255]]], dtype=torch.uint8)
    assert normalize(levels).tolist() == [pytest.approx([-1, -0.6, 0.6, 1], abs=1e-6)]
    assert normalize(levels)[0, 0] == -1
    assert normalize(levels)[0, 3] == 1


# -- Objectives --------------------------------------------------------------------------------------------------------


def test_kl_agrees_with_monte_carlo() -> None:
    mu, logvar = np.array([[0.0, 1.5, -0.7]]), np.array([[0.0, -2.0, 0.8]])
    z = mu + np.exp(logvar / 2) * np.random.default_rng(1).standard_normal((1_000_000, 3))
    log_q = -0.5 * (logvar + (z - mu) ** 2 / np.exp(logvar))
    samples = log_q + 0.5 * z**2
    error = samples.std(axis=0) / 1000
    kl = kl_per_dimension(torch.from_numpy(mu), torch.from_numpy(logvar))[0].numpy()
    assert (abs(kl - samples.mean(axis=0)) <= 5 * error + 1e-12).all()
    assert kl[1] > 1


@pytest.mark.parametrize("objective", ["sigma", "mse"])
@pytest.mark.parametrize("free_bits", [0.0, 0.3])
def test_gradients_of_an_objective_are_those_of_finite_differences(objective: str, free_bits: float) -> None:
    dice = torch.Generator().manual_seed(2)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64).requires_grad_()

    x = random(5, 7).detach()

    def loss(decoded: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        kl = with_free_bits(kl_per_dimension(mu, logvar), free_bits)
        return OBJECTIVES[objective](squared_error(decoded, x).mean(), kl, 0.7, 7)

    assert torch.autograd.gradcheck(loss, (random(5, 7), random(5, 3), random(5, 3)))


@pytest.mark.parametrize(
    ("objective", "free_bits", "network"),
    [
        ("sigma", 0.0, {"activation": "silu", "norm": "layer", "output": "tanh"}),
        ("mse", 0.0, {"activation": "relu", "norm": "none", "output": "sigmoid"}),
        ("mse", 0.05, {"activation": "gelu", "norm": "layer", "output": "linear"}),
    ],
    ids=["sigma", "mse", "free-bits"],
)
def test_a_training_step_goes_down_the_loss_that_it_states(
    objective: str, free_bits: float, network: dict[str, str]
) -> None:
    """Adam's first step moves each weight by lr against the sign of its gradient: here that of finite differences."""
    config = make_config({"hidden": "6,5", "latent-dim": 3, "objective": objective, "free-bits": free_bits,
                          "precision": "float32", "seed": 3, "optimizer": "adam", **network})  # fmt: skip
    dice = np.random.default_rng(4)
    images = torch.from_numpy(dice.integers(0, 256, (40, 28, 28), dtype=np.uint8))
    beta, cpu = 1.7, torch.device("cpu")
    learner = Learner(config, build_model(config, (28, 28)), cpu)
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    noise = torch.Generator()
    noise.set_state(learner.tensors()["noise"])
    eps = torch.empty(40, 3).normal_(generator=noise).double()
    learner.step(images, 1e-3, beta)
    after, means = learner.model.state_dict(), learner.take_means()

    model = build_model(config, (28, 28)).double()
    model.load_state_dict(before)
    x = images.flatten(1).double() / 127.5 - 1

    @torch.no_grad()
    def terms() -> tuple[float, float, float]:
        mu, logvar = model.encode(x)
        recon = float((model.decode(mu + torch.exp(logvar / 2) * eps) - x).square().sum(dim=1).mean())
        kl_dims = (0.5 * (mu**2 + logvar.exp() - logvar - 1)).mean(dim=0)
        minimized = float(kl_dims.clamp(min=free_bits).sum())
        loss = recon + beta * minimized if objective == "mse" else 392 * math.log(recon / 784) + beta * minimized
        return loss, recon, float(kl_dims.sum())

    loss, recon, kl = terms()
    assert (means.images, means.loss, means.recon, means.kl) == pytest.approx((40, loss, recon, kl), rel=1e-5)

    checked = 0
    for name, parameter in model.named_parameters():
        flat, moved = parameter.data.view(-1), (after[name] - before[name]).flatten()
        for index in dice.choice(len(flat), min(len(flat), 6), replace=False):
            original = float(flat[index])
            flat[index] = original + 1e-5
            up = terms()[0]
            flat[index] = original - 1e-5
            slope = (up - terms()[0]) / 2e-5
            flat[index] = original
            if abs(slope) > 1e-4:
                assert float(moved[index]) == pytest.approx(-1e-3 * np.sign(slope), rel=1e-2), name
                checked += 1
    assert checked > 20


def test_beta_is_the_weight_of_the_kl() -> None:
    recon, kl = torch.tensor(31.0, dtype=torch.float64), torch.tensor(17.0, dtype=torch.float64)
    assert float(OBJECTIVES["mse"](recon, kl, 0.25, 784)) == pytest.approx(31 + 0.25 * 17)
    assert float(OBJECTIVES["sigma"](recon, kl, 4, 784)) == pytest.approx(392 * math.log(31 / 784) + 68)


# -- Sampling, schedules, order ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_and_images() -> tuple[VAE, Tensor]:
    config = make_config({"hidden": "24", "latent-dim": 5, "seed": 5})
    dice = torch.Generator().manual_seed(5)
    return build_model(config, (28, 28)), torch.randint(0, 256, (1300, 28, 28), generator=dice, dtype=torch.uint8)


def test_the_fitted_gaussian_has_the_moments_of_sampled_z(model_and_images: tuple[VAE, Tensor]) -> None:
    model, images = model_and_images
    gaussian = fit_gaussian(encode_posteriors(model, images))
    with torch.no_grad():
        mu, logvar = (part.double().numpy() for part in model.encode(normalize(images)))
    covariance = np.cov(mu.T, bias=True) + np.diag(np.exp(logvar).mean(axis=0))
    np.testing.assert_allclose(gaussian.mean.numpy(), mu.mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose((gaussian.factor @ gaussian.factor.T).numpy(), covariance, rtol=1e-5, atol=1e-7)
    drawn = gaussian.draw(200_000, torch.Generator().manual_seed(1)).double().numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), mu.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.02)


def test_schedules_at_start_peak_and_end() -> None:
    assert [factor("constant", at) for at in (0, 0.5, 1)] == [1, 1, 1]
    assert [factor("cosine", at) for at in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0], abs=1e-12)
    assert [factor("one-cycle", at) for at in (0, 0.1, 1)] == pytest.approx([1 / 25, 1, 1 / 250_000])
    up = [factor("one-cycle", at / 100) for at in range(11)]
    down = [factor("one-cycle", at / 100) for at in range(10, 101)]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert factor("one-cycle", 0.55) == pytest.approx((1 + 1 / 250_000) / 2)


def test_an_epoch_takes_every_image_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(seed, epoch, 500).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(500)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert epoch_order(0, 1, 500).tolist() == orders[1]


# -- Evaluation --------------------------------------------------------------------------------------------------------


def test_evaluation_repeats_to_the_last_bit_and_changes_nothing(model_and_images: tuple[VAE, Tensor]) -> None:
    model, images = model_and_images
    config = make_config({"hidden": "24", "latent-dim": 5, "seed": 5, "precision": "float32"})
    sigma = OBJECTIVES["sigma"]

    def trained(disturbed: bool) -> tuple[dict[str, Tensor], list[Any]]:
        learner = Learner(config, build_model(config, (28, 28)), torch.device("cpu"))
        figures = []
        for batch in torch.split(images, 130):
            learner.step(batch, 1e-3, 1.0)
            if disturbed:
                before = torch.get_rng_state()
                figures.append([evaluate(learner.model, images, sigma, 1.0, seed=9)[0] for _ in range(2)])
                fit_gaussian(encode_posteriors(learner.model, images))
                assert torch.equal(before, torch.get_rng_state())
                assert learner.model.training
        return learner.tensors(), figures

    (quiet, _), (watched, figures) = trained(False), trained(True)
    assert quiet.keys() == watched.keys()
    assert len(quiet) > sum(name.startswith("model.") for name in quiet) > 0
    assert all(torch.equal(quiet[name], watched[name]) for name in quiet)
    assert len(figures) == 10
    assert all(first == second for first, second in figures)
    assert figures[0] != figures[1]
    assert evaluate(model, images, sigma, 1.0, seed=9)[0].recon != evaluate(model, images, sigma, 1.0, seed=10)[0].recon


@pytest.mark.parametrize("batch", [300, 4000])
def test_figures_do_not_depend_on_how_many_images_are_evaluated_at_once(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU takes thousands: an image's noise is the same."""
    rng = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (2600, 28, 28), dtype=torch.uint8, generator=rng)
    model = build_model(make_config({"hidden": "24", "latent-dim": 4}), (28, 28))
    usual, statistics = evaluate(model, images, OBJECTIVES["sigma"], 1.0, seed=9)
    monkeypatch.setattr(metrics, "CPU_BATCH", batch)
    other, other_statistics = evaluate(model, images, OBJECTIVES["sigma"], 1.0, seed=9)
    torch.testing.assert_close(other_statistics.mu, statistics.mu, rtol=1e-5, atol=1e-6)
    assert other.recon == pytest.approx(usual.recon, rel=1e-6)
    assert (other.accuracy, other.active_units) == (usual.accuracy, usual.active_units)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the whole dataset is not in {REAL}")
def test_the_seed_preset_gives_the_original_notebooks_first_row() -> None:
    """Reconstruction 64354.42 within 1%, KL 1144.68 within 12%, "accuracy" 0.25 within 0.03."""
    from tui_vae.core.data.datasets import load

    config = make_config({"preset": "seed", "precision": "float32"})
    images = torch.from_numpy(load(data_dir=REAL).train_images)
    learner = Learner(config, build_model(config, (28, 28)), torch.device("cpu"))
    for chosen in torch.split(epoch_order(config.seed, 0, len(images)), config.batch_size):
        learner.step(images[chosen], config.lr, config.beta)
    means = learner.take_means()
    per_batch = 60_000 / 469
    assert means.recon * per_batch == pytest.approx(64354.42, rel=0.01)
    assert means.kl * config.beta * per_batch == pytest.approx(1144.68, rel=0.12)
    assert 100 * means.legacy_accuracy == pytest.approx(0.25, abs=0.03)
