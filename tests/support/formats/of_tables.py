"""Rows of parquet and CSV files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.formats.rows import (
    IMAGES,
    OTHERS,
    TEST,
    TRAIN,
    Array,
    Made,
    as_keras,
    classes_are,
    labels,
    noted,
    row,
    same,
)
from tui_vae.core.data.datasets import Dataset


def packed(image: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, images: Array, numbers: Any, names: list[str] | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    struct_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": packed(image), "path": f"{at}.png"} for at, image in enumerate(images)]
    columns = {"image": pa.array(cells, struct_type)}
    table = pa.table(columns if numbers is None else {**columns, "label": pa.array(numbers)})
    if names:
        label = {"names": names, "_type": "ClassLabel"}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


FRUIT = ["apple", "banana", "cherry", "date", "elderberry"]


@row("parquet of a hub, in shards", needs="pyarrow")
def _(place: Path) -> Made:
    half = TRAIN // 2
    for at, part in enumerate((slice(None, half), slice(half, None))):
        write_parquet(place / "data" / f"train-0000{at}-of-00002.parquet", IMAGES[part], labels(TRAIN)[part], FRUIT)
    write_parquet(place / "data" / "test-00000-of-00001.parquet", OTHERS, labels(TEST), FRUIT)

    def check(found: Dataset) -> None:
        as_keras(found)
        classes_are(found, *FRUIT)

    return place, check


@row("parquet without class names", needs="pyarrow")
def _(place: Path) -> Made:
    write_parquet(place / "x.parquet", IMAGES, labels(TRAIN), None)
    return place / "x.parquet", lambda found: classes_are(found, *(f"class {at}" for at in range(5)))


@row("parquet with words as labels", needs="pyarrow")
def _(place: Path) -> Made:
    write_parquet(place / "x.parquet", IMAGES, ["dog", "cat"] * (TRAIN // 2), None)
    return place / "x.parquet", lambda found: classes_are(found, "cat", "dog")


@row("parquet that only names its pictures", needs="pyarrow", refused="such as '/home/me/0.png'; name")
def _(place: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": None, "path": f"/home/me/{at}.png"} for at in range(3)]
    struct_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, struct_type)}), place / "x.parquet")
    return place / "x.parquet"


@row("parquet with lists as labels", needs="pyarrow")
def _(place: Path) -> Made:
    write_parquet(place / "x.parquet", IMAGES, [[1, 2]] * TRAIN, None)

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        noted(found, "the column label holds neither whole numbers nor words alone, and is left out")

    return place, check


@row("parquet, test images without labels", needs="pyarrow")
def _(place: Path) -> Made:
    write_parquet(place / "train.parquet", IMAGES, labels(TRAIN), FRUIT)
    write_parquet(place / "test.parquet", OTHERS, None, None)

    def check(found: Dataset) -> None:
        same(found, IMAGES, OTHERS)
        noted(found, "test.parquet has no column label", "only some parts have labels, which are left out")

    return place, check


@row("parquet of two sets", refused="holds 2 folders of data: kmnist, mnist; name one of them", needs="pyarrow")
def _(place: Path) -> Path:
    for name in ("mnist", "kmnist"):
        write_parquet(place / name / "train.parquet", IMAGES, labels(TRAIN), FRUIT)
    return place


@row("half a parquet file", needs="pyarrow", refused="x.parquet is damaged: ")
def _(place: Path) -> Path:
    write_parquet(place / "x.parquet", IMAGES, labels(TRAIN), None)
    (place / "x.parquet").write_bytes((place / "x.parquet").read_bytes()[:-500])
    return place / "x.parquet"


# -- CSV ---------------------------------------------------------------------------------------------------------------


def write_csv(path: Path, images: Array, numbers: Array | None, head: bool, delimiter: str = ",") -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        pixels = images.reshape(len(images), -1).tolist()
        if head:
            writer.writerow(([] if numbers is None else ["label"]) + [f"pixel{at}" for at in range(len(pixels[0]))])
        for at, line in enumerate(pixels):
            writer.writerow(([] if numbers is None else [numbers[at]]) + line)


@row("CSV of Kaggle's")
def _(place: Path) -> Made:
    write_csv(place / "train.csv", IMAGES, labels(TRAIN), head=True)
    write_csv(place / "test.csv", OTHERS, labels(TEST), head=True)
    return place, as_keras


@row("CSV without a head line")
def _(place: Path) -> Made:
    write_csv(place / "digits.csv", IMAGES, labels(TRAIN), head=False)

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        classes_are(found, *(f"class {at}" for at in range(5)))

    return place / "digits.csv", check


@row("CSV with the label last")
def _(place: Path) -> Made:
    dark = IMAGES.copy()
    dark[:, 0, 0] = 0  # as in most pictures of digits
    lines = np.concatenate([dark.reshape(TRAIN, -1), np.sort(labels(TRAIN))[:, None]], axis=1)
    (place / "digits.csv").write_bytes(gzip.compress("\n".join(",".join(map(str, line)) for line in lines).encode()))

    def check(found: Dataset) -> None:
        same(found, dark)
        noted(found, "the last column is taken for the label")
        classes_are(found, *(f"class {at}" for at in range(5)))

    return place / "digits.csv", check


@row("CSV with semicolons")
def _(place: Path) -> Made:
    write_csv(place / "digits.csv", IMAGES, labels(TRAIN), head=True, delimiter=";")
    return place / "digits.csv", lambda found: same(found, IMAGES)


@row("CSV of fer2013's form")
def _(place: Path) -> Made:
    lines = [
        f'{number},"{" ".join(map(str, image.ravel()))}",{usage}'
        for usage, images, numbers in (("Training", IMAGES, labels(TRAIN)), ("PrivateTest", OTHERS, labels(TEST)))
        for number, image in zip(numbers, images, strict=True)
    ]
    lines = [line for at in range(2) for line in lines[at::2]]  # as the parts may stand in any order
    (place / "fer.csv").write_text("\n".join(["emotion,pixels,Usage", *lines, ""]))

    def check(found: Dataset) -> None:
        for images, numbers, given, of_given in (
            (found.train_images, found.labels("train"), IMAGES, labels(TRAIN)),
            (found.test_images, found.labels("test"), OTHERS, labels(TEST)),
        ):
            turned = [at for start in range(2) for at in range(start, len(given), 2)]
            np.testing.assert_array_equal(images, given[turned])
            np.testing.assert_array_equal(numbers, of_given[turned])

    return place / "fer.csv", check


@row("CSV with a short line", refused="train.csv: line 4 has 700 fields, not 785")
def _(place: Path) -> Path:
    write_csv(place / "train.csv", IMAGES, labels(TRAIN), head=True)
    lines = (place / "train.csv").read_text().split("\n")
    lines[3] = ",".join(lines[3].split(",")[:700])
    (place / "train.csv").write_text("\n".join(lines))
    return place / "train.csv"


@row("CSV with words", refused="train.csv: line 3 has something that is no number")
def _(place: Path) -> Path:
    write_csv(place / "train.csv", IMAGES, labels(TRAIN), head=True)
    lines = (place / "train.csv").read_text().split("\n")
    lines[2] = lines[2].replace(",", ",x", 1)
    (place / "train.csv").write_text("\n".join(lines))
    return place / "train.csv"


@row("CSV with nan", refused="train.csv: line 4 has something that is no number")
def _(place: Path) -> Path:
    write_csv(place / "train.csv", IMAGES, labels(TRAIN), head=True)
    lines = (place / "train.csv").read_text().split("\n")
    lines[3] = ",".join(["0", "nan", *lines[3].split(",")[2:]])
    (place / "train.csv").write_text("\n".join(lines))
    return place / "train.csv"


@row("CSV, a broken table of test images")
def _(place: Path) -> Made:
    write_csv(place / "train.csv", IMAGES, labels(TRAIN), head=True)
    write_csv(place / "test.csv", OTHERS, labels(TEST), head=True)
    text = (place / "test.csv").read_text()
    (place / "test.csv").write_text(text[: len(text) // 2])

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        noted(found, "fields, not 785: the test images are left out")

    return place, check


@row("CSV, labels behind pixels in one cell")
def _(place: Path) -> Made:
    lines = [f'"{" ".join(map(str, image.ravel()))}",{number}' for number, image in
             zip(labels(TRAIN), IMAGES, strict=True)]  # fmt: skip
    (place / "faces.csv").write_text("\n".join(["pixels,emotion", *lines, ""]))

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        classes_are(found, *(f"class {at}" for at in range(5)))

    return place / "faces.csv", check


@row("JSON", refused="is JSON, which is not read; write its images and labels with numpy.savez")
def _(place: Path) -> Path:
    (place / "0.json").write_text(json.dumps({"data": [value / 255 for value in IMAGES.ravel().tolist()]}))
    return place / "0.json"
