"""The known data sets besides FashionMNIST: MNIST and its relatives, fetched and verified by torchvision's classes.

They are kept in the user's cache as torchvision lays them out, `mnist/MNIST/raw` for instance. All of EMNIST's sets
come in one archive.
"""

from __future__ import annotations

import os
import shutil
import string
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_vae.config.data_places import cache_home, folder_of
from tui_vae.core.data.download import Job, Progress, fetch, not_downloaded, not_saved, probe
from tui_vae.core.data.file_lock import locked
from tui_vae.core.data.published import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGITS = tuple(string.digits)

MERGED = set("cijklmopsuvwxyz")
"""Small letters that EMNIST's merged sets do not tell from capital ones."""

EVERYTHING = tuple(sorted(string.digits + string.ascii_letters))

HIRAGANA = ("お o", "き ki", "す su", "つ tsu", "な na", "は ha", "ま ma", "や ya", "れ re", "を wo")

KEPT_FREE = 3
"""How many times the packed size of a set it has with its unpacked files beside it, about; that much room is needed."""


FIRST_LABELS = {"mnist": "504192131435361728694091124327", "fashion-mnist": "900302725509557910643148430244"}
"""How the training labels of sets begin whose files have the same names and sizes: nothing else tells them apart."""

LIKE_MNIST = 60_000
"""Training images of these sets."""


@dataclass(frozen=True)
class NamedSet:
    """A known set. title: of torchvision's class and of its folder. family: the folder in the cache. images: the name
    of its file of training images. url: a file of it, which is asked for first. total: bytes that are fetched."""

    name: str
    title: str
    family: str
    classes: tuple[str, ...]
    images: str
    url: str
    calls: tuple[dict[str, str], ...] = ({},)
    total: int = 0
    others: tuple[str, ...] = field(default=())
    """Names of its other files."""

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return folder_of(self.name)

    def find(self, directory: Path | None = None) -> Path | None:
        """Its file of training images, in the cache or in a directory that the user names; None if it is not there."""
        places = [self.folder] if directory is None else [directory, directory / self.title / "raw", directory / "raw"]
        for place in places:
            for ending in ("", ".gz"):
                if all(_is_there(place / name) for name in (self.images, *self.others)):
                    path = place / f"{self.images}{ending}"
                    if os.path.isfile(path):
                        return path
        return None


def which_of(labels: NDArray[np.integer[Any]]) -> str:
    """The set of MNIST's form that these training labels are of; empty if it is none whose labels are known.

    Args:
        labels: (N,) numbers of classes.
    """
    if len(labels) != LIKE_MNIST:
        return ""
    beginning = "".join(map(str, labels[:30].tolist()))
    return next((name for name, first in FIRST_LABELS.items() if first == beginning), "")


def _is_there(path: Path) -> bool:
    return os.path.isfile(path) or os.path.isfile(path.with_name(f"{path.name}.gz"))


def _plain(name: str, title: str, classes: tuple[str, ...], url: str, total: int) -> NamedSet:
    others = ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    images = "train-images-idx3-ubyte"
    return NamedSet(name, title, name, classes, images, f"{url}t10k-labels-idx1-ubyte.gz", total=total, others=others)


def _emnist(split: str, classes: tuple[str, ...]) -> NamedSet:
    first = f"emnist-{split}"
    others = tuple(f"{first}-{rest}" for rest in ("train-labels-idx1-ubyte", "test-images-idx3-ubyte",
                                                  "test-labels-idx1-ubyte"))  # fmt: skip
    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    return NamedSet(f"emnist-{split}", "EMNIST", "emnist", classes, f"{first}-train-images-idx3-ubyte", url,
                    ({"split": split},), 561_753_746, others)  # fmt: skip


_merged = tuple(name for name in EVERYTHING if name not in MERGED)

SETS = {
    each.name: each
    for each in (
        _plain("mnist", "MNIST", DIGITS, "https://ossci-datasets.s3.amazonaws.com/mnist/", 11_594_722),
        _plain("kmnist", "KMNIST", HIRAGANA, "http://codh.rois.ac.jp/kmnist/dataset/kmnist/", 0),
        NamedSet(
            "qmnist", "QMNIST", "qmnist", DIGITS, "qmnist-train-images-idx3-ubyte",
            "https://raw.githubusercontent.com/facebookresearch/qmnist/master/qmnist-train-labels-idx2-int.gz",
            ({"what": "train"}, {"what": "test"}),
            others=("qmnist-train-labels-idx2-int", "qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"),
        ),
        _emnist("balanced", _merged), _emnist("letters", ("N/A", *string.ascii_lowercase)), _emnist("digits", DIGITS),
        _emnist("byclass", EVERYTHING), _emnist("bymerge", _merged), _emnist("mnist", DIGITS),
    )
}  # fmt: skip
"""Name → set."""


def fetched(name: str, progress: Progress, may_download: bool = True) -> Path:
    """The file of training images of a known set, downloaded unless it is in the cache already.

    Raises:
        DatasetError: it could not be downloaded; the message says why, the hint what to do.
    """
    known = SETS[name]
    if path := known.find():
        return path
    if not may_download:
        raise DatasetError(f"{known.title} is not on this machine", f"fetch it: tui-vae data --download {name}")
    if os.environ.get("TUI_VAE_OFFLINE"):
        raise DatasetError(f"{known.title} was not downloaded because TUI_VAE_OFFLINE is set", "unset TUI_VAE_OFFLINE")
    home, given = cache_home(), os.environ.get("TUI_VAE_MIRROR")
    mirror = given.rstrip("/") + "/" if given else ""
    probe(
        known.title,
        mirror or known.url.rpartition("/")[0],
        mirror + known.url.rpartition("/")[2] if mirror else known.url,
    )
    prefix = f".{known.family}-"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / f".{known.family}.lock", lambda: progress(f"waiting for another download of {known.title}")):
            if path := known.find():
                return path
            if shutil.disk_usage(home).free < KEPT_FREE * known.total:
                raise DatasetError(f"{known.title} needs {KEPT_FREE * known.total / 1e9:.1f} GB in {home}",
                                   "set TUI_VAE_CACHE to a folder with more room")  # fmt: skip
            for leftover in home.glob(f"{prefix}*"):  # of processes killed in mid-download: the lock says they are gone
                shutil.rmtree(leftover, ignore_errors=True)
            partial = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
            try:
                fetch(Job(known.title, mirror, known.calls, known.total), partial, progress)
                shutil.rmtree(home / known.family, ignore_errors=True)  # what is there lacks files
                os.rename(partial, home / known.family)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise not_saved(known.title, home, error) from error
    path = known.find()
    if path is None:
        raise not_downloaded(known.title, mirror or "its own servers", "files are missing")
    return path
