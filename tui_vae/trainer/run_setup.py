"""Setting up a run: resolve its machine options, load the data, build the network, restore a checkpoint, log the run.

`set_up_training` begins or continues training. `trainer/trained_run.py` loads a checkpoint to evaluate or serve it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tui_vae import __version__
from tui_vae.config import RunConfig, recorded_config
from tui_vae.core.arithmetic import set_arithmetic
from tui_vae.core.data.assemble import GIVEN
from tui_vae.core.data.check import check_same, same_again
from tui_vae.core.data.datasets import Dataset, Labels, evaluation_subset, load, preview_indices
from tui_vae.core.data.duplicates import across_note, count_duplicates
from tui_vae.core.data.mapped import ReadAhead, in_large_pages, nothing_ahead, read_ahead_of
from tui_vae.core.devices import ALL_CORES, Cores, choose_device, choose_precision, choose_threads, device_name
from tui_vae.core.evaluation.metrics import Evaluation, evaluate
from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.core.models.build import build_model
from tui_vae.core.models.vae import VAE, count_parameters
from tui_vae.core.objectives import make_objective
from tui_vae.core.pixels import Shape, grey_levels
from tui_vae.core.schedules import beta_share
from tui_vae.core.seeds import derived_seed
from tui_vae.errors import UserError, is_out_of_memory
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import CheckpointError, Progress, of_another_run
from tui_vae.runs.directory import RunDirectory, RunError, finished_error
from tui_vae.runs.files import sweep
from tui_vae.runs.go_back import way_on
from tui_vae.runs.log_search import mentions_run
from tui_vae.runs.previews import Originals, remove_previews_after, write_originals
from tui_vae.runs.write_errors import unwritable
from tui_vae.trainer.batches import fits
from tui_vae.trainer.checkpoints import load_checkpoint, misfit
from tui_vae.trainer.crew import NO_CREW, Crew
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.repeated_evaluation import RepeatedEvaluation

MOST_COMPARED = 256 << 20
"""Bytes of training images up to which they are compared with the test images at a run's start; `tui-vae data` compares
any number. It takes a third of a second."""

RUN_ID_BYTES = 8
"""Random bytes of a run's id: no two runs of a person have the same."""


