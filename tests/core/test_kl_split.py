"""The parts of the KL against closed forms of Gaussians, and against integrals in float64 numpy."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.numpy_network import Network
from tests.support.processes import Trained
from tui_vae.core.data.datasets import Dataset
from tui_vae.core.evaluation.kl_split import SHOWN_POINTS, KlSplit, split_kl
from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
from tui_vae.core.evaluation.posteriors import posterior_statistics

Array = NDArray[np.float64]


def split_of(mu: Array, variance: Array, draws: int = 10_000) -> KlSplit:
    logvar = np.broadcast_to(np.log(variance), mu.shape)
    return split_kl(torch.from_numpy(mu.copy()), torch.from_numpy(logvar.copy()), draws, seed=3)


def density(z: Array, mu: Array, variance: Array) -> Array:
    """N(z; μ, σ²) of each number."""
    found: Array = np.exp(-0.5 * (z - mu) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return found


def test_of_gaussians_the_parts_are_those_of_the_closed_forms() -> None:
    """Means from N(0, C) and one variance: q(z) is N(0, C + σ²I), but for what 8,000 images lack."""
    covariance, noise = np.array([[0.8, 0.5], [0.5, 0.6]]), 0.4
    whole = covariance + noise * np.eye(2)
    mu = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 8000)
    found = split_of(mu, np.array(noise))
    variances = whole.diagonal()
    assert found.mutual_information == pytest.approx(0.5 * math.log(np.linalg.det(whole) / noise**2), abs=0.04)
    assert found.total_correlation == pytest.approx(-0.5 * math.log(np.linalg.det(whole) / variances.prod()), abs=0.03)
    np.testing.assert_allclose(found.per_dimension, 0.5 * (variances - np.log(variances) - 1), atol=0.015)
    assert found.total_correlation > 0.1 and found.standard_error < 0.015


def test_of_codes_that_say_nothing_or_everything_the_parts_are_exact() -> None:
    same = split_of(np.tile([0.7, -2.0], (50, 1)), np.array([0.25, 1.0]))
    assert same.mutual_information == pytest.approx(0, abs=1e-9)
    assert same.total_correlation == pytest.approx(0, abs=1e-6)
    expected = [0.5 * (0.49 + 0.25 - math.log(0.25) - 1), 0.5 * 4.0]
    np.testing.assert_allclose(same.per_dimension, expected, atol=1e-6)
    apart = split_of(np.arange(64.0)[:, None] * np.array([100.0, 1.0]), np.array(1e-2))
    assert apart.mutual_information == pytest.approx(math.log(64), abs=1e-9) == apart.most_information


def test_the_parts_are_those_of_integrals_over_the_mixture() -> None:
    dice = np.random.default_rng(5)
    mu, variance = dice.normal(size=(40, 2)) @ np.array([[1.0, 0.6], [0.0, 0.5]]), dice.uniform(0.05, 0.6, (40, 2))
    found = split_of(mu, variance)
    grid = np.linspace(-8, 8, 1601)
    step = grid[1] - grid[0]
    parts = density(grid[:, None, None], mu, variance)  # (points, images, 2)
    marginals = parts.mean(axis=1)
    joint = parts[:, :, 0] @ parts[:, :, 1].T / 40
    entropy = -(joint * np.log(joint + 1e-300)).sum() * step**2
    entropies = -(marginals * np.log(marginals + 1e-300)).sum(axis=0) * step
    cross = 0.5 * ((marginals * grid[:, None] ** 2).sum(axis=0) * step + math.log(2 * math.pi))
    within = 0.5 * (np.log(2 * np.pi * variance) + 1).sum(axis=1).mean()
    np.testing.assert_allclose(found.per_dimension, cross - entropies, atol=1e-6)
    # Each of the 40 images has one sample: more passes are compared, with their error.
    many = [split_kl(torch.from_numpy(mu), torch.from_numpy(np.log(variance)), 40, seed) for seed in range(400)]
    information = np.array([each.mutual_information for each in many])
    error = information.std() / 20
    assert information.mean() == pytest.approx(entropy - within, abs=5 * error) and error < 0.01
    correlation = np.mean([each.total_correlation for each in many])
    assert correlation == pytest.approx(entropies.sum() - entropy, abs=5 * error)
    assert np.mean([each.standard_error for each in many]) == pytest.approx(information.std(), rel=0.3)
    for each in many[:3]:
        total = each.mutual_information + each.total_correlation + each.dimension_wise
        assert total == pytest.approx(0.5 * (mu**2 + variance - np.log(variance) - 1).sum(axis=1).mean(), rel=1e-12)

    shown = found.marginals
    for dimension in range(2):
        low, high = float(shown.low[dimension]), float(shown.high[dimension])
        points = np.linspace(low, high, SHOWN_POINTS)
        exact = density(points[:, None], mu[:, dimension], variance[:, dimension]).mean(axis=1)
        np.testing.assert_allclose(shown.density[dimension], exact, atol=0.02 * exact.max())
        edges = np.linspace(low, high, SHOWN_POINTS + 1)
        counts = np.histogram(mu[:, dimension], edges, density=True)[0]
        np.testing.assert_allclose(shown.means[dimension], counts, atol=1e-9)


def test_what_eval_prints_follows_from_the_weights(
    run_eval: Callable[..., tuple[int, str, str]], network: Network, dataset: Dataset, trained: Trained
) -> None:
    code, out, _ = run_eval("--split-kl", "--json")
    facts = json.loads(out)
    found = facts["kl_split"]
    assert (code, found["images"], found["draws"]) == (0, 500, 500)
    assert found["kl"] == pytest.approx(facts["test"]["kl"], rel=1e-5)
    parts = found["mutual_information"] + found["total_correlation"] + found["dimension_wise"]
    assert parts == pytest.approx(found["kl"], rel=1e-9)
    mu, logvar = network.encode(dataset.test_images)
    variance = np.exp(logvar)
    grid = np.linspace(-10, 10, 8001)
    for dimension, value in enumerate(found["per_dimension"]):
        q = density(grid[:, None], mu[:, dimension], variance[:, dimension]).mean(axis=1)
        exact = (q * (np.log(q + 1e-300) - np.log(density(grid, np.zeros(1), np.ones(1))))).sum() * (grid[1] - grid[0])
        assert value == pytest.approx(exact, abs=1e-4)
    z = mu + np.sqrt(variance) * np.random.default_rng(0).standard_normal(mu.shape)
    logs = -0.5 * ((z[:, None] - mu) ** 2 / variance + logvar).sum(axis=2)
    highest = logs.max(axis=1, keepdims=True)
    mixture = (highest + np.log(np.exp(logs - highest).mean(axis=1, keepdims=True)))[:, 0]
    terms = logs.diagonal() - mixture
    error = found["standard_error"] + terms.std() / math.sqrt(500)
    assert found["mutual_information"] == pytest.approx(terms.mean(), abs=5 * error + 1e-6)
    assert found["mutual_information"] <= found["most_information"] == pytest.approx(math.log(500))
    _, words, _ = run_eval("--split-kl")
    assert "at most ln 500 = 6.21" in words and "dimension-wise KL from N(0, 1)" in words


def test_the_gaussian_of_a_class_is_fitted_to_its_images_alone() -> None:
    dice = np.random.default_rng(2)
    mu, logvar, chosen = dice.normal(size=(60, 3)), dice.normal(size=(60, 3)), np.arange(5, 60, 4)
    statistics = posterior_statistics([torch.from_numpy(mu)], [torch.from_numpy(logvar)])
    found = fit_gaussian(statistics, torch.from_numpy(chosen))
    expected = np.cov(mu[chosen].T, bias=True) + np.diag(np.exp(logvar[chosen]).mean(axis=0))
    np.testing.assert_allclose(found.mean, mu[chosen].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.factor @ found.factor.T, expected, rtol=1e-12)
