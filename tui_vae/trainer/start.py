"""From a run's directory to a training that stands ready: from its config.toml, or from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tui_vae.config import make_config
from tui_vae.core.data.datasets import grey_levels
from tui_vae.core.devices import Cores, choose_threads
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunError, finished_error, train_another
from tui_vae.runs.files import sweep
from tui_vae.trainer.checkpoints import CheckpointError, Progress, load_checkpoint
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.previews import write_originals
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.training import Training
from tui_vae.trainer.workbench import available_device, equip, run_event, settle


def start_training(
    directory: RunDirectory,
    log: ev.EventLog,
    inbox: Inbox,
    more_epochs: int,
    loading: Callable[[str], None],
    cores: Cores,
) -> Training:
    """Load everything and say in the log what was loaded.

    Raises:
        UserError: a device or data that is not there, a damaged checkpoint, a finished run without more epochs.
    """

    def warn(message: str, hint: str = "") -> None:
        log.write(ev.WarningEvent(message=message, hint=hint))

    sweep(directory.path)
    sweep(directory.previews)
    tensors = None
    if directory.last.exists():
        loading("reading the checkpoint")
        try:
            progress, tensors = load_checkpoint(directory.last)
        except CheckpointError as error:
            raise CheckpointError(error.message, train_another(directory)) from None
        config = available_device(make_config(progress.config), warn)
    else:
        wanted = directory.read_config()
        config, usual = settle(wanted, cores), choose_threads(wanted.threads, Cores(cores.leave_one))
        if config.device == "cpu" and config.threads != usual:
            warn(f"other processes keep cores busy: training on {config.threads} of {usual} threads",
                 f"--threads {usual} takes as many all the same")  # fmt: skip
        progress = Progress(config=config.to_dict(), segments=[config.epochs], beta=config.beta)
    config = replace(config, name=directory.name)  # it may have been renamed
    progress.config["name"] = directory.name
    if more_epochs:
        progress.segments.append(more_epochs)
    if progress.evaluated >= progress.planned_epochs:
        raise finished_error(directory)

    loading("loading the data")
    bench = equip(config, loading)
    source = bench.dataset.source
    if source.kind == "sample":
        warn(f"training on the {source.description}, not on the full dataset", source.reason)
    if progress.train_images not in (0, len(bench.train)):
        raise RunError(
            f"run {directory.name!r} was trained on {progress.train_images} images; there are {len(bench.train)} now",
            "give it the same data again (tui-vae data shows what is found)",
        )
    progress.train_images = len(bench.train)
    learner = Learner(config, bench.model, bench.device, images=len(bench.train), warn=warn)
    if tensors is not None:
        try:
            learner.restore(tensors)
        except (KeyError, RuntimeError):
            raise CheckpointError(f"{directory.last} does not fit the network of its configuration") from None
    dataset, chosen = bench.dataset, list(bench.previews)
    labels = dataset.test_labels[chosen].tolist()
    write_originals(directory.previews, grey_levels(dataset.test_images[chosen]), chosen, labels)
    log.write(run_event(directory, bench, progress, learner.kernels))
    return Training(directory, log, inbox, bench, learner, progress)
