"""`tui-vae data`: the datasets that this machine has, and where they come from."""

from __future__ import annotations

import argparse
import sys

from tui_vae.cli.tables import print_table
from tui_vae.core.data import published, sources
from tui_vae.core.data.download import download


def data(options: argparse.Namespace) -> int:
    """List the places where datasets are found; fetch one with `--download`.

    Raises:
        DatasetError: it cannot be downloaded.
    """
    if options.download:
        found = download(options.download, lambda text: print(text, file=sys.stderr))
        print(f"{found.dataset}: {found.train:,} + {found.test:,} images, {found.description}")
        return 0
    rows = [
        (place.dataset, place.kind, f"{place.train:,}", f"{place.test:,}", place.problem or str(place.path))
        for name in published.DATASETS
        for place in sources.available(name)
    ]
    print_table([("dataset", "source", "train", "test", "where"), *rows], left=(0, 1, 4))
    return 0
