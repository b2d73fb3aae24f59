"""Parquet files as image data sets on a hub have them: a column of packed pictures, perhaps one of labels, in shards.

A picture is bytes, or a struct of `bytes` and `path`. Class names stand in the schema's metadata, under `huggingface`,
which other libraries leave out when they rewrite a file.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import MOST_LABEL, Found, Integers, Part, part_of, words_of
from tui_vae.core.data.readers.picture_decoder import Decoder, Facts, gathered, look_at_file, quiet
from tui_vae.core.data.readers.pictures import choose_size
from tui_vae.main_memory import bounded, free_main_memory

MAGIC = b"PAR1"
"""The first bytes of a parquet file."""

LABELS = ("label", "labels", "fine_label", "class", "target", "y", "character", "digit")
"""Names in use for the column of labels, the best first; a column that the metadata call class labels goes before."""

ROWS = 256
"""Rows that are read at once."""

SHARE_OF_MEMORY = 0.5
"""The share of the free memory that reading some rows may take: a small file may say to hold any number of bytes."""

LOOKED_AT = 500
"""Pictures of each file whose headers are read to find out whether all have one size."""

MOST_ROWS = 100_000_000
"""Rows that are counted: a damaged file may say to have any number."""


class Columns(NamedTuple):
    """The columns in use. names: of the classes, by number."""

    images: str
    labels: str | None
    names: tuple[str, ...]


def is_parquet(head: bytes) -> bool:
    return head.startswith(MAGIC)


def _library() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        what = "parquet files are read with pyarrow, which is not installed"
        raise DatasetError(what, "install it: pip install 'tui-vae[parquet]'") from error
    return pyarrow.parquet


def _open(path: Path) -> Any:
    library = _library()
    try:
        with bounded(int(free_main_memory() * SHARE_OF_MEMORY)):
            return library.ParquetFile(str(path), memory_map=True)
    except MemoryError:
        raise DatasetError(f"{path} needs more memory than there is for its description", "fetch it again") from None
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        why = " ".join(str(error).split())[:120]
        raise DatasetError(f"{path} is damaged: {why}", "fetch it again: it may have been cut off") from None


@dataclass
class Shards:
    """A stream of the pictures in a column of some files."""

    paths: list[Path]
    column: str
    shape: tuple[int, ...]
    broken: list[tuple[str, str]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    kind: str = "uint8"

    def batches(self, rows: Integers) -> Iterator[tuple[Integers, NDArray[np.uint8]]]:
        """As `found.Stream`."""
        height, width, *channels = self.shape[1:]
        decoder = Decoder((height, width), channels[0] if channels else 1)
        first = 0
        for path in self.paths:
            with quiet():
                for values in _values(path, self.column):
                    chosen = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(values))]
                    decoded = [decoder.of_bytes(packed_of(values[row - first])) for row in chosen]
                    places = [f"{path.name} row {row}" for row in chosen]
                    yield from gathered(chosen, places, decoded, self.broken, self.done)
                    first += len(values)


def _values(path: Path, column: str) -> Iterator[list[Any]]:
    """The values of a column, in batches.

    Raises:
        DatasetError: the file is damaged, or its rows need more memory than there is.
    """
    batches = _open(path).iter_batches(ROWS, columns=[column])
    while True:
        try:
            with bounded(int(free_main_memory() * SHARE_OF_MEMORY)):
                batch = next(batches, None)
                values = None if batch is None else batch.column(0).to_pylist()
        except MemoryError:  # pyarrow's ArrowMemoryError is one
            what = f"{path} needs more memory than there is for {ROWS} rows of its column {column}"
            raise DatasetError(what, "write it again with smaller pictures, or name other data") from None
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())[:120]
            raise DatasetError(f"{path} is damaged: {why}", "fetch it again: it may have been cut off") from None
        if values is None:
            return
        yield values


def packed_of(value: Any) -> bytes:
    """The bytes of a picture in a cell; none where the cell is empty or only names a file."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else b""


def _only_named(value: Any) -> str:
    """The file that a cell without bytes names; empty if it names none."""
    return str(value.get("path") or "") if isinstance(value, dict) and not packed_of(value) else ""


def read_files(paths: list[Path], size: int | str | None, channels: int | None) -> Found:
    """The pictures in some parquet files, in parts as the files are named.

    Raises:
        DatasetError: pyarrow is missing, a file is damaged, or no column holds pictures.
    """
    files = [(path, _open(path)) for path in sorted(paths)]
    schemas = sorted((part_in(path) != "train", at) for at, (path, _) in enumerate(files))
    first, first_file = files[schemas[0][1]]  # of training images: those of a test set may lack labels
    columns = _columns(first, first_file.schema_arrow)
    found = Found("parquet", [path for path, _ in files], {}, columns.names)
    by_part: dict[str, list[Path]] = {}
    for path, file in files:
        if columns.images not in file.schema_arrow.names:
            raise DatasetError(f"{path} has no column {columns.images}, which {first.name} has",
                               "name a folder whose files have the same columns")  # fmt: skip
        if file.metadata.num_rows > MOST_ROWS:
            raise DatasetError(f"{path} is damaged: it says to have {file.metadata.num_rows:,} rows")
        if file.metadata.num_rows:
            by_part.setdefault(part_in(path), []).append(path)
    if not by_part:
        raise DatasetError(f"{paths[0]} has no rows", "name a file with pictures")
    labels, found.classes = _read_labels(by_part, dict(files), columns, found.notes)
    found.names_are_labels = found.classes != columns.names
    shape = _choose_shape(by_part, columns.images, size, channels, found.notes)
    for part, of_part in by_part.items():
        count = sum(file.metadata.num_rows for path, file in files if path in of_part)
        found.parts[part] = Part(Shards(of_part, columns.images, (count, *shape)), labels.get(part))
    return found


