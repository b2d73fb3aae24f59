"""`eval --iwae`, `--frechet` and `--probe` against arithmetic of their own in numpy, and how they are shown."""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

from tests.support.extras import needs_probe
from tests.support.numpy_network import Network
from tests.support.processes import Trained
from tui_vae.cli import main
from tui_vae.core.data.datasets import Dataset, Images, evaluation_subset, load
from tui_vae.core.evaluation.classifier import WEIGHTS, extract, packaged
from tui_vae.core.evaluation.frechet import Moments, frechet_distance
from tui_vae.core.evaluation.likelihood import importance_weighted_bound
from tui_vae.core.seeds import derived_seed

Array = NDArray[np.float64]
torch.set_num_threads(1)


# -- The importance-weighted bound -------------------------------------------------------------------------------------


class LinearModel(nn.Module):
    """x̂ = Wz + b with orthogonal columns, so that p(x) and p(z|x) are known; the encoder may be wrong by some."""

    pixels, latent_dim = 16, 3

    def __init__(self, variance: float, wrong_by: float) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(1)
        columns, _ = torch.linalg.qr(torch.randn(self.pixels, self.latent_dim, generator=dice))
        self.weight: Tensor = columns * torch.tensor([0.5, 1.0, 1.5])
        self.bias = 0.2 * torch.randn(self.pixels, generator=dice)
        self.precision = 1 + self.weight.square().sum(dim=0) / (4 * variance)
        self.variance, self.wrong_by = variance, wrong_by

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = (x - self.bias) @ self.weight / (4 * self.variance) / self.precision
        deviation = self.precision.rsqrt()
        return mu + self.wrong_by * deviation, (2 * deviation.log() + self.wrong_by).expand_as(mu)

    def decode(self, z: Tensor) -> Tensor:
        return z @ self.weight.T + self.bias


def exact_likelihood(model: LinearModel, images: Tensor) -> float:
    """Mean over images of ln N(p; (b + 1)/2, WWᵀ/4 + m·I), in float64."""
    w, b = model.weight.double().numpy(), model.bias.double().numpy()
    covariance = w @ w.T / 4 + model.variance * np.eye(model.pixels)
    away = images.flatten(1).double().numpy() / 255 - (b + 1) / 2
    squares = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariance), away)
    logdet = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return float((-0.5 * (logdet + squares)).mean())


