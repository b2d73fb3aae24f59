"""Make the bundled sample from the published dataset: `python -m tui_vae.core.data.sample.make [DATA_DIR]`.

The sample holds the first 500 training and the first 100 test images of each class, in their published order. The
files have no time and no name in their headers, so that making them again gives the same bytes (with the same zlib).
"""

import gzip
import io
import struct
import sys
from pathlib import Path

import numpy as np

from tui_vae.core.data.datasets import Images, Indices, Labels, load
from tui_vae.core.data.published import DatasetError, get_info

PER_CLASS = {"train": 500, "test": 100}
"""Images of each class: 6,000 of 28 × 28 are 3 MB in a wheel, and 600 steps of training still show clothes."""


def first_of_each_class(labels: Labels, per_class: int) -> Indices:
    """Indices of the first `per_class` items of each class, ascending."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]))


def write_idx(path: Path, array: Images | Labels) -> None:
    """Write an array as an idx file of unsigned bytes, compressed if the name ends in .gz."""
    data = struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
            file.write(data)
        data = buffer.getvalue()
    path.write_bytes(data)


def make(directory: Path, data_dir: Path | None = None) -> None:
    """Write the sample's four files into a directory.

    Raises:
        DatasetError: the full, published dataset was not found.
    """
    full = load(data_dir=data_dir)
    if full.source.kind == "sample" or not full.source.published:
        raise DatasetError("the sample is made from the published files, which were not found", full.source.reason)
    files = get_info(full.name).files
    for split, per_class in PER_CLASS.items():
        images: Images = getattr(full, f"{split}_images")
        labels: Labels = getattr(full, f"{split}_labels")
        chosen = first_of_each_class(labels, per_class)
        write_idx(directory / f"{files[f'{split}_images'].name}.gz", images[chosen])
        write_idx(directory / f"{files[f'{split}_labels'].name}.gz", labels[chosen])


if __name__ == "__main__":
    make(Path(__file__).parent, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
