"""How many processes of a run this machine gets."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tui_vae.config import RunConfig, recorded_config
from tui_vae.errors import UserError
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.directory import RunDirectory


@dataclass(frozen=True)
class Placement:
    """How many processes this machine gets, and what the run's description says of that.

    warning: what to tell the user first; empty if nothing.
    """

    devices: int
    warning: str = ""


def recorded(directory: RunDirectory) -> RunConfig:
    """The run's description: of its last checkpoint, else of its config.toml.

    Raises:
        UserError: neither can be read.
    """
    try:
        return recorded_config(read_facts(directory.files.last)["config"])
    except (CheckpointError, KeyError, TypeError):
        return directory.read_config()


def place(config: RunConfig, asked: int | str | None, is_new: bool) -> Placement:
    """How many processes to start here for a run of this description.

    asked: what this start asks for; None: what the description says.

    Raises:
        UserError: there are not so many devices. A run that goes on elsewhere without being asked takes what there is.
    """
    wanted = config.devices if asked is None else asked
    if wanted == 1:
        return Placement(1)
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = config.device.partition(":")
    if kind == "mps" or (kind == "auto" and not cuda and torch.backends.mps.is_available()):
        there, what = 1, "one Apple GPU"
    elif kind == "cuda" or (kind == "auto" and cuda):
        there, what = cuda, "one CUDA device" if cuda == 1 else f"{cuda or 'no'} CUDA devices"
    else:
        from tui_vae.core.core_limits import usable_cores

        there = usable_cores().cores
        what = f"{there} usable cores, and on a CPU each device is a core at least"
        if wanted == "auto":
            return Placement(1)  # threads of one process are the faster way to use them
    if wanted == "auto":
        return Placement(max(there, 1))
    assert isinstance(wanted, int)
    if number and is_new and asked is None:
        raise UserError(
            f"--device {config.device} is one device, and --devices {wanted} are several", "train with --device cuda"
        )
    if wanted <= there:
        return Placement(wanted)
    if asked is None and not is_new:
        left = max(there, 1)
        return Placement(left, f"there are no {wanted} devices here any more: going on with {left}, the same batches")
    raise UserError(f"--devices {wanted}: this machine has {what}", f"train with --devices {max(there, 1)}, or auto")


def limit_of(name: str, usual: float) -> float:
    """A limit in seconds, which the environment may set."""
    try:
        return float(os.environ.get(name, usual))
    except ValueError:
        return usual
