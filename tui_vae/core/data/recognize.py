"""Which reader a path gets: by what its files begin with, never by their names alone."""

from __future__ import annotations

import os
import stat
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers import csv_table, idx, numpy_files, parquet, pictures
from tui_vae.core.data.readers.found import Found, part_of, words_of
from tui_vae.core.data.readers.idx_header import is_idx
from tui_vae.core.data.readers.picture_decoder import is_picture
from tui_vae.core.data.reading import head_of, is_packed, what_it_is

KINDS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("idx", is_idx),
    ("numpy", numpy_files.is_numpy),
    ("parquet", parquet.is_parquet),
    ("pictures", is_picture),
    ("csv", csv_table.is_csv),
)
"""Formats, and what tells whether a file that begins so is of one."""

SNIFFED = 64
"""Files of a folder with names of pictures that are looked into: all, or so many of a larger number, evenly spaced."""

OTHERS_SNIFFED = 1000
"""The same of files whose names do not say what they are."""

MOST_FILES = 10_000
"""Files of a data set, where it is not one of pictures; and files with names of data that are looked into."""

MOST_FOLDERS = 300
"""Folders that are looked into."""

DEEPEST = 6
"""Folders within folders that are looked into."""

DATA_ENDINGS = (".npz", ".npy", ".parquet", ".csv", ".csv.gz", *pictures.SUFFIXES)
"""Names of data end so: what is wrong with such a file is told where nothing else is found."""

ASIDE = (".json", ".html", ".htm")
"""Names of files that are in a folder beside its data: what they are says nothing of these."""

WHAT_TO_NAME = "name an idx, NPZ, NPY, parquet or CSV file, or a folder of such files or of pictures"


Member = TypeVar("Member")


@dataclass
class Recognized:
    """A path whose format is known.

    path: what was named. paths: the files in use; of pictures, their folder. listed: the pictures.
    """

    path: Path
    format: str
    paths: list[Path]
    listed: list[pictures.Listed] = field(default_factory=list)

    def versions(self) -> list[tuple[object, ...]]:
        """What tells the files from other versions of them, without reading them."""
        if self.format == "pictures":
            numbers = array("q", [number for each in self.listed for number in each[1:]])
            return [("\0".join(each.place for each in self.listed), numbers.tobytes())]
        return [(str(path), (facts := path.stat()).st_size, facts.st_mtime_ns, facts.st_ino) for path in self.paths]

    def read(self, size: int | str | None, channels: int | None, progress: Callable[[str], None]) -> Found:
        """What is in the files; pictures are to be of this size and number of channels.

        Raises:
            DatasetError: they cannot be used.
        """
        if self.format in ("numpy", "parquet"):
            for path in self.paths:
                if is_packed(path):  # by whose contents the format was told
                    what = "an NPY or NPZ" if self.format == "numpy" else "a parquet"
                    raise DatasetError(f"{path} is {what} file that gzip has packed", "unpack it: gunzip")
        match self.format:
            case "idx":
                return idx.read_group(self._chosen(idx.groups_in(self.paths), idx.describe_group))
            case "numpy":
                notes: list[str] = []
                groups = numpy_files.groups_in(self.paths, notes)
                if not groups:  # which says what is in there
                    entries = [each for path in self.paths for each in numpy_files.entries_of(path, [])]
                    return numpy_files.read_group(entries, notes)
                return numpy_files.read_group(self._chosen(groups, numpy_files.describe_group), notes)
            case "parquet":
                return parquet.read_files(self.paths, size, channels)
            case "pictures":
                return pictures.read_folder(self.paths[0], self.listed, size, channels, progress)
            case _:
                return csv_table.read_tables(self.paths)

    def _chosen(self, groups: dict[str, list[Member]], describe: Callable[[list[Member]], str]) -> list[Member]:
        """The only group, or the one that the named file is of.

        Raises:
            DatasetError: there are several.
        """
        if len(groups) == 1:
            return next(iter(groups.values()))
        if not groups:
            raise DatasetError(f"{self.path} has no images, only labels", "name a folder that has both")
        for members in groups.values():
            if self.path in {
                path for each in members for path in getattr(each, "paths", [getattr(each, "path", None)])
            }:
                return members
        names = ", ".join(sorted(describe(members) for members in groups.values())[:12])
        raise DatasetError(
            f"{self.path} holds {len(groups)} data sets, beginning with {names}", "name one of these files"
        )