@dataclass(frozen=True)
class LoadedRun:
    """A run in memory: its resolved configuration, its device, its images and its network on that device.

    `train`, `test`: images `(N, height, width)` as read; `subset`: the fixed part of `train` that evaluations cover.
    `test` and `subset` are on the device. `train` is there too, or on the host if it is too large or `data-on` says so.
    `previews`: indices of the test images whose reconstructions are kept through time. `read_ahead`: what is told which
    rows of `train` come next.
    """

    config: RunConfig
    device: torch.device
    dataset: Dataset
    model: VAE
    train: Tensor
    test: Tensor
    subset: Tensor
    previews: tuple[int, ...]
    read_ahead: ReadAhead = nothing_ahead

    @property
    def subset_labels(self) -> Labels | None:
        """The class of each image of `subset`; None where the images have none."""
        labels = self.dataset.train_labels
        return None if labels is None else labels[evaluation_subset(len(self.train), len(self.test))]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training set, the last and smaller one included."""
        return -(-len(self.train) // self.config.batch_size)

    def beta_share(self, step: int) -> float:
        """The share of β that the warm-up or cycle leaves in force after `step` steps, from 0 to 1."""
        config, steps = self.config, self.steps_per_epoch
        return beta_share(step, config.kl_warmup * steps, config.kl_cycles, config.epochs * steps)

    def evaluate(
        self, images: Tensor, beta: float, after_batch: Callable[[], None] = lambda: None
    ) -> tuple[Evaluation, PosteriorStatistics]:
        """Evaluate `images`, `(N, height, width)` on the device, with the run's own evaluation noise.

        `after_batch` is called after each batch. Gives also the statistics that the figures are made of.
        """
        return evaluate(self.model, images, make_objective(self.config), beta, self._evaluation_seed, after_batch)

    def repeated_evaluation(self, warn: Callable[[str, str], None]) -> RepeatedEvaluation:
        """What evaluates `test` and `subset` again and again, with the same figures as `evaluate`.

        `warn` is told what makes that slower than it could be, and why.
        """
        sets, objective = (self.test, self.subset), make_objective(self.config)
        previews = self.test[torch.tensor(self.previews, device=self.device)]
        return RepeatedEvaluation(self.model, sets, previews, objective, self._evaluation_seed, warn)

    @property
    def _evaluation_seed(self) -> int:
        return derived_seed(self.config.seed, 0, 2)


class TrainingSetup(NamedTuple):
    """What a training begins with."""

    run: LoadedRun
    learner: Learner
    progress: Progress
    crew: Crew = NO_CREW


def set_up_training(
    directory: RunDirectory, log: ev.EventLog, more_epochs: int, loading: Callable[[str], None], cores: Cores,
    devices: int = 1, crew: Crew = NO_CREW,
) -> TrainingSetup:  # fmt: skip
    """Load a run from its last checkpoint, or from its config.toml where it has none, and write its `run` event.

    `loading` is told what is under way. `more_epochs` are added to those planned. `devices`: what the run's description
    says from now on. `crew`: who trains it together.

    Raises:
        UserError: the device or the data are not there, the checkpoint is damaged or does not fit, or the run is
            finished and `more_epochs` is 0.
    """

    def warn(message: str, hint: str = "") -> None:
        log.write(ev.WarningEvent(message=message, hint=hint))

    sweep(directory.files.path)  # a link, where the directory is held open
    for folder in (directory.files.previews, directory.files.kept):
        if not folder.is_symlink():  # what a link leads to is not the run's
            sweep(folder)
    tensors = None
    if directory.files.last.exists():
        loading("reading the checkpoint")
        progress, tensors = _read_last_checkpoint(directory)
        config = on_available_device(recorded_config(progress.config), warn)
    else:
        config = _resolve_new_run(directory.read_config(), cores, warn)
        progress = Progress(config=config.to_dict(), segments=[config.epochs], beta=config.beta)
    config = replace(config, name=directory.name, devices=devices)  # the directory may have been renamed
    progress.config |= {"name": directory.name, "devices": devices}
    progress.run_id = progress.run_id or os.urandom(RUN_ID_BYTES).hex()
    if more_epochs:
        progress.plan_more(more_epochs)
    if progress.finished:
        raise finished_error(directory)

    loading("loading the data")
    crew.told(config)
    run = replace(load_data_and_model(crew.on_my_device(config), loading, to_train=True), config=config)
    check_data(directory, run.dataset, progress)
    _tell_of_data(run, warn)
    progress.train_images, progress.data = len(run.train), run.dataset.fingerprint
    learner = Learner(config, run.model, run.device, train_size=len(run.train), warn=warn, ranks=crew.ranks)
    if tensors is not None:
        _restore(directory, config, learner, tensors)
    crew.begin(learner, run.dataset)
    remove_previews_after(directory.files.previews, progress.evaluated)
    try:
        _write_originals(directory, run)
    except OSError as error:  # a run without previews is still one
        wrong = unwritable("the preview images", error, directory.path)
        warn(wrong.message, wrong.hint)
    log.write(run_event(directory, run, progress, learner.kernels))
    return TrainingSetup(run, learner, progress, crew)


# -- The machine: device, threads, precision ---------------------------------------------------------------------------


def resolve_machine_options(config: RunConfig, cores: Cores = ALL_CORES) -> RunConfig:
    """The configuration with the device, thread count and precision that hold for the whole run in place of `auto`.

    Raises:
        UserError: the device asked for is not there.
    """
    device = choose_device(config.device)
    return replace(
        config, device=str(device), threads=choose_threads(config.threads, cores),
        precision=choose_precision(config.precision, device),
    )  # fmt: skip


def _resolve_new_run(given: RunConfig, cores: Cores, warn: Callable[[str, str], None]) -> RunConfig:
    """`resolve_machine_options` for a run that begins, with a warning where busy cores cost it threads."""
    config, usual = resolve_machine_options(given, cores), choose_threads(given.threads, Cores(cores.leave_one))
    if config.device == "cpu" and config.threads != usual:
        warn(f"other processes keep cores busy: training on {config.threads} of {usual} threads",
             f"--threads {usual} uses {usual} anyway")  # fmt: skip
    return config


def on_available_device(config: RunConfig, progress: Callable[[str], None] | None = None) -> RunConfig:
    """A resolved configuration, on another device where this machine lacks the run's own."""
    try:
        choose_device(config.device)
    except UserError:
        device = choose_device("auto")
        if progress:
            progress(f"{config.device} is not there: going on with {device}, not bit for bit the same")
        return replace(config, device=str(device), precision="float32")
    return config


