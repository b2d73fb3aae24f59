"""The preview images' reconstructions through time, as small PNG files, bounded in number however long a run is."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tui_vae.runs.files import write_atomic

MOST = 60
_NAME = re.compile(r"epoch-(\d+)\.png")


def stride(epoch: int) -> int:
    """Every how manyth epoch is kept after `epoch` epochs: the power of two that leaves at most `MOST`."""
    step = 1
    while epoch // step > MOST:
        step *= 2
    return step


def is_due(epoch: int) -> bool:
    return epoch == 1 or epoch % stride(epoch) == 0


def write_originals(folder: Path, images: NDArray[np.uint8], indices: list[int], labels: list[int]) -> None:
    """`originals.png`: the preview images `(N, height, width)` side by side; as text their indices, classes, width."""
    facts = PngImagePlugin.PngInfo()
    facts.add_text("indices", ",".join(map(str, indices)))
    facts.add_text("labels", ",".join(map(str, labels)))
    facts.add_text("width", str(images.shape[2]))
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "originals.png", _png(images, facts))


def write_preview(folder: Path, epoch: int, images: NDArray[np.uint8]) -> str:
    """Write the reconstructions `(N, height, width)` of an epoch, drop those no longer kept, return the file's name."""
    name = f"epoch-{epoch:06d}.png"
    write_atomic(folder / name, _png(images, None))
    keep = stride(epoch)
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) not in (1, epoch) and int(match[1]) % keep:
            path.unlink(missing_ok=True)
    return name


def _png(images: NDArray[np.uint8], facts: PngImagePlugin.PngInfo | None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(list(images), axis=1), mode="L").save(buffer, "PNG", pnginfo=facts)
    return buffer.getvalue()
