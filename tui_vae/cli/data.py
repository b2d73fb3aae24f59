"""`tui-vae data`: what a file or folder holds, or which data sets this machine has, and where they come from."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from tui_vae import config
from tui_vae.cli.parser import given_options
from tui_vae.cli.tables import print_table
from tui_vae.core.data import named, published, sources
from tui_vae.core.data.download import Progress, download
from tui_vae.plain_text import plain

if TYPE_CHECKING:
    from tui_vae.core.data.describe import Facts

SHOWN_IMAGES = 8
"""Training images that are shown: the first of each class, or the first of all where there are no classes."""

SHOWN_WIDTH = 28
"""Pixels of width to which these are reduced, if they have more: several fit beside each other."""

SHOWN_CLASSES = 40
"""Classes that are listed; `--json` has all."""

SHOWN_FILES = 4
"""Files that are named; `--json` has all."""


def data(options: argparse.Namespace) -> int:
    """Say what data are, list the places where data sets are found, or fetch one with `--download`.

    Raises:
        DatasetError: they cannot be used, or not be downloaded.
    """
    if options.download:
        return _download(options.download, options.json)
    if options.data is None:
        return _list(options.json)
    from tui_vae.core.data.datasets import load
    from tui_vae.core.data.describe import describe

    given, wanted = given_options(options), config.check_option("dataset", options.data)
    found = load(
        wanted, given.get("data_dir"), progress=progress_on_stderr(), may_download=False,
        image_size=given.get("image_size"), channels=given.get("channels", "auto"),
        test_share=given.get("test_share", config.RunConfig().test_share),
    )  # fmt: skip
    facts = describe(found)
    if options.json:
        print(json.dumps(facts.as_json(), ensure_ascii=False))
    else:
        _print_facts(facts)
    return 0


def _download(name: str, as_json: bool) -> int:
    if name in published.DATASETS:
        found = download(name, progress_on_stderr())
        where, words = found.path, f"{found.train:,} + {found.test:,} images, {found.description}"
    else:
        where = named.fetched(name, progress_on_stderr()).parent
        words = str(where)
    print(json.dumps({"name": name, "path": str(where)}) if as_json else f"{name}: {words}")
    return 0


def progress_on_stderr() -> Progress:
    """Reports on stderr: over the line before, where that is a terminal."""
    if sys.stderr.isatty():
        return lambda text: print(f"\r{text}\x1b[K\r", end="", file=sys.stderr, flush=True)
    last: list[str] = []

    def report(text: str) -> None:
        kind = text.split(",")[0]
        if last != [kind]:  # once for all that is decoded, where lines stay
            print(text, file=sys.stderr)
        last[:] = [kind]

    return report


def _list(as_json: bool) -> int:
    places = [place for name in published.DATASETS for place in sources.available(name)]
    others = [(known.name, path.parent) for known in named.SETS.values() if (path := known.find())]
    if as_json:
        rows = [
            {"name": place.dataset, "source": place.kind, "train": place.train, "test": place.test,
             "path": str(place.path), "problem": place.problem}
            for place in places
        ] + [{"name": name, "source": "cache", "path": str(path), "problem": ""} for name, path in others]  # fmt: skip
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    rows_of_text = [
        (place.dataset, place.kind, f"{place.train:,}", f"{place.test:,}", place.problem or str(place.path))
        for place in places
    ] + [(name, "cache", "", "", str(path)) for name, path in others]
    print_table([("dataset", "source", "train", "test", "where"), *rows_of_text], left=(0, 1, 4))
    return 0


def _print_facts(facts: Facts) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    data = facts.dataset
    channels, height, width = data.shape
    low, high = facts.range
    kind = "bytes" if data.train_images.dtype.name == "uint8" else "floats"
    print(f"{data.name}: {data.format}, {len(data.train_images):,} + {len(data.test_images):,} images, "
          f"{height}×{width}, {'colour' if channels == 3 else 'grey'}, {kind} from {low:g} to {high:g}")  # fmt: skip
    lines = [("files", _files(data.files)), ("test set", data.split)]
    same = facts.duplicates
    if any(same):
        lines.append(("duplicates", f"{same.train:,} in the training set, {same.test:,} in the test set, "
                                    f"{same.across:,} test images in the training set"))  # fmt: skip
    else:
        lines.append(("duplicates", "none, neither within the parts nor across them"))
    lines += [("note", note) for note in facts.notes]
    for name, text in lines:
        print(f"  {name:<10}  {plain(text)}")
    if facts.classes:
        rows = [(name, f"{train:,}", f"{test:,}") for name, train, test in facts.classes[:SHOWN_CLASSES]]
        print()
        print_table([("class", "train", "test"), *rows], left=(0,))
        if len(facts.classes) > SHOWN_CLASSES:
            print(f"and {len(facts.classes) - SHOWN_CLASSES} more")
    else:
        print("  no labels")
    print()
    _print_images(facts)


def _files(files: tuple[str, ...]) -> str:
    folder = os.path.commonpath(files) if len(files) > 1 else ""
    names = [os.path.relpath(file, folder) if folder else file for file in files[:SHOWN_FILES]]
    more = f", and {len(files) - SHOWN_FILES} more" if len(files) > SHOWN_FILES else ""
    return (f"{folder}: " if folder else "") + ", ".join(names) + more


def _print_images(facts: Facts) -> None:
    import numpy as np

    from tui_vae.cli.show import print_images
    from tui_vae.core.data.datasets import preview_indices
    from tui_vae.ui.images.picture import Picture, reduce

    data = facts.dataset
    if data.train_labels is None:
        images, captions = data.train_images[:SHOWN_IMAGES], [""] * SHOWN_IMAGES
    else:
        chosen = preview_indices(data.train_labels, SHOWN_IMAGES)
        images, captions = data.train_images[chosen], [data.classes[label] for label in data.train_labels[chosen]]
    levels = images if images.dtype == np.uint8 else np.rint(images * 255).astype(np.uint8)
    channels, _, width = data.shape
    pictures = [reduce(Picture.of(image.tobytes(), width, channels), min(width, SHOWN_WIDTH)) for image in levels]
    print_images([(picture,) for picture in pictures], [caption[:SHOWN_WIDTH] for caption in captions[: len(levels)]])