# -- The data and the network ------------------------------------------------------------------------------------------


def load_data(config: RunConfig, progress: Callable[[str], None] | None = None) -> Dataset:
    """The data of a run.

    Raises:
        DatasetError: they are not there, or cannot be used.
    """
    return load(
        config.dataset, config.data_dir, config.train_limit, config.test_limit, progress,
        config.image_size, config.channels, config.test_share,
    )  # fmt: skip


def load_data_and_model(
    config: RunConfig, progress: Callable[[str], None] | None = None, to_train: bool = False
) -> LoadedRun:
    """Load the data onto the device, and build the network there with its initial weights.

    `config` is resolved. `to_train`: the training images will be gathered in any order, epoch after epoch. Sets this
    process's arithmetic, and on CUDA its device.

    Raises:
        UserError: the device or the data are not there, or the data do not fit on the device.
    """
    device = choose_device(config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # graphs and kernels are launched there where no tensor says which device
    dataset = load_data(config, progress)
    model = build_network(config, dataset.shape)
    _check_batches(config, model, len(dataset.train_images))
    try:
        model = model.to(device)
        train = torch.from_numpy(dataset.train_images)
        test = torch.from_numpy(dataset.test_images).to(device)
        chosen = evaluation_subset(len(train), len(test))
        subset = torch.from_numpy(np.take(dataset.train_images, chosen, axis=0)).to(
            device
        )  # twice as fast as `train[…]`
        if config.data_on == "device" or (config.data_on == "auto" and fits(train.nbytes, device)):
            train = train.to(device)
        if to_train and train.device.type == device.type == "cpu":
            dataset = replace(dataset, train_images=in_large_pages(dataset.train_images))
            train = torch.from_numpy(dataset.train_images)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        hint = "free some of it, or train with another --device, or with --data-on host"
        raise UserError(f"{device} has too little free memory for this run", hint) from None
    no_classes = np.zeros(len(dataset.test_images), np.uint8)
    of_test = no_classes if dataset.test_labels is None else dataset.test_labels
    previews = tuple(int(index) for index in preview_indices(of_test))
    ahead = read_ahead_of(dataset.train_images) if train.device.type == "cpu" else nothing_ahead
    return LoadedRun(config, device, dataset, model, train, test, subset, previews, ahead)


def build_network(config: RunConfig, shape: Shape) -> VAE:
    """The run's network with its initial weights, on the CPU. Sets this process's arithmetic; `config` is resolved.

    Raises:
        UserError: as `build_model`.
    """
    set_arithmetic(config.threads or 1)
    model = build_model(config, shape)
    set_arithmetic(config.threads or 1)  # the constructor of a user's own model may have changed it
    return model


def _check_batches(config: RunConfig, model: VAE, images: int) -> None:
    """
    Raises:
        UserError: a step would have one image, and the network normalizes over a step's images.
    """
    last = (images - 1) % config.batch_size + 1
    if last == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise UserError(
            f"the last step of an epoch of {images:,} images would have one image, and batch normalization needs two"
            if images > 1
            else "there is one training image, and batch normalization needs two",
            f"choose another --batch-size than {config.batch_size}, or --norm layer"
            if images > 1
            else "choose --norm layer",
        )


def _tell_of_data(run: LoadedRun, warn: Callable[[str, str], None]) -> None:
    """Warn where the data are only a sample, and say what was done to them and which test images were trained on."""
    source = run.dataset.source
    if source.kind == "sample":
        warn(f"training on the {source.description}, not on the full dataset", source.reason)
    if run.dataset.split != GIVEN:
        warn(f"the source has no test set: {run.dataset.split}", "--test-share sets another share aside")
    if run.dataset.notes:
        warn(f"about the data: {'; '.join(run.dataset.notes)}", "")
    train, test = run.dataset.train_images, run.dataset.test_images
    if not source.published and train.nbytes <= MOST_COMPARED:
        note = across_note(count_duplicates(train, test), len(train), len(test))
        if note:
            warn(note, "they are reconstructed better than new ones would be")


def check_data(directory: RunDirectory, dataset: Dataset, progress: Progress) -> None:
    """
    Raises:
        RunError, DatasetError: a checkpoint is of other images than those that were found.
    """
    found = len(dataset.train_images)
    if progress.train_images not in (0, found):
        was = f"run {directory.name!r} was trained on {progress.train_images} images; there are {found} now"
        raise RunError(was, same_again(dataset))
    check_same(dataset, directory.name, progress.data)


def _write_originals(directory: RunDirectory, run: LoadedRun) -> None:
    """Write the preview images, beside which their reconstructions will stand."""
    chosen = list(run.previews)
    labels = run.dataset.test_labels
    found = () if labels is None else tuple(labels[chosen].tolist())
    images = grey_levels(run.dataset.test_images[chosen])
    pixels, (channels, _, width) = tuple(image.tobytes() for image in images), run.dataset.shape
    write_originals(directory.files.previews, Originals(pixels, tuple(chosen), found, width, channels))


# -- The checkpoint ----------------------------------------------------------------------------------------------------


def _read_last_checkpoint(directory: RunDirectory) -> tuple[Progress, dict[str, Tensor]]:
    """
    Raises:
        CheckpointError: it is damaged, or of another run.
    """
    try:
        progress, tensors = load_checkpoint(directory.files.last)
    except CheckpointError as error:
        raise CheckpointError(error.message, way_on(directory)) from None
    if not mentions_run(directory.files.events, progress.run_id):
        foreign = of_another_run(directory.last)
        raise CheckpointError(foreign.message, f"{foreign.hint}, or {way_on(directory)}")
    return progress, tensors


def _restore(directory: RunDirectory, config: RunConfig, learner: Learner, tensors: dict[str, Tensor]) -> None:
    """
    Raises:
        CheckpointError: the tensors are of another network.
    """
    try:
        learner.restore(tensors)
    except (KeyError, RuntimeError):
        raise misfit(directory.last, config) from None


# -- What the log says of a run ----------------------------------------------------------------------------------------


def run_event(directory: RunDirectory, run: LoadedRun, progress: Progress, kernels: str) -> ev.RunEvent:
    """The `run` event, written at every start and whenever the planned epochs change."""
    config, dataset = run.config, run.dataset
    return ev.RunEvent(
        name=directory.name, config=config.to_dict(), device=str(run.device), device_name=device_name(run.device),
        dataset=ev.DatasetFacts(
            name=dataset.name, source=dataset.source.description,
            train=len(run.train), test=len(run.test), classes=dataset.classes,
            shape=dataset.shape, split=dataset.split, fingerprint=dataset.fingerprint,
        ),
        parameters=count_parameters(run.model), threads=config.threads or 1, precision=config.precision,
        step=progress.step, epochs=progress.planned_epochs, steps_per_epoch=run.steps_per_epoch, id=progress.run_id,
        versions={
            "tui-vae": __version__, "python": platform.python_version(),
            "torch": str(torch.__version__), "numpy": np.__version__, "kernels": kernels,
        },
    )  # fmt: skip


def logged_metrics(figures: Evaluation) -> ev.Metrics:
    """The figures of an evaluation in the form that the log holds."""
    return ev.Metrics(**vars(figures))
