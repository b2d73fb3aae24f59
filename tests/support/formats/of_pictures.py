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


@row("pictures in training_set and test_set")
def _(place: Path) -> Made:
    for part, images in (("training_set", IMAGES), ("test_set", OTHERS)):
        for at, image in enumerate(images):
            save(place / part / ("cats", "dogs")[at // 15] / f"{at:02}.png", image)

    def check(found: Dataset) -> None:
        same(found, IMAGES, OTHERS)
        classes_are(found, "cats", "dogs")

    return place, check


@row("pictures in folders within folders of their name, and others beside")
def _(place: Path) -> Made:
    for part, images in (("seg_train", IMAGES), ("seg_test", OTHERS)):
        for at, image in enumerate(images):
            save(place / part / part / ("cats", "dogs")[at // 15] / f"{at:02}.png", image)
    save(place / "seg_pred" / "seg_pred" / "0.png", OTHERS[0])

    def check(found: Dataset) -> None:
        same(found, IMAGES, OTHERS)
        classes_are(found, "cats", "dogs")
        noted(found, "1 pictures in seg_pred, beside the folders of the parts, are left out")

    return place, check


@row("classes named train and bus")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / ("train", "bus")[at % 2] / f"{at}.png", image)
    return place, lambda found: classes_are(found, "bus", "train")


@row("test pictures without classes")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / "train" / ("cats", "dogs")[at % 2] / f"{at}.png", image)
    for at in range(40):
        save(place / "test" / f"{at}.png", OTHERS[at % len(OTHERS)])

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        classes_are(found, "cats", "dogs")
        noted(found, "40 pictures lie in no folder of a class and are left out")

    return place, check


@row("classes.txt beside folders of classes")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / ("cats", "dogs")[at % 2] / f"{at}.png", image)
    (place / "classes.txt").write_text("dogs\ncats\neels\n")

    def check(found: Dataset) -> None:
        classes_are(found, "cats", "dogs")
        noted(found, "classes.txt names other classes than the data have, and is left out")

    return place, check


@row("classes.txt beside folders of numbers")
def _(place: Path) -> Made:
    for at, image in enumerate(IMAGES):
        save(place / ("1", "3")[at % 2] / f"{at}.png", image)
    (place / "classes.txt").write_text("zero\none\ntwo\nthree\n")
    return place, lambda found: classes_are(found, "one", "three")


@row("broken pictures where the test set would be")
def _(place: Path) -> Made:
    for at in range(10):
        save(place / f"{at}.png", IMAGES[at])
    for at in (0, 2, 4, 6, 8):  # among them the one that would be set aside
        (place / f"{at}.png").write_bytes((place / f"{at}.png").read_bytes()[:200])

    def check(found: Dataset) -> None:
        same(found, IMAGES[1:10:2])
        noted(found, "5 broken files are left out: 0.png (")
        assert found.split == "1 of 5 images set aside, 0.1 of the images, drawn with seed 0"

    return place, check


@row("HEIC pictures", refused="is a picture or video of the kind heic, which is not read; turn it into a PNG")
def _(place: Path) -> Path:
    (place / "0.heic").write_bytes(bytes([0, 0, 0, 24]) + b"ftypheic" + bytes(100))
    return place


@row("vector graphics", refused="is a vector graphic; draw it as a PNG")
def _(place: Path) -> Path:
    (place / "0.svg").write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    return place


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
        noted(found, "2 pictures were laid on white where transparent")

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


@row("a picture of another size among many")
def _(place: Path) -> Made:
    for at, image in enumerate(pictures(3, 16, 20)):
        save(place / f"{at}.png", image)
    save(place / "3.png", pictures(1, 30, 50)[0])

    def check(found: Dataset) -> None:
        assert found.shape == (1, 64, 64)
        noted(
            found,
            "most are 16×20, --image-size 16x20 leaves these as they are",
            "cut at two edges to the shape of 64×64",
        )

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
