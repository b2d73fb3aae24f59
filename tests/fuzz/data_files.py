"""Targets: the files that a run may name as its data."""

from __future__ import annotations

import gzip
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.inputs import changed, noisy
from tests.fuzz.target import Check, Target
from tests.support.formats.of_tables import write_csv, write_parquet
from tests.support.formats.rows import Array, idx, labels, pictures
from tui_vae.core.data.datasets import load
from tui_vae.core.data.describe import describe
from tui_vae.errors import UserError

FEW = pictures(4, 8, 8)


def npz(pack: bool) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if pack else np.savez)(
        buffer, x_train=FEW, y_train=labels(4), x_test=FEW[:2], y_test=labels(2)
    )
    return buffer.getvalue()


def npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def table(folder: Path, ending: str) -> bytes:
    path = folder / f"x.{ending}"
    if ending == "csv":
        write_csv(path, FEW, labels(4), head=True)
    else:
        write_parquet(path, FEW, labels(4), ["a", "b", "c", "d", "e"])
    return path.read_bytes()


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(FEW[0]).save(buffer, kind)
    return buffer.getvalue()


def samples() -> list[bytes]:
    place = Path(os.environ.get("TMPDIR", "/tmp")) / f"tui-vae-fuzz-{os.getpid()}"
    place.mkdir(exist_ok=True)
    try:
        tables = [table(place, ending) for ending in ("csv", *(["parquet"] if find_spec("pyarrow") else []))]
    finally:
        shutil.rmtree(place)
    arrays = [npy(FEW), npy(FEW / 255), npy(FEW.astype(np.uint16) * 257), npz(True), npz(False)]
    return [*tables, *arrays, idx(FEW), gzip.compress(idx(FEW), mtime=0), idx(FEW / 255, 0x0E, ">f8")]


SAMPLES = samples()
PICTURES = [picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")]


@contextmanager
def open_data(folder: Path) -> Iterator[Check]:
    """A file, and a folder with it."""
    before = os.environ.get("TUI_VAE_CACHE")
    os.environ["TUI_VAE_CACHE"] = str(folder / "cache")
    place = folder / "data"
    place.mkdir()

    def check(data: bytes) -> None:
        (place / "train-images-idx3-ubyte").write_bytes(data)
        for path in (place, place / "train-images-idx3-ubyte"):
            with suppress(UserError):
                found = load(str(path))
                assert found.train_images.dtype in (np.uint8, np.float32) and len(found.test_images)
                describe(found)
        shutil.rmtree(folder / "cache", ignore_errors=True)

    try:
        yield check
    finally:
        os.environ.pop("TUI_VAE_CACHE") if before is None else os.environ.update({"TUI_VAE_CACHE": before})


DATA_FILES = (
    Target("data", st.one_of(noisy(SAMPLES), changed(SAMPLES, 4)), open_data, 3),
    Target("pictures", st.one_of(noisy(PICTURES), changed(PICTURES, 4)), open_data, 2),
)