def part_in(path: Path) -> str:
    """The part of a data set that a file is of, as its name says, or its folder's."""
    words = words_of(path.name)
    return part_of(words[:1]) or part_of(words_of(path.parent.name)) or part_of(words) or "train"


def _columns(path: Path, schema: Any) -> Columns:
    """Which columns hold pictures and labels.

    Raises:
        DatasetError: none holds pictures.
    """
    import pyarrow.types as kinds

    def holds_bytes(kind: Any) -> bool:
        is_view = getattr(kinds, "is_binary_view", kinds.is_binary)  # which older versions do not know
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or is_view(kind))

    images = [each.name for each in schema if holds_bytes(each.type) or (
        kinds.is_struct(each.type) and any(inner.name == "bytes" and holds_bytes(inner.type) for inner in each.type))
    ]  # fmt: skip
    if not images:
        there = ", ".join(f"{each.name} ({each.type})" for each in list(schema)[:8])
        raise DatasetError(f"{path} has no column of pictures, only {there}",
                           "name a file with a column of bytes, or of a struct with bytes")  # fmt: skip
    image = next((name for name in ("image", "img", "images") if name in images), images[0])
    named = _class_names(schema.metadata)
    labels = [name for name in [*named, *LABELS] if name in schema.names and name != image]
    label = labels[0] if labels else None
    return Columns(image, label, named.get(label or "", ()))


def _class_names(metadata: Any) -> dict[str, tuple[str, ...]]:
    """Column → the names of its classes, as the metadata of the schema have them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: tuple(str(each) for each in feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _read_labels(
    by_part: dict[str, list[Path]], files: dict[Path, Any], columns: Columns, notes: list[str]
) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """Part → its labels, and the classes' names; words as labels are numbered in the order of the alphabet."""
    column = columns.labels
    if column is None:
        return {}, ()
    values: dict[str, list[Any]] = {}
    for part, paths in by_part.items():
        without = [path for path in paths if column not in files[path].schema_arrow.names]
        if without:
            notes.append(f"{without[0].name} has no column {column}: the {part} images have no labels")
        else:
            values[part] = [value for path in paths for batch in _values(path, column) for value in batch]
    kinds = {type(value) for of_part in values.values() for value in of_part}
    if kinds == {str}:
        names = tuple(sorted({value for of_part in values.values() for value in of_part}))
        number = {name: at for at, name in enumerate(names)}
        return {part: np.array([number[value] for value in each], np.int64) for part, each in values.items()}, names
    if kinds <= {int, bool, float} and all(_is_whole(value) for each in values.values() for value in each):
        return {part: np.array(each).astype(np.int64) for part, each in values.items()}, columns.names
    notes.append(f"the column {column} holds neither whole numbers nor words alone, and is left out")
    return {}, ()


def _is_whole(value: float) -> bool:
    return abs(value) < MOST_LABEL and value == round(value)


def _choose_shape(
    by_part: dict[str, list[Path]], column: str, size: int | str | None, channels: int | None, notes: list[str]
) -> tuple[int, ...]:
    sizes: Counter[tuple[int, int]] = Counter()
    colour, why, elsewhere = False, "", ""
    for paths in by_part.values():
        for path in paths:
            looked = 0
            for values in _values(path, column):
                for value in values:
                    with quiet():
                        facts = look_at_file(io.BytesIO(packed_of(value)))
                    if isinstance(facts, Facts):
                        sizes[facts.size] += 1
                        colour |= facts.is_colour
                    else:
                        why = why or facts
                        elsewhere = elsewhere or _only_named(value)
                looked += len(values)
                if looked >= LOOKED_AT:
                    break
    if not sizes:
        path = next(iter(by_part.values()))[0]
        if elsewhere:
            raise DatasetError(f"{path} does not hold its pictures: its column {column} only names files, such as "
                               f"{elsewhere!r}", "name the folder of these pictures")  # fmt: skip
        raise DatasetError(f"{path} has no picture that can be decoded in its column {column}: {why}",
                           "name a file whose pictures are PNG, JPEG, WebP, GIF, BMP or TIFF")  # fmt: skip
    shape = choose_size(sizes, size, notes)
    return (*shape, 3) if (channels == 3 or (channels is None and colour)) else shape
