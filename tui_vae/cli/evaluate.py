"""`eval`: a run's test metrics; on request a tighter bound, the distance of its samples, what its latents know."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from tui_vae.cli.show import note
from tui_vae.errors import UsageError, UserError
from tui_vae.runs.directory import find_run, runs_directory

if TYPE_CHECKING:
    from tui_vae.core.evaluation.frechet import Distances
    from tui_vae.core.evaluation.likelihood import Bound
    from tui_vae.core.evaluation.sampling import LatentGaussian
    from tui_vae.trainer.workbench import Workbench

OUTLIERS = 8
# Each figure's noise is its own: streams of the run's seed beside those of training (1) and evaluation (2).
IWAE_STREAM, SAMPLES_STREAM, PROBE_STREAM = 10, 11, 12


def evaluate(options: argparse.Namespace) -> int:
    """The figures of a checkpoint, over the whole test set."""
    from tui_vae.trainer.workbench import as_event, checkpoint_path, open_run

    if options.samples and not options.frechet:
        raise UsageError("--samples goes with --frechet", "add it")
    directory = find_run(runs_directory(options.runs_dir), options.name)
    which = options.checkpoint or checkpoint_path(directory).stem
    bench, progress = open_run(directory, which, note)
    figures, _ = bench.survey(bench.test, progress.beta)
    test = msgspec.to_builtins(as_event(figures))
    facts = {"run": directory.name, "checkpoint": which, "epoch": progress.evaluated, "step": progress.step,
             "images": len(bench.test), "test": test}  # fmt: skip
    if not options.json:
        print(f"{directory.name}, {which} checkpoint (epoch {progress.evaluated}), {len(bench.test):,} test images of "
              f"{bench.dataset.name} from the {bench.dataset.source.description}")  # fmt: skip
        _print_figures(test, bench.config.latent_dim)
    if options.iwae:
        bound = _bound(bench, figures.recon, options.iwae)
        facts["iwae"] = bound
        if not options.json:
            _print_bound(bound, figures.elbo_bpd, bench.model.pixels)
    if options.frechet:
        distances = _distances(bench, options.samples or len(bench.test))
        facts["frechet"] = distances
        if not options.json:
            _print_distances(distances)
    if options.probe:
        facts["probe"] = found = _probe(bench)
        if not options.json:
            from tui_vae.cli.probe_report import print_probe

            print_probe(found, bench.dataset.classes, directory.name)
    if options.json:
        print(msgspec.json.encode(facts).decode())  # where the standard library writes NaN, which is not JSON
    return 0


def _print_figures(test: dict[str, Any], latent_dim: int) -> None:
    units = {"kl": "nats an image", "mse": "a pixel, [0, 1]", "elbo_bpd": "bits a pixel", "recon": "an image, [-1, 1]",
             "active_units": f"of {latent_dim} latent dimensions"}  # fmt: skip
    for name, value in test.items():
        if name != "kl_per_dim":
            shown = value if isinstance(value, int) else f"{value:.6g}"
            print(f"  {name:<13}{shown:>12}  {units.get(name, '')}".rstrip())


# -- The importance-weighted bound -------------------------------------------------------------------------------------


def _bound(bench: Workbench, recon: float, draws: int) -> Bound:
    from tui_vae.core.evaluation.likelihood import decoder_variance, importance_weighted_bound

    pixels, seed = bench.model.pixels, _seed(bench, IWAE_STREAM)
    words = f"importance-weighted bound, {draws:,} draws for each of {len(bench.test):,} images"
    with _progress(words, draws * len(bench.test)) as advanced:
        variance = decoder_variance(recon, pixels)
        return importance_weighted_bound(bench.model, bench.test, variance, draws, seed, advanced)


def _print_bound(bound: Bound, elbo_bpd: float, pixels: int) -> None:
    import math

    elbo = pixels * (math.log(255) - elbo_bpd * math.log(2))
    print(f"\nimportance-weighted bound on ln p(x), K = {bound.draws:,}, decoder's variance {bound.variance:.4g}")
    for name, nats, bits in (("iwae", bound.nats, bound.bits_per_pixel), ("elbo", elbo, elbo_bpd)):
        print(f"  {name:<13}{nats:>12.6g}  nats an image{bits:>10.4f}  bits a pixel")


# -- The classifier Fréchet distance -----------------------------------------------------------------------------------


def _distances(bench: Workbench, samples: int) -> Distances:
    import torch

    from tui_vae.core.evaluation.frechet import sample_distances

    total = 2 * len(bench.test) + 2 * samples + len(bench.subset)
    with _progress(f"classifier Fréchet distance, {samples:,} samples of each kind", total) as advanced:
        labels = torch.from_numpy(bench.dataset.test_labels)
        return sample_distances(bench.model, _gaussian(bench), bench.test, labels, bench.subset, samples,
                                _seed(bench, SAMPLES_STREAM), advanced)  # fmt: skip


def _print_distances(found: Distances) -> None:
    known = f"{100 * found.classifier_accuracy:.1f} %"
    print("\nclassifier Fréchet distance from the test set (not the FID: the features are\n"
          f"those of a small FashionMNIST classifier, right on {known} of the test images)")  # fmt: skip
    for name, value, what in (
        ("fitted", found.fitted, f"{found.samples:,} samples from the Gaussian fitted to the encoder's z"),
        ("prior", found.prior, f"{found.samples:,} samples from the prior N(0, I)"),
        ("recon", found.reconstructions, "the test images' reconstructions at z = μ"),
        ("train", found.train, "training images: what a perfect generator would reach"),
    ):
        print(f"  {name:<13}{value:>12.2f}  {what}")


def _gaussian(bench: Workbench) -> LatentGaussian:
    from tui_vae.core.evaluation.sampling import fit_gaussian

    try:
        return fit_gaussian(bench.model, bench.subset)
    except RuntimeError:
        raise UserError("no Gaussian fits what the encoder gives: the run has diverged",
                        "take --checkpoint best, or train it with a lower --lr") from None  # fmt: skip


# -- The probe ---------------------------------------------------------------------------------------------------------


def _probe(bench: Workbench) -> dict[str, Any]:
    """What was found, as `--json` gives it."""
    import numpy as np

    from tui_vae.core.evaluation.latent import posterior_means
    from tui_vae.core.evaluation.probe import outliers, probe

    dataset = bench.dataset
    with _progress(f"probe: fitting to μ of {len(bench.train):,} training images", None):
        test = posterior_means(bench.model, bench.test)
        verdicts, clusters = probe(
            posterior_means(bench.model, bench.train), dataset.train_labels.astype(np.int64),
            test, dataset.test_labels.astype(np.int64), dataset.classes, _seed(bench, PROBE_STREAM),
        )  # fmt: skip
        least_likely = outliers(test, _gaussian(bench), OUTLIERS)
    return {
        "classifiers": verdicts,
        "clusters": clusters,
        "outliers": [{**vars(each), "class": dataset.classes[dataset.test_labels[each.index]]}
                     for each in least_likely],
    }  # fmt: skip


# -- Both --------------------------------------------------------------------------------------------------------------


def _seed(bench: Workbench, stream: int) -> int:
    from tui_vae.trainer.learner import derived_seed

    return derived_seed(bench.config.seed, 0, stream)


@contextmanager
def _progress(words: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """On stderr: a bar that goes away again where that is a terminal, else one line. Gives what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        note(words)
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda images: bar.advance(task, images)