def recognize(path: Path) -> Recognized:
    """The format of a file or folder, and the files that belong to it.

    Raises:
        DatasetError: there is nothing of this name, or nothing that can be read; the message says what it is.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise DatasetError(f"there is no file or folder {path}", WHAT_TO_NAME) from None
        raise DatasetError(f"{path} cannot be read: {error.strerror}", WHAT_TO_NAME) from None
    if stat.S_ISDIR(mode):
        return _of_folder(path)
    head = head_of(path)
    kind = kind_of(head)
    if not kind:
        what, to_do = what_it_is(head)
        is_what = f"is {what}" if what else f"is of no format that can be read: it starts with {head[:8].hex(' ')!r}"
        raise DatasetError(f"{path} {is_what}", to_do or WHAT_TO_NAME)
    if kind == "pictures":
        raise DatasetError(f"{path} is a single picture", f"name its folder: {path.parent}")
    paths = _with_companions(path, kind) if kind in ("idx", "numpy") else [path]
    return Recognized(path, kind, paths)


def kind_of(head: bytes) -> str:
    """The format of a file that begins so; empty if it is none of those that can be read."""
    return next((kind for kind, fits in KINDS if fits(head)), "")


def _with_companions(path: Path, kind: str) -> list[Path]:
    """A file, and those beside it that may belong to it."""
    found = [path]
    for other in _files_in(path.parent, MOST_FILES)[0]:
        if other != path:
            try:
                if kind_of(head_of(other)) == kind or (kind == "idx" and _may_be_idx(other)):
                    found.append(other)
            except DatasetError:
                continue
    return found


def _may_be_idx(path: Path) -> bool:
    return "idx" in path.name.lower() or path.name.lower().endswith(("-ubyte", "-ubyte.gz"))


def _files_in(folder: Path, others: int = OTHERS_SNIFFED) -> tuple[list[Path], list[Path]]:
    """The files in a folder that are looked into, and its folders; hidden ones are not.

    `others`: how many of those whose names do not say what they are.

    Raises:
        DatasetError: it cannot be read.
    """
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith((".", "__MACOSX")):
                    (folders if entry.is_dir() else files).append(entry.name)
                if len(files) + len(folders) > pictures.MOST_FILES:
                    break
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}", WHAT_TO_NAME) from None
    named_pictures, named_data, unknown = list[str](), list[str](), list[str]()
    for name in sorted(files):
        if name[name.rfind(".") :].lower() in pictures.SUFFIXES:
            named_pictures.append(name)
        else:
            (named_data if _may_be_data(Path(name)) else unknown).append(name)
    chosen = [*_spaced(named_pictures, SNIFFED), *_spaced(named_data, MOST_FILES), *_spaced(unknown, others)]
    return [folder / name for name in sorted(chosen)], [folder / name for name in sorted(folders)[:MOST_FOLDERS]]


def _spaced(names: list[str], most: int) -> list[str]:
    return names[:: -(-len(names) // most) or 1]


def _may_be_data(file: Path) -> bool:
    return "".join(file.suffixes[-2:]).lower().endswith(DATA_ENDINGS) or _may_be_idx(file)


def _of_folder(folder: Path) -> Recognized:
    """What is in a folder, or in those below it, the first level that has something.

    Raises:
        DatasetError: nothing that can be read.
    """
    level, remarks = [folder], []
    for _ in range(DEEPEST + 1):
        by_kind: dict[str, list[Path]] = {}
        below: list[Path] = []
        for place in level[:MOST_FOLDERS]:
            try:
                files, folders = _files_in(place)
            except DatasetError as error:
                remarks.append(error)
                continue
            below += folders
            for file in files:
                kind = _kind_of_file(file, remarks)
                if kind:
                    by_kind.setdefault(kind, []).append(file)
            if by_kind.keys() == {"pictures"} and len(by_kind["pictures"]) >= SNIFFED:
                break  # more of the same, in many folders of classes
        if by_kind:
            return _of_level(folder, by_kind)
        level = below
    if remarks:
        raise remarks[0]
    raise DatasetError(f"{folder} holds nothing that can be read, {DEEPEST} folders deep", WHAT_TO_NAME)


def _kind_of_file(file: Path, remarks: list[DatasetError]) -> str:
    try:
        head = head_of(file)
    except DatasetError as error:
        if _may_be_data(file):
            remarks.append(error)
        return "idx" if _may_be_idx(file) else ""
    if not (kind := kind_of(head)):
        what, to_do = what_it_is(head)
        if what and file.suffix.lower() not in ASIDE:
            remarks.append(DatasetError(f"{file} is {what}", to_do))
        if _may_be_idx(file):
            return "idx"
    return kind


def _of_level(folder: Path, by_kind: dict[str, list[Path]]) -> Recognized:
    counts = Counter({kind: len(files) for kind, files in by_kind.items()})
    kind = "pictures" if counts["pictures"] > counts.total() // 2 else next(name for name, _ in KINDS if name in counts)
    if kind == "pictures":
        return Recognized(folder, kind, [folder], pictures.list_files(folder))
    places = sorted({file.parent for file in by_kind[kind]})
    names_of_files = {file.name for file in by_kind[kind]}
    # Some programs unpack each file into a folder of its name.
    each_apart = kind == "idx" and len(places) == len(by_kind[kind]) == len(names_of_files)
    if kind == "parquet":  # `mnist/train/0.parquet` and `mnist/test/0.parquet` are of one set
        places = sorted({place.parent if part_of(words_of(place.name)) else place for place in places})
    if len(places) > 1 and not each_apart:
        names = ", ".join(str(place.relative_to(folder)) for place in places[:12])
        raise DatasetError(f"{folder} holds {len(places)} folders of data: {names}", "name one of them")
    files = [  # of all files, not of those alone that were looked into
        file
        for place in sorted({file.parent for file in by_kind[kind]})
        for file in _files_in(place, MOST_FILES)[0]
        if _kind_of_file(file, []) == kind
    ]
    return Recognized(folder, kind, files)
