"""What single latent dimensions do, as an animation: each goes from one end of its range to the other and back."""

from __future__ import annotations

from typing import Any

from tui_vae.cli.animation import animated
from tui_vae.cli.export_images import GAP, enlargement, sheet
from tui_vae.cli.load_trained import load_trained
from tui_vae.runs.directory import RunDirectory

DIMENSIONS = 8
"""Dimensions that are shown, those of the highest KL first: the others do little."""

IMAGES = 4
"""Test images from which they depart, one below the other."""

REACH, STEPS = 3.0, 15
"""From -REACH to REACH, in standard deviations of the prior, in so many frames, and back in as many."""

MILLISECONDS = 90
"""Of a frame: there and back takes 2.5 seconds."""

SCALE = 3
"""How many times images are enlarged at most."""


def traversal(directory: RunDirectory, which: str | None, ending: str) -> bytes:
    """Columns are dimensions, rows the first test images of other classes; z = μ but for the column's dimension.

    Raises:
        UserError: as `load_trained`.
    """
    run, progress = load_trained(directory, which)
    import numpy as np
    import torch
    from PIL import Image

    from tui_vae.core.evaluation.forward import decode, encode
    from tui_vae.core.pixels import as_images, unit_to_grey_levels

    chosen = run.test[torch.tensor(run.previews[:IMAGES], device=run.device)]
    mu, _ = encode(run.model, chosen)
    dimensions, scale = _most_used(run), enlargement(run.dataset.shape, SCALE)
    frames = []
    for value in np.linspace(-REACH, REACH, STEPS):
        z = mu[:, None, :].repeat(1, len(dimensions), 1)
        for column, dimension in enumerate(dimensions):
            z[:, column, dimension] = float(value)
        images = unit_to_grey_levels(as_images(decode(run.model, z.flatten(0, 1)), run.dataset.shape))
        rows = images.reshape(len(chosen), len(dimensions), *images.shape[1:])
        pixels = sheet([list(row) for row in rows], between=GAP)
        frames.append(Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1)))
    film = [*frames, *reversed(frames[1:-1])]
    words = f"tui-vae, run {directory.name}, step {progress.step}: dimensions {', '.join(map(str, dimensions))}"
    return animated(film, [MILLISECONDS] * len(film), ending, f"{words} from -{REACH:g} to {REACH:g}")


def _most_used(run: Any) -> list[int]:
    """The dimensions with the highest mean KL over the run's evaluation subset, the highest first."""
    from tui_vae.core.evaluation.posteriors import encode_posteriors

    kl = encode_posteriors(run.model, run.subset).kl_per_dim
    return sorted(range(len(kl)), key=lambda at: -float(kl[at]))[:DIMENSIONS]
