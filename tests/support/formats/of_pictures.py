"""Rows of folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.formats.rows import IMAGES, OTHERS, Made, classes_are, noted, pictures, row, same, save
from tui_vae.core.data.datasets import Dataset


@row("pictures in folders of classes")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / ("cats", "dogs", "10", "9")[at % 4] / f"{at}.png", image)

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        classes_are(found, "9", "10", "cats", "dogs")

    return place, check


@row("pictures in parts and classes")
def _(place: Path) -> Made:
    for part, images in (("train", IMAGES), ("test", OTHERS)):
        for at, image in enumerate(images):
            save(place / "set" / part / f"{at // 10}" / f"{at:03}.png", image)
    return place, lambda found: same(found, IMAGES, OTHERS)


@row("pictures in one folder")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / f"{at}.bmp", image)

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        assert found.classes == () and found.test_labels is None

    return place, check


@row("pictures of every format")
def _(place: Path) -> Made:
    for at, ending in enumerate(("png", "webp", "gif", "bmp", "tif", "pgm")):
        save(place / f"{at}.{ending}", IMAGES[at], **({"lossless": True} if ending == "webp" else {}))
    return place, lambda found: same(
        found, np.repeat(IMAGES[:6, ..., None], 3, 3) if found.shape[0] == 3 else IMAGES[:6]
    )


@row("JPEG named .png")
def _(place: Path) -> Made:
    for at in range(3):
        save(place / f"{at}.png", np.full((16, 16), 100 + at, np.uint8), format="JPEG")
    return place, lambda found: same(found, np.stack([np.full((16, 16), 100 + at, np.uint8) for at in range(3)]))


@row("16 bits of grey")
def _(place: Path) -> Made:
    for at in range(3):
        save(place / f"{at}.png", IMAGES[at].astype(np.uint16) * 257)

    def check(found: Dataset) -> None:
        same(found, IMAGES[:3])
        noted(found, "3 pictures were scaled from 16 bits to 8")

    return place, check


@row("1 bit, and palettes")
def _(place: Path) -> Made:
    binary = (IMAGES[0] > 127) * np.uint8(255)
    save(place / "0.png", Image.fromarray(binary).convert("1"))
    save(place / "1.png", Image.fromarray(binary).convert("P"))
    return place, lambda found: same(found, np.stack([binary] * 2))


@row("transparent pictures")
def _(place: Path) -> Made:
    clear = np.zeros((16, 16, 4), np.uint8)
    clear[:8, :, 0], clear[:8, :, 3] = 200, 255
    expected = np.full((16, 16, 3), 255, np.uint8)
    expected[:8] = 200, 0, 0
    for at in range(2):
        save(place / f"{at}.png", clear)

    def check(found: Dataset) -> None:
        same(found, np.stack([expected] * 2))
        noted(found, "2 pictures were laid on white where they are transparent")

    return place, check


@row("pictures to be turned")
def _(place: Path) -> Made:
    turn = Image.Exif()
    turn[0x0112] = 6  # a quarter turn clockwise
    wide = np.zeros((16, 24), np.uint8)
    wide[:, :8] = 255
    for at in range(2):
        save(place / f"{at}.png", wide, exif=turn)

    def check(found: Dataset) -> None:
        assert found.shape == (1, 24, 16)
        same(found, np.stack([np.rot90(wide, -1)] * 2))
        noted(found, "2 pictures were turned as their EXIF data say")

    return place, check


@row("pictures of several sizes")
def _(place: Path) -> Made:
    save(place / "0.png", pictures(1, 100, 80)[0])
    save(place / "1.png", pictures(1, 30, 50)[0])

    def check(found: Dataset) -> None:
        assert found.shape == (1, 64, 64)
        noted(found, "have sides from 30 to 100 pixels: all are brought to 64×64", "were cut at two edges")

    return place, check


@row("broken pictures among whole ones")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / f"{at:02}.png", image)
    (place / "zz.png").write_bytes((place / "00.png").read_bytes()[:200])
    (place / "notes.txt").write_text("no picture")

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        noted(found, "a broken file is left out: zz.png (")

    return place, check


@row("a single picture", refused="is a single picture; name its folder")
def _(place: Path) -> Path:
    save(place / "0.png", IMAGES[0])
    return place / "0.png"
