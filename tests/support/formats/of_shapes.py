"""Rows of sizes and channels that are asked for, and of what is no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.formats.rows import COLOUR, IMAGES, Made, noted, row, same, write
from tui_vae.core.data.datasets import Dataset


@row("another size asked for", image_size="14x20")
def _(place: Path) -> Made:
    np.save(place / "x.npy", IMAGES)

    def check(found: Dataset) -> None:
        assert found.shape == (1, 14, 20)
        noted(found, "resized from 28×28 to 14×20", "cut at two edges")

    return place / "x.npy", check


@row("grey asked for", channels="1")
def _(place: Path) -> Made:
    np.save(place / "x.npy", COLOUR)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR])

    def check(found: Dataset) -> None:
        both = np.concatenate([found.train_images, found.test_images]).astype(int)
        assert found.shape == (1, 28, 28) and abs(int(both.sum()) - int(grey.astype(int).sum())) < grey.size
        noted(found, "colours are turned to grey")

    return place / "x.npy", check


@row("colour asked for", channels="3")
def _(place: Path) -> Made:
    np.save(place / "x.npy", IMAGES)
    return place / "x.npy", lambda found: same(found, np.repeat(IMAGES[..., None], 3, 3))


@row("sides below 8", refused="found 30×7×28; have its images resized: --image-size 64")
def _(place: Path) -> Path:
    np.save(place / "x.npy", IMAGES[:, :7])
    return place / "x.npy"


@row("no such place", refused="there is no file or folder")
def _(place: Path) -> Path:
    return place / "nowhere"


@row("a folder of other things", refused="holds nothing that can be read, 6 folders deep; name an idx, NPZ, NPY,")
def _(place: Path) -> Path:
    return write(place, {"readme.md": b"# Hello", "src/a.py": b"pass"})


@row("other things, and a page about them", refused="holds nothing that can be read, 6 folders deep")
def _(place: Path) -> Path:
    return write(place, {"index.html": b"<!DOCTYPE html><p>Data", "package.json": b'{"name": "data"}'})