def test_with_the_true_posterior_the_bound_is_the_likelihood_and_else_it_rises_towards_it() -> None:
    images = torch.randint(0, 256, (1500, 4, 4), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    right, wrong = LinearModel(0.05, 0.0), LinearModel(0.05, 0.7)
    exact = exact_likelihood(right, images)
    for draws in (1, 7):
        bound = importance_weighted_bound(right, images, 0.05, draws, seed=3)  # type: ignore[arg-type]
        assert bound.nats == pytest.approx(exact, rel=1e-5)
        assert bound.bits_per_pixel == pytest.approx((math.log(255) - exact / 16) / math.log(2), rel=1e-5)
    bounds = [importance_weighted_bound(wrong, images, 0.05, draws, seed=3).nats  # type: ignore[arg-type]
              for draws in (1, 4, 16, 256)]  # fmt: skip
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.5
    assert exact - 0.05 < bounds[-1] < exact + 0.01


def test_the_bound_of_a_run_follows_from_its_weights(
    run_eval: Callable[..., tuple[int, str, str]], network: Network, dataset: Dataset
) -> None:
    code, out, err = run_eval("--iwae", 6, "--json")
    assert code == 0
    assert err.count("\n") == 1
    facts = json.loads(out)
    variance = facts["test"]["recon"] / 784 / 4
    p, (mu, logvar) = dataset.test_images.reshape(500, 784) / 255, network.encode(dataset.test_images)
    generator = torch.Generator().manual_seed(derived_seed(0, 0, 10))
    logs = []
    for _ in range(6):
        eps = torch.empty(500, 8).normal_(generator=generator).double().numpy()
        z = mu + np.exp(logvar / 2) * eps
        log_x = -0.5 * (784 * np.log(2 * np.pi * variance) + ((network.decode(z) - p) ** 2).sum(axis=1) / variance)
        log_prior = -0.5 * (8 * np.log(2 * np.pi) + (z**2).sum(axis=1))
        log_q = -0.5 * (8 * np.log(2 * np.pi) + logvar.sum(axis=1) + ((z - mu) ** 2 / np.exp(logvar)).sum(axis=1))
        logs.append(log_x + log_prior - log_q)
    weights = np.array(logs)
    highest = weights.max(axis=0)
    nats = (highest + np.log(np.exp(weights - highest).mean(axis=0))).mean()
    assert facts["iwae"]["draws"] == 6
    assert facts["iwae"]["variance"] == pytest.approx(variance)
    assert facts["iwae"]["nats"] == pytest.approx(nats, rel=1e-4)
    assert facts["iwae"]["bits_per_pixel"] == pytest.approx((math.log(255) - nats / 784) / math.log(2), rel=1e-4)
    # K = 1 is the ELBO, but for its noise; more draws are above it, with the same noise and so surely.
    elbo = 784 * (math.log(255) - facts["test"]["elbo_bpd"] * math.log(2))
    singles = [float(row.mean()) for row in weights]
    assert elbo == pytest.approx(np.mean(singles), abs=6 * float(np.std(singles)))
    found = [json.loads(run_eval("--iwae", draws, "--json")[1])["iwae"]["nats"] for draws in (1, 6, 30)]
    assert found[0] == pytest.approx(singles[0], rel=1e-4)
    assert found[0] < found[1] < found[2]
    assert found[1] == facts["iwae"]["nats"]


# -- The classifier Fréchet distance -----------------------------------------------------------------------------------


def features(images: Images) -> Array:
    """The classifier's features, convolution by convolution in float64 from the weights in the package."""
    weights = {name: value.astype(np.float64) for name, value in load_file(WEIGHTS).items()}
    x = images[:, None] / 255
    for name, pooled in (("first", True), ("second", True), ("third", False)):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = sliding_window_view(padded, (3, 3), axis=(2, 3))
        x = np.einsum("nihwab,oiab->nohw", windows, weights[f"{name}.weight"], optimize=True)
        x = np.maximum(x + weights[f"{name}.bias"][:, None, None], 0)
        if pooled:
            count, channels, height, width = x.shape
            x = x.reshape(count, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    found: Array = x.reshape(len(x), -1) @ weights["to_features.weight"].T + weights["to_features.bias"]
    return found


def distance(one: Array, other: Array) -> float:
    """The formula with the eigenvalues of Σ₁Σ₂ itself, which is not symmetric."""
    first, second = np.cov(one.T), np.cov(other.T)
    cross = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    apart = ((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum()
    return float(apart + np.trace(first) + np.trace(second) - 2 * cross)


def test_the_packaged_classifier_knows_fashion(dataset: Dataset) -> None:
    known = load()
    found = extract(packaged(), torch.from_numpy(known.test_images))
    np.testing.assert_allclose(found[:20].double().numpy(), features(known.test_images[:20]), rtol=1e-3, atol=1e-3)
    called = packaged().classify(found).argmax(dim=1).numpy()
    assert (called == known.test_labels).mean() > 0.9  # 92.4 % of the whole test set, its README says


def test_the_distance_of_known_gaussians() -> None:
    one = Moments(torch.tensor([0.0, 1.0]).double(), torch.diag(torch.tensor([4.0, 1.0]).double()))
    other = Moments(torch.tensor([3.0, 1.0]).double(), torch.diag(torch.tensor([1.0, 9.0]).double()))
    assert frechet_distance(one, other) == pytest.approx(9 + (2 - 1) ** 2 + (1 - 3) ** 2)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-12)
    assert math.isnan(frechet_distance(one, Moments(torch.full((2,), math.nan).double(), one.covariance)))


@pytest.mark.slow
def test_distances_of_a_run_follow_from_its_weights(
    run_eval: Callable[..., tuple[int, str, str]], network: Network, dataset: Dataset
) -> None:
    code, out, _ = run_eval("--frechet", "--samples", 400, "--json")
    assert code == 0
    found = json.loads(out)["frechet"]
    assert (found["samples"], found["images"]) == (400, 500)

    def seen(p: Array) -> Array:
        return extract(packaged(), torch.from_numpy(p)).double().numpy()

    test = seen(dataset.test_images / 255)
    subset = dataset.train_images[evaluation_subset(2000, 500)]
    assert found["train"] == pytest.approx(distance(seen(subset / 255), test), rel=1e-4)
    reconstructed = network.decode(network.encode(dataset.test_images)[0])
    assert found["reconstructions"] == pytest.approx(distance(seen(reconstructed), test), rel=1e-4)

    mu, logvar = network.encode(subset)
    factor = np.linalg.cholesky(np.cov(mu.T, bias=True) + np.diag(np.exp(logvar).mean(axis=0)))
    generator = torch.Generator().manual_seed(derived_seed(0, 0, 11))
    noise = torch.randn(400, 8, generator=generator, dtype=torch.float64).numpy()
    for name, z in (("fitted", mu.mean(axis=0) + noise @ factor.T), ("prior", noise)):
        assert found[name] == pytest.approx(distance(seen(network.decode(z)), test), rel=1e-4)
    assert 0 < found["train"] < min(found["reconstructions"], found["fitted"], found["prior"])
    assert json.loads(run_eval("--frechet", "--samples", 400, "--json")[1])["frechet"] == found


# -- The probe ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def probed(trained: Trained) -> dict[str, Any]:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(["eval", "done", "--runs-dir", trained.runs_dir, "--probe", "--json"]) == 0
    found: dict[str, Any] = json.loads(out.getvalue())["probe"]
    return found


@needs_probe
def test_the_probes_answers_are_those_of_the_textbook(
    probed: dict[str, Any], network: Network, dataset: Dataset
) -> None:
    train, test = network.encode(dataset.train_images)[0], network.encode(dataset.test_images)[0]
    labels, truth = dataset.labels("train").astype(int), dataset.labels("test").astype(int)
    regression, neighbours = probed["classifiers"]

    squares = (test**2).sum(axis=1)[:, None] - 2 * test @ train.T + (train**2).sum(axis=1)
    nearest = labels[np.argsort(squares, axis=1)[:, :10]]
    votes = (nearest[:, :, None] == np.arange(10)).sum(axis=1)
    assert neighbours["accuracy"] == pytest.approx((votes.argmax(axis=1) == truth).mean(), abs=0.005)

    x = torch.from_numpy((train - train.mean(axis=0)) / train.std(axis=0))
    x_test = torch.from_numpy((test - train.mean(axis=0)) / train.std(axis=0))
    w = torch.zeros(8, 10, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([w, b], max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def penalized() -> Tensor:
        search.zero_grad()
        fit = nn.functional.cross_entropy(x @ w + b, torch.from_numpy(labels), reduction="sum")
        loss: Tensor = (fit + 0.5 * w.square().sum()) / len(x)
        loss.backward()
        return loss

    search.step(penalized)
    expected = ((x_test @ w + b).argmax(dim=1).numpy() == truth).mean()
    assert regression["accuracy"] == pytest.approx(expected, abs=0.005)
    assert expected > 0.5


@needs_probe
def test_scores_follow_from_the_confusion_matrices(probed: dict[str, Any], dataset: Dataset) -> None:
    for verdict in probed["classifiers"]:
        counts = np.array(verdict["confusion"])
        assert counts.sum(axis=1).tolist() == np.bincount(dataset.labels("test"), minlength=10).tolist()
        assert verdict["accuracy"] == pytest.approx(np.trace(counts) / 500)
        for index, score in enumerate(verdict["classes"]):
            hits = counts[index, index]
            assert score["name"] == dataset.classes[index]
            assert score["recall"] == pytest.approx(hits / counts[index].sum())
            assert score["precision"] == pytest.approx(hits / counts[:, index].sum())
            assert score["f1"] == pytest.approx(2 / (1 / score["recall"] + 1 / score["precision"]))


@needs_probe
def test_cluster_scores_follow_from_their_counts(probed: dict[str, Any]) -> None:
    counts = np.array(probed["clusters"]["counts"])
    assert counts.shape == (10, 10)
    assert counts.sum() == 500

    def pairs(numbers: NDArray[Any]) -> float:
        return float((numbers * (numbers - 1) / 2).sum())

    together, rows, columns = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    chance = rows * columns / pairs(np.array([500]))
    assert probed["clusters"]["agreement"] == pytest.approx((together - chance) / ((rows + columns) / 2 - chance))

    def entropy(shares: NDArray[Any]) -> float:
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    p = counts / 500
    alone = entropy(p.sum(axis=0)) + entropy(p.sum(axis=1))
    assert probed["clusters"]["information"] == pytest.approx(2 * (alone - entropy(p)) / alone)


@needs_probe
def test_outliers_are_the_furthest_from_the_fitted_gaussian(
    probed: dict[str, Any], network: Network, dataset: Dataset
) -> None:
    mu, logvar = network.encode(dataset.train_images[evaluation_subset(2000, 500)])
    covariance = np.cov(mu.T, bias=True) + np.diag(np.exp(logvar).mean(axis=0))
    away = network.encode(dataset.test_images)[0] - mu.mean(axis=0)
    squares = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariance), away)
    order = np.argsort(-squares)[: len(probed["outliers"])]
    assert [each["index"] for each in probed["outliers"]] == order.tolist()
    assert [each["distance"] for each in probed["outliers"]] == pytest.approx(squares[order], rel=1e-4)
    assert [each["class"] for each in probed["outliers"]] == [
        dataset.classes[label] for label in dataset.labels("test")[order]
    ]


@needs_probe
def test_the_probe_is_drawn_for_80_columns_with_and_without_colours(
    run_eval: Callable[..., tuple[int, str, str]], probed: dict[str, Any], trained: Trained,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, plain, _ = run_eval("--probe")
    assert code == 0
    assert "\x1b" not in plain
    drawn = [line for line in plain.splitlines()[1:] if "tui-vae show" not in line]  # a command is as long as its paths
    assert max(map(len, drawn)) <= 80
    for name, counts in zip(("Trouser", "Ankle boot"), (probed["classifiers"][0]["confusion"][at] for at in (1, 9)),
                            strict=True):  # fmt: skip
        line = next(line for line in plain.splitlines() if line.startswith(name))
        cells = line.removeprefix(name).split()
        assert [0 if cell == "·" else int(cell) for cell in cells[:10]] == counts
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, coloured, _ = run_eval("--probe")
    assert coloured.count("\x1b[1;38;5;") > 10  # the hits
    assert "48;5;" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;5;" not in run_eval("--probe")[1]
    monkeypatch.delenv("FORCE_COLOR")

    see = plain.splitlines()[-1].split("tui-vae ")[1].split()
    assert main([*see, "--runs-dir", trained.runs_dir]) == 0
    shown = [int(word[1:]) for word in capsys.readouterr().out.split() if word[0] == "#" and word[1:].isdigit()]
    assert shown == [each["index"] for each in probed["outliers"]]
    assert main(["show", "done", "--index", "1,500", "--runs-dir", trained.runs_dir]) == 1
    assert "numbered 0 to 499" in capsys.readouterr().err


def test_without_scikit_learn_the_probe_says_what_to_install(
    run_eval: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, err = run_eval("--probe", "--json")
    assert code == 1
    assert "tui-vae: the probe needs scikit-learn; install it: pip install scikit-learn" in err.splitlines()
