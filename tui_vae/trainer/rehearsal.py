"""A training step of the default preset on empty images, before any run is known.

What only a process's first step takes, the next does not take again: the kernels are loaded, oneDNN has compiled the
products, and PyTorch has imported what it imports at the first use.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import torch

from tui_vae.config import make_config
from tui_vae.core.devices import Cores
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import build_network, resolve_machine_options

SHAPE = (1, 28, 28)
"""Of FashionMNIST's images, which most runs are of."""

NVIDIA_DRIVER = Path("/dev/nvidiactl")
"""There where an NVIDIA driver runs; a run trains on its device then. Asking CUDA itself would make a context there."""


def rehearse() -> None:
    """Do the step on the CPU, and free what it took. A GPU is not touched, and nothing is done where there is one."""
    if NVIDIA_DRIVER.exists():
        return
    config = resolve_machine_options(make_config({"device": "cpu"}), Cores(leave_one=True))
    model = build_network(config, SHAPE)
    learner = Learner(config, model, torch.device("cpu"))
    learner.step(torch.zeros(config.batch_size, *SHAPE[1:], dtype=torch.uint8), config.lr, config.beta)
    del learner, model
    with suppress(AttributeError, OSError):  # glibc's alone; this thread's memory is of no use to the run's
        ctypes.CDLL(None).malloc_trim(0)
