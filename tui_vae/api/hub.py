"""A network from the folder that `tui-vae export --what hub` writes, as a model hub keeps it; no run is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_vae.config import recorded_config
from tui_vae.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from tui_vae.core.models.vae import VAE

CARD, OPTIONS, WEIGHTS = "README.md", "config.json", "model.safetensors"
"""The files of such a folder, under the names that hubs know."""


def load_model(folder: str | Path) -> VAE:
    """The network of a folder of `tui-vae export --what hub`, on the CPU, in evaluation mode. Nothing in it is run.

    A `torch.nn.Module`: `encode(x)` → μ, log σ² and `decode(z)` → x̂, for x of shape `(N, D)` in [-1, 1], D =
    channels · height · width.

    Raises:
        UserError: a file is not there, damaged or of another network; or the network is a class of its author's, which
            the folder's card says how to load.
    """
    folder = Path(folder)
    shape, given = _described(folder / OPTIONS)
    if ":" in str(given.get("model")):
        raise UserError(f"the network in {folder} is its author's own class", f"see {folder / CARD} for how to load it")
    try:
        config = recorded_config(given)
    except UserError as error:
        raise UserError(f"{folder / OPTIONS}: {error.message}", error.hint) from None
    import torch

    from tui_vae.core.models.build import build_model
    from tui_vae.trainer.checkpoints import read_plain_file

    weights = read_plain_file(folder / WEIGHTS)
    with torch.random.fork_rng(devices=[]):  # building a network draws weights, from a seed that it sets
        try:
            with torch.device("meta"):  # takes no memory, however large a stranger says that it is
                meant = build_model(config, shape).state_dict()
        except (RuntimeError, TypeError):  # larger than 64 bits can count
            meant = {}
        if _shapes(meant) != _shapes(weights):
            raise UserError(f"{folder / WEIGHTS} does not fit the network of {folder / OPTIONS}")
        model = build_model(config, shape)
    model.load_state_dict(weights)
    return model.eval()


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _described(file: Path) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """The shape of the images, (channels, height, width), and the options of the run."""
    try:
        about = json.loads(file.read_bytes())
        shape, given = tuple(about["shape"]), about["config"]
        if len(shape) != 3 or not all(isinstance(each, int) and each > 0 for each in shape):
            raise ValueError(shape)
        if not isinstance(given, dict):
            raise TypeError(given)
    except OSError as error:
        hint = "name a folder that was exported with --what hub"
        raise UserError(f"cannot read {file}: {error.strerror}", hint) from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{file} does not describe a network of tui-vae") from None
    return shape, given
