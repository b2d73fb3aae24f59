"""A trained run: a checkpoint's weights in its network, to evaluate or serve it; with the run's data or without."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tui_vae.config import RunConfig, recorded_config
from tui_vae.core.data.check import of_run
from tui_vae.core.devices import choose_device
from tui_vae.core.models.vae import VAE
from tui_vae.core.pixels import Shape, full_shape
from tui_vae.runs.checkpoint_file import CheckpointError, Progress, of_another_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.log_search import mentions_run
from tui_vae.runs.newer import check_not_newer
from tui_vae.runs.other_checkpoints import choose_another, go_on_or_look
from tui_vae.trainer.checkpoints import checkpoint_path, load_checkpoint, misfit
from tui_vae.trainer.learner import restore_weights
from tui_vae.trainer.run_setup import LoadedRun, build_network, check_data, load_data_and_model, on_available_device

OLDER_SHAPE: Shape = (1, 28, 28)
"""Of the images of a log that does not say it: version 0.1 wrote such logs, of FashionMNIST nearly always."""


def load_trained_run(
    directory: RunDirectory,
    which: str | None = None,
    progress: Callable[[str], None] | None = None,
    chooses: bool = True,
) -> tuple[LoadedRun, Progress]:
    """A trained run with the weights of a checkpoint, on its own device or, where that is not there, on another.

    `which`: `last`, `best` or the number of a kept epoch; by default the newest there is. `progress` is told what is
    under way. `chooses`: whether the user can name another checkpoint, which the error then offers.

    Raises:
        UserError: there is no checkpoint, it is damaged or does not fit, or there are no data.
    """
    path, state, tensors = _checkpoint(directory, which, chooses)
    config = on_available_device(recorded_config(state.config), progress)
    with of_run(config, directory.name):
        run = load_data_and_model(config, progress)
    check_data(directory, run.dataset, state)
    _restore(path, config, run.model, tensors)
    return run, state


class TrainedNetwork(NamedTuple):
    """A run's network with a checkpoint's weights, in evaluation mode; the shape of its images, and their name."""

    model: VAE
    device: torch.device
    shape: Shape
    dataset: str
    progress: Progress


def load_trained_network(directory: RunDirectory, which: str | None = None) -> TrainedNetwork:
    """`load_trained_run` for whoever needs none of the run's images: they may be elsewhere.

    Raises:
        UserError: there is no checkpoint, or it is damaged or does not fit.
    """
    path, state, tensors = _checkpoint(directory, which, chooses=True)
    config = on_available_device(recorded_config(state.config))
    event = read_history(directory.events).run
    shape = full_shape(event.dataset.shape) if event and event.dataset.shape else OLDER_SHAPE
    name = event.dataset.name if event else config.dataset
    model, device = build_network(config, shape), choose_device(config.device)
    _restore(path, config, model, tensors)
    return TrainedNetwork(model.to(device).eval(), device, shape, name, state)


def _checkpoint(directory: RunDirectory, which: str | None, chooses: bool) -> tuple[Path, Progress, dict[str, Tensor]]:
    path = checkpoint_path(directory, which)
    check_not_newer(directory, path)
    try:
        state, tensors = load_checkpoint(path)
        with suppress(OSError):  # without a log that can be read, nothing speaks against it
            if not mentions_run(directory.files.events, state.run_id):
                raise of_another_run(path)
    except CheckpointError as error:
        hint = choose_another(directory, path) if chooses else go_on_or_look(directory)
        raise CheckpointError(error.message, hint) from None
    return path, state, tensors


def _restore(path: Path, config: RunConfig, model: VAE, tensors: dict[str, Tensor]) -> None:
    try:
        restore_weights(model, tensors)
    except RuntimeError:
        raise misfit(path, config) from None
