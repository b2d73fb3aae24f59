"""Exports of reconstructions and samples: arrays of the whole test set, and sheets of images."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_vae.cli.class_names import class_number
from tui_vae.cli.load_trained import load_trained
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
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

GAP, SCALE = 2, 2
"""Pixels between images, before each becomes a square of SCALE × SCALE."""

STEPS_OF_SCALE = ((42, 3), (100, 2))
"""Images of at most so many pixels a side are enlarged so many times; larger ones stay as they are."""

POINTS_A_PIXEL, POINTS_AN_INCH = 2.0, 72.0
LEAST_INCHES, NAMES_INCHES, TITLE_INCHES = 3.0, 1.0, 0.5
"""Of a sheet in a figure: its size, the least width, and the room for the names of its rows and for its words."""


@dataclass(frozen=True)
class Sheet:
    """Images in rows, with what they are in words, and perhaps a name for each row.

    pixels: `(height, width)` or `(height, width, 3)`, before they are enlarged `scale` times.
    """

    pixels: Image8
    scale: int
    words: str
    names: tuple[str, ...] = ()

    def file(self, ending: str) -> bytes:
        """The sheet as PNG, its pixels alone; or as SVG or PDF, with its words and names.

        Raises:
            UserError: matplotlib is not installed, for SVG and PDF.
        """
        return self.png() if ending == "png" else self._drawn(ending)

    def png(self) -> bytes:
        """A PNG file, enlarged without smoothing, with the words as its description."""
        from PIL import Image, PngImagePlugin

        facts = PngImagePlugin.PngInfo()
        facts.add_text("Description", self.words)
        image = Image.fromarray(self.pixels)
        buffer = io.BytesIO()
        large = image.resize((image.width * self.scale, image.height * self.scale), Image.Resampling.NEAREST)
        large.save(buffer, "PNG", pnginfo=facts)
        return buffer.getvalue()

    def _drawn(self, ending: str) -> bytes:
        from tui_vae.cli.plots import drawn, literal

        height, width = (side * POINTS_A_PIXEL / POINTS_AN_INCH for side in self.pixels.shape[:2])

        def draw(figure: Figure) -> None:
            axis = figure.subplots()
            axis.imshow(self.pixels, cmap="gray", vmin=0, vmax=255, interpolation="none")
            axis.set_title(literal(self.words), fontsize="small", wrap=True)
            axis.spines[:].set_visible(False)
            axis.set_xticks([])
            each = (self.pixels.shape[0] + GAP) / max(1, len(self.names))
            axis.set_yticks([at * each + (each - GAP) / 2 for at in range(len(self.names))],
                            [literal(each) for each in self.names])  # fmt: skip
            axis.tick_params(length=0)

        size = max(LEAST_INCHES, width) + NAMES_INCHES * bool(self.names), height + TITLE_INCHES
        return drawn(draw, size, ending, instead="take PNG")


@dataclass(frozen=True)
class Draw:
    """So many latents: of the Gaussian fitted to the encoder's z, or to that of training images of one class, or of the
    prior N(0, I)."""

    count: int
    prior: bool = False
    seed: int = 0
    class_name: str | None = None


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
    arrays: dict[str, Any] = {"index": np.arange(len(originals), dtype=np.int64)}
    if labels is not None:
        arrays["label"] = labels.astype(np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        **arrays,
        original=originals,
        reconstruction=as_images(result.images, run.dataset.shape).cpu().numpy(),
        mu=result.mu.cpu().numpy(),
        logvar=result.logvar.cpu().numpy(),
    )
    return buffer.getvalue()


def grid_file(directory: RunDirectory, which: str | None, ending: str) -> bytes:
    """The file of `grid`.

    Raises:
        UserError: as `load_trained` and `Sheet.file`.
    """
    run, _ = load_trained(directory, which)
    return grid(run, directory.name).file(ending)


def samples_file(directory: RunDirectory, which: str | None, ending: str, drawn: Draw) -> bytes:
    """The file of `samples_of`.

    Raises:
        UserError: as `load_trained`, `samples_of` and `Sheet.file`.
    """
    run, progress = load_trained(directory, which)
    return samples_of(run, directory.name, progress.step, drawn).file(ending)


def grid(run: LoadedRun, name: str) -> Sheet:
    """A row a class: its first test images, each original with its reconstruction to the right. Without labels, rows of
    the first test images.
    """
    import numpy as np
    import torch

    from tui_vae.core.evaluation.forward import reconstruct
    from tui_vae.core.pixels import as_images, grey_levels, unit_to_grey_levels

    labels, originals, names = run.dataset.test_labels, run.dataset.test_images, ()
    if labels is None:
        first = np.arange(min(len(originals), ROWS_WITHOUT_CLASSES * PAIRS_A_CLASS))
        groups = [first[start : start + PAIRS_A_CLASS] for start in range(0, len(first), PAIRS_A_CLASS)]
    else:
        most = max(1, min(MOST_ROWS, MOST_HEIGHT // originals.shape[1]))
        there = np.unique(labels)[:most]
        groups = [np.flatnonzero(labels == label)[:PAIRS_A_CLASS] for label in there]
        names = tuple(run.dataset.classes[label] for label in there)
    rows = []
    for chosen in groups:
        made = reconstruct(run.model, run.test[torch.from_numpy(chosen).to(run.device)]).images
        pixels = unit_to_grey_levels(as_images(made, run.dataset.shape))
        rows.append([np.concatenate(pair, axis=1) for pair in zip(grey_levels(originals[chosen]), pixels, strict=True)])
    words = f"originals and reconstructions of run {name}"
    return Sheet(sheet(rows, between=2 * GAP), enlargement(run.dataset.shape), words, names)


def samples_of(run: LoadedRun, name: str, step: int, drawn: Draw) -> Sheet:
    """Decoded latents in a square. The same checkpoint, device and seed give the same image.

    Raises:
        UsageError: there is no such class.
        UserError: no Gaussian fits, as the encoder has diverged, or as there is no image of the class.
    """
    import torch

    from tui_vae.core.evaluation.forward import decode
    from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
    from tui_vae.core.evaluation.posteriors import encode_posteriors
    from tui_vae.core.pixels import as_images, unit_to_grey_levels

    generator = torch.Generator().manual_seed(drawn.seed)
    if drawn.prior:
        z = torch.randn(drawn.count, run.model.latent_dim, generator=generator)
    else:
        chosen = None if drawn.class_name is None else _places_of_class(run, drawn.class_name)
        try:
            z = fit_gaussian(encode_posteriors(run.model, run.subset), chosen).draw(drawn.count, generator)
        except RuntimeError:
            hint = "sample from the prior with --prior, or take --checkpoint best"
            raise UserError(f"no Gaussian fits the latents of {name!r}: it has diverged", hint) from None
    images = unit_to_grey_levels(as_images(decode(run.model, z.to(run.device)), run.dataset.shape))
    columns = math.ceil(math.sqrt(drawn.count))
    rows = [list(images[start : start + columns]) for start in range(0, drawn.count, columns)]
    of_class = "" if drawn.class_name is None else f" of class {drawn.class_name}"
    source = "the prior N(0, I)" if drawn.prior else f"the Gaussian fitted to the encoder's z{of_class}"
    words = f"samples of run {name}, step {step}, from {source}, seed {drawn.seed}"
    return Sheet(sheet(rows, between=GAP), enlargement(run.dataset.shape), words)


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


def enlargement(shape: Sequence[int], most: int = SCALE) -> int:
    """How many times images of this shape, `(…, height, width)`, are enlarged in a picture: `most` times at most."""
    times = (each for side, each in STEPS_OF_SCALE if max(shape[-2:]) <= side)
    return min(most, next(times, 1))


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
