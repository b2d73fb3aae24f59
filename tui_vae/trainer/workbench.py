"""What a run works with: its settled configuration, its device, its images on that device, its network."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

import tui_vae
from tui_vae.config import RunConfig, make_config
from tui_vae.core.data.datasets import Dataset, evaluation_subset, load, preview_indices
from tui_vae.core.devices import ALL_CORES, Cores, choose_device, choose_precision, choose_threads, device_name
from tui_vae.core.evaluation.metrics import Evaluation, Survey, survey
from tui_vae.core.models.mlp import VAE, count_parameters
from tui_vae.core.objectives import make_objective
from tui_vae.core.schedules import beta_share
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import DatasetFacts, Metrics, RunEvent
from tui_vae.trainer.batches import fits
from tui_vae.trainer.checkpoints import CheckpointError, Progress, load_checkpoint
from tui_vae.trainer.learner import build_model, derived_seed, restore_weights


@dataclass(frozen=True)
class Workbench:
    """`train`, `test`: images `(N, height, width)` as read; `subset`: the fixed part of `train` to evaluate on.

    `test` and `subset` are on the device; `train` is there or, where it is too large or `data-on` says so, on the host.
    """

    config: RunConfig
    device: torch.device
    dataset: Dataset
    model: VAE
    train: Tensor
    test: Tensor
    subset: Tensor
    previews: tuple[int, ...]

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.train) // self.config.batch_size)

    def warmth(self, step: int) -> float:
        """The share of β that is in force after `step` steps."""
        config, steps = self.config, self.steps_per_epoch
        return beta_share(step, config.kl_warmup * steps, config.kl_cycles, config.epochs * steps)

    def survey(
        self, images: Tensor, beta: float, between_pieces: Callable[[], None] = lambda: None
    ) -> tuple[Evaluation, Survey]:
        """Evaluate on images on the device, with the run's own evaluation noise."""
        seed = derived_seed(self.config.seed, 0, 2)
        return survey(self.model, images, make_objective(self.config), beta, seed, between_pieces)

    def dataset_facts(self) -> DatasetFacts:
        return DatasetFacts(
            name=self.dataset.name, source=self.dataset.source.description,
            train=len(self.train), test=len(self.test), classes=self.dataset.classes,
        )  # fmt: skip


def settle(config: RunConfig, cores: Cores = ALL_CORES) -> RunConfig:
    """Device, threads and precision as they will be for the whole run.

    Raises:
        UserError: the device asked for is not there.
    """
    device = choose_device(config.device)
    return replace(
        config, device=str(device), threads=choose_threads(config.threads, cores),
        precision=choose_precision(config.precision, device),
    )  # fmt: skip


def equip(config: RunConfig, progress: Callable[[str], None] | None = None) -> Workbench:
    """Load the data onto the device and build the network with its initial weights.

    `config` is a settled one. Sets the process's thread count.

    Raises:
        UserError: device or data are not there, or the data do not fit on the device.
    """
    device = choose_device(config.device)
    torch.set_num_threads(config.threads or 1)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # which graphs and kernels are launched on that no tensor says where
        # What is called float32 is float32, and convolutions' gradients are the same to the last bit.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    dataset = load(config.dataset, config.data_dir, config.train_limit, config.test_limit, progress)
    height, width = dataset.train_images.shape[1:]
    model = build_model(config, (height, width))
    _check_batches(config, model, len(dataset.train_images))
    try:
        model = model.to(device)
        train = torch.from_numpy(dataset.train_images)
        test = torch.from_numpy(dataset.test_images).to(device)
        subset = train[torch.from_numpy(evaluation_subset(len(train), len(test)))].to(device)
        if config.data_on == "device" or (config.data_on == "auto" and fits(train.nbytes, device)):
            train = train.to(device)
    except torch.OutOfMemoryError:
        hint = "choose another --device, or --data-on host"
        raise UserError(f"{device} has too little free memory for this run", hint) from None
    previews = tuple(int(index) for index in preview_indices(dataset.test_labels))
    return Workbench(config, device, dataset, model, train, test, subset, previews)


def _check_batches(config: RunConfig, model: VAE, images: int) -> None:
    """
    Raises:
        UserError: a step of one image, where the network normalizes over a step's images.
    """
    last = (images - 1) % config.batch_size + 1
    if last == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise UserError(
            f"the last step of an epoch of {images} images would have one image, and batch normalization needs two",
            f"choose another --batch-size than {config.batch_size}, or --norm layer",
        )


def checkpoint_path(directory: RunDirectory, which: str | None = None) -> Path:
    """The checkpoint called `last` or `best`; by default the newest there is: last, else best.

    Raises:
        CheckpointError: the run has none.
    """
    candidates = [directory.path / f"{which}.safetensors"] if which else [directory.last, directory.best]
    for path in candidates:
        if path.exists():
            return path
    wanted = f"{which} checkpoint" if which else "checkpoint"
    raise CheckpointError(f"run {directory.name!r} has no {wanted} yet", f"train it: tui-vae resume {directory.name}")


def open_run(
    directory: RunDirectory, which: str | None = None, progress: Callable[[str], None] | None = None
) -> tuple[Workbench, Progress]:
    """A trained run's workbench with the weights of a checkpoint, on the run's own device, else on one that is there.

    Raises:
        UserError: no checkpoint, a damaged one, no data.
    """
    path = checkpoint_path(directory, which)
    state, tensors = load_checkpoint(path)
    config = available_device(make_config(state.config), progress)
    bench = equip(config, progress)
    try:
        restore_weights(bench.model, tensors)
    except RuntimeError:
        raise CheckpointError(f"{path} does not fit the network that its own configuration describes") from None
    return bench, state


def available_device(config: RunConfig, progress: Callable[[str], None] | None = None) -> RunConfig:
    """The settled configuration, on a device that is there: another machine may lack the run's own."""
    try:
        choose_device(config.device)
    except UserError:
        device = choose_device("auto")
        if progress:
            progress(f"{config.device} is not there: going on with {device}, not bit for bit the same")
        return replace(config, device=str(device), precision="float32")
    return config


def as_event(figures: Evaluation) -> Metrics:
    """An evaluation as the log holds it."""
    return Metrics(**vars(figures))


def run_event(directory: RunDirectory, bench: Workbench, progress: Progress, kernels: str) -> RunEvent:
    """Who the run is, as the log holds it from here on."""
    config = bench.config
    return RunEvent(
        name=directory.name, config=config.to_dict(), device=str(bench.device), device_name=device_name(bench.device),
        dataset=bench.dataset_facts(), parameters=count_parameters(bench.model), versions=versions(kernels),
        threads=config.threads or 1, precision=config.precision, step=progress.step,
        epochs=progress.planned_epochs, steps_per_epoch=bench.steps_per_epoch,
    )  # fmt: skip


def versions(kernels: str) -> dict[str, str]:
    return {
        "tui-vae": tui_vae.__version__, "python": platform.python_version(),
        "torch": str(torch.__version__), "numpy": np.__version__, "kernels": kernels,
    }  # fmt: skip
