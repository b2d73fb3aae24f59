"""Images for the eye: a picture in a notebook, half blocks in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8 | np.float32]

ENLARGED = 112
"""Pixels of a side from which an image is shown as large as it is; smaller ones are enlarged without smoothing."""

GAP = 4
"""White pixels between two images in a notebook."""

PAIRS_A_ROW = 8
"""Pairs side by side in a notebook: with images of 28 × 28 they are as wide as its page."""


def show_rows(pairs: Sequence[tuple[Image, Image]]) -> None:
    """Show pairs of images of one size, `(height, width)` or `(height, width, 3)`, uint8 or float32 in [0, 1]."""
    from tui_vae.core.pixels import grey_levels

    levels = [(grey_levels(one), grey_levels(other)) for one, other in pairs]
    if _in_notebook():
        import_module("IPython.display").display(_sheet(levels))
        return
    from tui_vae.cli.show import print_images
    from tui_vae.ui.images.picture import Picture

    def picture(image: NDArray[np.uint8]) -> Picture:
        return Picture(image.tobytes(), image.shape[1], image.shape[2] if image.ndim == 3 else 1)

    print_images([(picture(one), picture(other)) for one, other in levels], [""] * len(levels))


def _in_notebook() -> bool:
    """Whether a notebook shows what is displayed: IPython in a terminal has no kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _sheet(pairs: Sequence[tuple[Any, Any]]) -> Any:
    """A Pillow image of the pairs: originals above, what became of them below."""
    import numpy as np
    from PIL import Image

    height, width, *channels = pairs[0][0].shape
    columns = min(len(pairs), PAIRS_A_ROW)
    rows = -(-len(pairs) // columns)
    sheet = np.full((rows * (2 * height + GAP) - GAP, columns * (width + GAP) - GAP, *channels), 255, np.uint8)
    for number, (one, other) in enumerate(pairs):
        top, left = number // columns * (2 * height + GAP), number % columns * (width + GAP)
        sheet[top : top + 2 * height, left : left + width] = np.concatenate((one, other))
    scale = max(1, ENLARGED // max(height, width))
    image = Image.fromarray(sheet)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
