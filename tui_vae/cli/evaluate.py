"""`tui-vae eval`: a run's test metrics; on request the importance-weighted bound, the parts of the KL, the Fréchet
distance, the probe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from tui_vae.cli.classifiers import classifier_for
from tui_vae.cli.cursor import cursor_comes_back
from tui_vae.cli.load_trained import load_trained, note
from tui_vae.cli.train_reporters import with_article
from tui_vae.errors import UsageError, UserError
from tui_vae.runs.health import INFORMATIVE_KL
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import find_to_load

if TYPE_CHECKING:
    from tui_vae.core.evaluation.frechet import FrechetDistances
    from tui_vae.core.evaluation.kl_split import KlSplit
    from tui_vae.core.evaluation.latent_gaussian import LatentGaussian
    from tui_vae.core.evaluation.likelihood import Bound
    from tui_vae.core.evaluation.posteriors import PosteriorStatistics
    from tui_vae.trainer.run_setup import LoadedRun

SPLIT_DRAWS = 4000
"""Samples of z for the parts of the KL, each of another test image: some seconds of work."""

DIVERGED = "take --checkpoint best, or train it with a lower --lr"
"""What to do about a run that has diverged."""

OUTLIERS = 8
"""Least likely test images that the probe lists."""

# Each figure has noise of its own: streams of the run's seed beside those of training (1) and evaluation (2).
IWAE_STREAM, SAMPLES_STREAM, PROBE_STREAM, SPLIT_STREAM = 10, 11, 12, 13


def evaluate(options: argparse.Namespace) -> int:
    """Print the figures of a checkpoint over the whole test set.

    Raises:
        UserError: the run or its data cannot be loaded, or a figure cannot be computed.
    """
    if options.samples and not options.frechet:
        raise UsageError("--samples goes with --frechet", "add it")
    directory = find_to_load(runs_directory(options.runs_dir), options.name, options.trust, options.checkpoint)
    run, progress = load_trained(directory, options.checkpoint)
    from tui_vae.trainer.checkpoints import checkpoint_path
    from tui_vae.trainer.run_setup import logged_metrics

    which = options.checkpoint or checkpoint_path(directory).stem
    figures, posteriors = run.evaluate(run.test, progress.beta)
    test = msgspec.to_builtins(logged_metrics(figures))
    facts = {"run": directory.name, "checkpoint": which, "epoch": progress.evaluated, "step": progress.step,
             "images": len(run.test), "test": test}  # fmt: skip
    if not options.json:
        print(f"{directory.name}, {which} checkpoint (epoch {progress.evaluated}), {len(run.test):,} test images of "
              f"{run.dataset.name} from {with_article(run.dataset.source.description)}")  # fmt: skip
        _print_figures(test, run.config.latent_dim)
    if options.iwae:
        bound = _bound(run, figures.recon, options.iwae)
        facts["iwae"] = bound
        if not options.json:
            _print_bound(bound, figures.elbo_bpd, run.model.pixels)
    if options.split_kl:
        split = _split(run, posteriors)
        facts["kl_split"] = _split_facts(split)
        if not options.json:
            _print_split(split)
    if options.frechet:
        distances, words = _distances(run, options.samples or len(run.test))
        facts["frechet"] = {**vars(distances), "classifier": words}
        if not options.json:
            _print_distances(distances, words)
    if options.probe:
        facts["probe"] = found = _probe(run)
        if not options.json:
            from tui_vae.cli.probe_report import print_probe

            print_probe(found, run.dataset.classes, directory.path)
    if options.json:
        print(msgspec.json.encode(facts).decode())  # where the standard library writes NaN, which is not JSON
    return 0


def _print_figures(test: dict[str, Any], latent_dim: int) -> None:
    used = sum((kl or 0) > INFORMATIVE_KL for kl in test["kl_per_dim"])
    of_units = f"of {latent_dim} latent dimensions; {used} have a KL above {INFORMATIVE_KL} nats"
    units = {"kl": "nats an image", "mse": "a pixel, [0, 1]", "elbo_bpd": "bits a pixel", "recon": "an image, [-1, 1]",
             "active_units": of_units}  # fmt: skip
    for name, value in test.items():
        if name != "kl_per_dim":
            shown = value if isinstance(value, int) else f"{value:.6g}"
            print(f"  {name:<13}{shown:>12}  {units.get(name, '')}".rstrip())


# -- The importance-weighted bound -------------------------------------------------------------------------------------


def _bound(run: LoadedRun, recon: float, draws: int) -> Bound:
    from tui_vae.core.evaluation.likelihood import decoder_variance, importance_weighted_bound

    pixels, seed = run.model.pixels, _seed(run, IWAE_STREAM)
    words = f"importance-weighted bound, {draws:,} draws for each of {len(run.test):,} images"
    with _progress(words, draws * len(run.test)) as advanced:
        variance = decoder_variance(recon, pixels)
        return importance_weighted_bound(run.model, run.test, variance, draws, seed, advanced)


def _print_bound(bound: Bound, elbo_bpd: float, pixels: int) -> None:
    import math

    elbo = pixels * (math.log(255) - elbo_bpd * math.log(2))
    print(f"\nimportance-weighted bound on ln p(x), K = {bound.draws:,}, decoder's variance {bound.variance:.4g}")
    for name, nats, bits in (("iwae", bound.nats, bound.bits_per_pixel), ("elbo", elbo, elbo_bpd)):
        print(f"  {name:<13}{nats:>12.6g}  nats an image{bits:>10.4f}  bits a pixel")


# -- The parts of the KL -----------------------------------------------------------------------------------------------


def _split(run: LoadedRun, posteriors: PosteriorStatistics) -> KlSplit:
    """
    Raises:
        UserError: the encoder has diverged.
    """
    from tui_vae.core.evaluation.kl_split import split_kl

    with _progress(f"the parts of the KL of {len(run.test):,} test images", None):
        try:
            return split_kl(posteriors.mu, posteriors.logvar, SPLIT_DRAWS, _seed(run, SPLIT_STREAM))
        except RuntimeError:
            raise UserError("the encoder gives numbers that are not finite: the run has diverged", DIVERGED) from None


def _split_facts(split: KlSplit) -> dict[str, Any]:
    """The parts in the form of `--json`."""
    names = ("images", "draws", "kl", "mutual_information", "most_information", "total_correlation", "dimension_wise",
             "standard_error")  # fmt: skip
    return {**{name: getattr(split, name) for name in names}, "per_dimension": split.per_dimension.tolist()}


def _print_split(split: KlSplit) -> None:
    print(f"\nthe KL of {split.images:,} test images, split in three (Hoffman & Johnson 2016; Chen et al. 2018), nats")
    error = f"± {split.standard_error:.2g}"
    for name, value, about in (
        ("information", split.mutual_information, f"{error}, of index and code: at most ln {split.images:,} = "
                                                  f"{split.most_information:.2f}"),
        ("correlation", split.total_correlation, f"{error}, total correlation of the dimensions"),
        ("marginals", split.dimension_wise, "dimension-wise KL from N(0, 1)"),
        ("kl", split.kl, "their sum"),
    ):  # fmt: skip
        print(f"  {name:<13}{value:>12.4f}  {about}")
    print("q(z) is the mixture of these images alone. Of all images that there could be, the information is larger\n"
          "and the other two together are smaller by as much: the more so, the nearer it is to its bound.")  # fmt: skip


# -- The classifier Fréchet distance -----------------------------------------------------------------------------------


def _distances(run: LoadedRun, samples: int) -> tuple[FrechetDistances, str]:
    """The distances, and the classifier that they are measured by in a few words."""
    import torch

    from tui_vae.core.evaluation.frechet import check_sizes, sample_distances

    check_sizes(len(run.test), len(run.subset), samples)  # before a classifier is trained
    network, words = classifier_for(run.dataset, _progress)
    total = 2 * len(run.test) + 2 * samples + len(run.subset)
    with _progress(f"classifier Fréchet distance, {samples:,} samples of each kind", total) as advanced:
        labels = torch.from_numpy(run.dataset.labels("test").astype("int64"))
        found = sample_distances(run.model, _gaussian(run), network, run.test, labels, run.subset, samples,
                                 _seed(run, SAMPLES_STREAM), advanced)  # fmt: skip
    return found, words


def _print_distances(found: FrechetDistances, words: str) -> None:
    known = f"{100 * found.classifier_accuracy:.1f} %"
    print("\nclassifier Fréchet distance from the test set (not the FID: the features are those of\n"
          f"{words}, right on {known} of the test images)")  # fmt: skip
    for name, value, what in (
        ("fitted", found.fitted, f"{found.samples:,} samples from the Gaussian fitted to the encoder's z"),
        ("prior", found.prior, f"{found.samples:,} samples from the prior N(0, I)"),
        ("recon", found.reconstructions, "the test images' reconstructions at z = μ"),
        ("train", found.train, "training images: what a perfect generator would reach"),
    ):
        print(f"  {name:<13}{value:>12.2f}  {what}")


def _gaussian(run: LoadedRun) -> LatentGaussian:
    from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
    from tui_vae.core.evaluation.posteriors import encode_posteriors

    try:
        return fit_gaussian(encode_posteriors(run.model, run.subset))
    except RuntimeError:
        raise UserError("no Gaussian fits what the encoder gives: the run has diverged",
                        DIVERGED) from None  # fmt: skip


# -- The probe ---------------------------------------------------------------------------------------------------------


def _check_classes(run: LoadedRun) -> None:
    """
    Raises:
        UserError: the training images are all of one class.
    """
    dataset = run.dataset
    if len(set(dataset.labels("train").tolist())) < 2:
        limited = len(run.train) < dataset.source.train
        hint = "train it with a higher --train-limit" if limited else "the probe needs images of several"
        raise UserError(f"the {len(run.train):,} training images are all of one class", hint)


def _probe(run: LoadedRun) -> dict[str, Any]:
    """The probe's results in the form of `--json`."""
    import numpy as np

    from tui_vae.core.evaluation.posteriors import encode_posteriors
    from tui_vae.core.evaluation.probe import outliers, probe

    dataset = run.dataset
    _check_classes(run)
    with _progress(f"probe: fitting to μ of {len(run.train):,} training images", None):
        test = encode_posteriors(run.model, run.test).mu.cpu()
        verdicts, clusters = probe(
            encode_posteriors(run.model, run.train).mu.cpu(), dataset.labels("train").astype(np.int64),
            test, dataset.labels("test").astype(np.int64), dataset.classes, _seed(run, PROBE_STREAM),
        )  # fmt: skip
        least_likely = outliers(test, _gaussian(run), OUTLIERS)
    return {
        "classifiers": verdicts,
        "clusters": clusters,
        "outliers": [{**vars(each), "class": dataset.classes[dataset.labels("test")[each.index]]}
                     for each in least_likely],
    }  # fmt: skip


# -- All of them -------------------------------------------------------------------------------------------------------


def _seed(run: LoadedRun, stream: int) -> int:
    from tui_vae.core.seeds import derived_seed

    return derived_seed(run.config.seed, 0, stream)


@contextmanager
def _progress(words: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, which disappears at the end; one line where stderr is no terminal.

    Gives a function that advances it by a number of images.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        note(words)
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with cursor_comes_back(sys.stderr), Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda images: bar.advance(task, images)
