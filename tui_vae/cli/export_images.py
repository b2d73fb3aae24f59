"""Exports of reconstructions and samples: arrays of the whole test set, and sheets of images."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_vae.cli.class_names import class_number
from tui_vae.cli.load_trained import load_trained
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from tui_vae.trainer.run_setup import LoadedRun

    Image8 = NDArray[np.uint8]

PAIRS_A_CLASS = 6
"""Test images of each class on a sheet of reconstructions."""

ROWS_WITHOUT_CLASSES = 10
"""Rows of a sheet of images that have no classes."""

MOST_ROWS, MOST_HEIGHT = 100, 10_000
"""Classes on a sheet, the first ones, at most, and its height in pixels, before it is enlarged."""

GAP, SCALE, SMALL = 2, 2, 64
"""Pixels between images, before each becomes a square of SCALE × SCALE, where images have at most SMALL a side."""


def reconstructions_npz(directory: RunDirectory, which: str | None = None) -> bytes:
    """The whole test set in order; `reconstruction` is the decoder at z = μ, float32 in [0, 1].

    `original` is as the data are: uint8, or float32 in [0, 1], `(N, height, width)` or `(N, height, width, 3)`; without
    labels there is no `label`.

    Raises:
        UserError: as `load_trained`.
    """
    run, _ = load_trained(directory, which)
    import numpy as np

    from tui_vae.core.evaluation.forward import reconstruct
    from tui_vae.core.pixels import as_images

    result, labels = reconstruct(run.model, run.test), run.dataset.test_labels
    originals = run.dataset.test_images
    arrays = {"index": np.arange(len(originals), dtype=np.int64)}
    if labels is not None:
        arrays["label"] = labels.astype(np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        **arrays,
        original=originals,
        reconstruction=as_images(result.images, run.dataset.shape).cpu().numpy(),
        mu=result.mu.cpu().numpy(),
        logvar=result.logvar.cpu().numpy(),
    )
    return buffer.getvalue()


def grid_png(directory: RunDirectory, which: str | None = None) -> bytes:
    """A row a class: its first test images, each original with its reconstruction to the right. Without labels, rows of
    the first test images.

    Raises:
        UserError: as `load_trained`.
    """
    run, _ = load_trained(directory, which)
    import numpy as np
    import torch

    from tui_vae.core.evaluation.forward import reconstruct
    from tui_vae.core.pixels import as_images, grey_levels, unit_to_grey_levels

    labels, originals = run.dataset.test_labels, run.dataset.test_images
    if labels is None:
        first = np.arange(min(len(originals), ROWS_WITHOUT_CLASSES * PAIRS_A_CLASS))
        groups = [first[start : start + PAIRS_A_CLASS] for start in range(0, len(first), PAIRS_A_CLASS)]
    else:
        most = max(1, min(MOST_ROWS, MOST_HEIGHT // originals.shape[1]))
        there = [np.flatnonzero(labels == label) for label in np.unique(labels)[:most]]
        groups = [indices[:PAIRS_A_CLASS] for indices in there]
    rows = []
    for chosen in groups:
        made = reconstruct(run.model, run.test[torch.from_numpy(chosen).to(run.device)]).images
        pixels = unit_to_grey_levels(as_images(made, run.dataset.shape))
        rows.append([np.concatenate(pair, axis=1) for pair in zip(grey_levels(originals[chosen]), pixels, strict=True)])
    scale = _scale(run.dataset.shape)
    return _png(sheet(rows, between=2 * GAP), scale, f"originals and reconstructions of run {directory.name}")


def samples_png(
    directory: RunDirectory, which: str | None, count: int, prior: bool, seed: int, class_name: str | None = None
) -> bytes:
    """Decoded latents in a square: from the Gaussian fitted to the encoder's z, or to that of training images of one
    class, or from the prior N(0, I).

    The same checkpoint, device and seed give the same image.

    Raises:
        UsageError: there is no such class.
        UserError: no Gaussian fits, as the encoder has diverged, or as there is no image of the class.
    """
    run, progress = load_trained(directory, which)
    import torch

    from tui_vae.core.evaluation.forward import decode
    from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
    from tui_vae.core.evaluation.posteriors import encode_posteriors
    from tui_vae.core.pixels import as_images, unit_to_grey_levels

    generator = torch.Generator().manual_seed(seed)
    if prior:
        z = torch.randn(count, run.model.latent_dim, generator=generator)
    else:
        chosen = None if class_name is None else _places_of_class(run, class_name)
        try:
            z = fit_gaussian(encode_posteriors(run.model, run.subset), chosen).draw(count, generator)
        except RuntimeError:
            hint = "sample from the prior with --prior, or take --checkpoint best"
            raise UserError(f"no Gaussian fits the latents of {directory.name!r}: it has diverged", hint) from None
    images = unit_to_grey_levels(as_images(decode(run.model, z.to(run.device)), run.dataset.shape))
    columns = math.ceil(math.sqrt(count))
    rows = [list(images[start : start + columns]) for start in range(0, count, columns)]
    of_class = "" if class_name is None else f" of class {class_name}"
    source = "the prior N(0, I)" if prior else f"the Gaussian fitted to the encoder's z{of_class}"
    words = f"samples of run {directory.name}, step {progress.step}, from {source}, seed {seed}"
    return _png(sheet(rows, between=GAP), _scale(run.dataset.shape), words)


def _places_of_class(run: LoadedRun, name: str) -> Tensor:
    """The places of a class's images in the training subset.

    Raises:
        UsageError: there is no such class. UserError: there is no image of it.
    """
    import torch

    labels, classes = run.subset_labels, run.dataset.classes
    label = class_number(classes, labels is not None, name)
    found = torch.from_numpy(labels == label).nonzero()[:, 0]
    if not len(found):
        what = f"none of the {len(run.subset):,} training images that the Gaussian is fitted to is {classes[label]}"
        raise UserError(what, "choose another --class")
    return found


def _scale(shape: tuple[int, int, int]) -> int:
    """How many times images of this shape are enlarged."""
    return SCALE if max(shape[1:]) <= SMALL else 1


def sheet(rows: Sequence[Sequence[Image8]], between: int) -> Image8:
    """Images of one size in rows, black where there is none, `between` pixels from one to the next in a row."""
    import numpy as np

    height, width, *channels = rows[0][0].shape
    columns = max(map(len, rows))
    size = len(rows) * (height + GAP) - GAP, columns * (width + between) - between
    whole = np.zeros((*size, *channels), np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = y * (height + GAP), x * (width + between)
            whole[top : top + height, left : left + width] = image
    return whole


def _png(pixels: Image8, scale: int, words: str) -> bytes:
    """A PNG file of a sheet, enlarged without smoothing, with a description in words."""
    from PIL import Image, PngImagePlugin

    facts = PngImagePlugin.PngInfo()
    facts.add_text("Description", words)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    large = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    large.save(buffer, "PNG", pnginfo=facts)
    return buffer.getvalue()
