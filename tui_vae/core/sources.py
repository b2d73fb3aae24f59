"""Where a dataset's files are: found on this machine, downloaded, or the bundled sample.

`resolve` takes the first of these places that holds the dataset, and says which one it was:

1. the directory the user names (`--data-dir`). An explicit wish is never passed over: what is wrong there is an error;
2. the user's cache, where downloads go;
3. the system copy, such as the one of Debian's package `dataset-fashion-mnist`;
4. a download into the cache, with torchvision's own downloader;
5. the sample that comes with this package.

**What is accepted.** A file is the published one if its MD5 is, compressed or not, however it was compressed. Cache and
system copy must hold the published files. A data directory may hold other images of the same shape, KMNIST for one:
files whose structure is whole (gzip checksum, idx header, exact length, labels within the classes) are taken, and the
source then says that they are not the published ones. A directory that lacks one of the four files holds no dataset;
one that has all four, one of them damaged, is an error that names the file, what was expected and what was found.

**Environment variables.** `TUI_VAE_CACHE`: the cache directory. `TUI_VAE_SYSTEM_DATA`: the system copy's directory.
`TUI_VAE_MIRROR`: base URL to download the four .gz files from. `TUI_VAE_OFFLINE`: if not empty, never download.

Nothing here imports torch, torchvision or numpy: quick commands ask this module what data there are.
"""

import fcntl
import gzip
import hashlib
import math
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from tui_vae.errors import UserError

Progress = Callable[[str], None]

PROBE_SECONDS = 3.0  # for the first byte from the mirror; with the rest, the sample comes within 5 s of no network
STALL_SECONDS = 10.0  # without a byte, after which a download is given up
REPORT_SECONDS = 0.25  # between two progress texts

HINTS = {
    "data-dir": "put the four idx files there (.gz or not, or as FashionMNIST/raw), or leave --data-dir out",
    "cache": "fetch it again with `tui-vae data --download fashion-mnist`, or delete the file",
    "system": "reinstall the package that it came with",
    "download": "check the network, or set TUI_VAE_MIRROR to another mirror, or name a copy with --data-dir",
    "sample": "reinstall tui-vae",
}


class DatasetError(UserError):
    """A dataset is not where it was said to be, is damaged, or could not be downloaded."""


@dataclass(frozen=True)
class PublishedFile:
    """One idx file as it was published, by which a copy of it is recognized. Sizes are in bytes."""

    name: str  # without .gz
    shape: tuple[int, ...]
    md5: str
    gz_size: int
    gz_md5: str
    repacked_md5: str  # of Debian's .gz, which has lost the name and time in its header

    @property
    def size(self) -> int:
        """Length of the uncompressed file: magic number, dimensions, one byte an element."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset as its authors published it."""

    name: str
    title: str  # also the name of torchvision's class, and of the directory in its layout
    classes: tuple[str, ...]
    shape: tuple[int, int]  # (height, width) in pixels
    mirror: str
    files: dict[str, PublishedFile]  # by the names that `datasets.Dataset` gives the arrays


@dataclass(frozen=True)
class Source:
    """One place where a dataset was found."""

    dataset: str
    kind: str  # "data-dir", "cache", "system", "download" or "sample"
    path: Path  # the directory of the four files
    train: int  # images in it
    test: int
    reason: str = ""  # why the sample: what kept anything better from being found
    problem: str = ""  # what is wrong with this place; it cannot be used
    published: bool = True  # whether these are the published files

    @property
    def description(self) -> str:
        """The place in a few words, for people."""
        match self.kind:
            case "sample":
                return f"bundled sample of {self.train:,} + {self.test:,} images"
            case "data-dir":
                return f"{self.path}" if self.published else f"{self.path} (not the published FashionMNIST files)"
            case "system":
                return f"system copy ({self.path})"
            case "download":
                return f"downloaded to {self.path}"
            case _:
                return f"{self.kind} ({self.path})"


DATASETS: dict[str, DatasetInfo] = {
    "fashion-mnist": DatasetInfo(
        name="fashion-mnist",
        title="FashionMNIST",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        shape=(28, 28),
        mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train_images": PublishedFile(
                name="train-images-idx3-ubyte",
                shape=(60_000, 28, 28),
                md5="f4a8712d7a061bf5bd6d2ca38dc4d50a",
                gz_size=26_421_880,
                gz_md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                repacked_md5="cf8536b0aa1a6ac5fa3f23001093305c",
            ),
            "train_labels": PublishedFile(
                name="train-labels-idx1-ubyte",
                shape=(60_000,),
                md5="9018921c3c673c538a1fc5bad174d6f9",
                gz_size=29_515,
                gz_md5="25c81989df183df01b3e8a0aad5dffbe",
                repacked_md5="10bea18fdb374794d4bb42e356e600c9",
            ),
            "test_images": PublishedFile(
                name="t10k-images-idx3-ubyte",
                shape=(10_000, 28, 28),
                md5="8181f5470baa50b63fa0f6fddb340f0a",
                gz_size=4_422_102,
                gz_md5="bef4ecab320f06d8554ea6380940ec79",
                repacked_md5="f78720b4224f21cce2f2ccf2d7a94c9a",
            ),
            "test_labels": PublishedFile(
                name="t10k-labels-idx1-ubyte",
                shape=(10_000,),
                md5="15d484375f8d13e6eb1aabb0c3f46965",
                gz_size=5_148,
                gz_md5="bb300cfdad3c16e7a12a480ee83cd310",
                repacked_md5="0d30e22e447f3c33dab9ed536400ac01",
            ),
        },
    )
}


# -- Places ------------------------------------------------------------------------------------------------------------


def available(dataset: str = "fashion-mnist") -> list[Source]:
    """The places on this machine that have the dataset, best first. Asks no network.

    A place whose files are damaged is listed as well, with `problem` set and no images.

    Raises:
        DatasetError: there is no dataset of this name.
    """
    info = get_info(dataset)
    found = []
    for kind in ("cache", "system", "sample"):
        path = _directory(info, kind)
        try:
            source = _inspect(info, kind, path)
        except DatasetError as error:
            source = Source(info.name, kind, path, train=0, test=0, problem=error.message)
        if source:
            found.append(source)
    return found


def resolve(dataset: str, data_dir: str | Path | None = None, progress: Progress | None = None) -> Source:
    """The first place that holds the dataset, in the order of this module's docstring.

    A damaged file in the cache is an error. A damaged system copy, which its user may be unable to mend, is reported to
    `progress` and passed over. No network, or none that works, leads to the sample within 5 seconds.

    Args:
        dataset: a key of `DATASETS`.
        data_dir: the only directory to look in; None or "" for the usual places.
        progress: called with short texts for people, at most about four times a second.

    Raises:
        DatasetError: the data directory lacks the dataset, it or the cache is damaged, or the name is unknown.
    """
    info = get_info(dataset)
    report = progress or _silent
    if data_dir:
        return _inspect_data_dir(info, Path(data_dir).expanduser())

    if source := _inspect(info, "cache", _directory(info, "cache")):
        return source

    reasons = []
    try:
        if source := _inspect(info, "system", _directory(info, "system")):
            return source
    except DatasetError as error:
        reasons.append(error.message)
        report(error.message)

    try:
        return download(dataset, progress)
    except DatasetError as error:
        reasons.append(error.message)

    sample = _inspect(info, "sample", _directory(info, "sample"))
    if sample is None:
        raise DatasetError(f"no {info.title} was found, and the bundled sample is missing", HINTS["sample"])
    return replace(sample, reason="; ".join(reasons))


def get_info(dataset: str) -> DatasetInfo:
    """The dataset of this name.

    Raises:
        DatasetError: there is none.
    """
    try:
        return DATASETS[dataset]
    except KeyError:
        raise DatasetError(f"there is no dataset {dataset!r}", f"known datasets: {', '.join(DATASETS)}") from None


def locate(info: DatasetInfo, directory: Path) -> dict[str, Path]:
    """The dataset's files in a directory or in torchvision's layout below it, whichever has more; .gz before plain."""
    layouts = (directory, directory / info.title / "raw")
    return max((_files_in(info, layout) for layout in layouts), key=len)


def _files_in(info: DatasetInfo, directory: Path) -> dict[str, Path]:
    found = {}
    for role, file in info.files.items():
        for path in (directory / f"{file.name}.gz", directory / file.name):
            if os.path.isfile(path):  # unlike Path.is_file, False where the directory may not be entered
                found[role] = path
                break
    return found


def _directory(info: DatasetInfo, kind: str) -> Path:
    match kind:
        case "cache" | "download":
            return _cache_home() / info.name
        case "system":
            return Path(os.environ.get("TUI_VAE_SYSTEM_DATA") or f"/usr/share/datasets/{info.name}").expanduser()
        case _:
            return Path(__file__).with_name("sample")


def _cache_home() -> Path:
    return Path(os.environ.get("TUI_VAE_CACHE") or platformdirs.user_cache_dir("tui-vae")).expanduser()


# -- Verification ------------------------------------------------------------------------------------------------------


def read_file(path: Path) -> bytes:
    """A file's contents, decompressed if its name ends in .gz.

    Raises:
        DatasetError: it cannot be read, or its compressed data are damaged.
    """
    return _decompress(path, _read(path))


def parse_idx(data: bytes, path: Path) -> tuple[tuple[int, ...], memoryview]:
    """Shape and elements of an idx file of unsigned bytes; `path` names it in errors.

    Raises:
        DatasetError: the header is not that of such a file, or does not fit the length.
    """
    rank = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * rank
    if data[:3] != b"\0\0\x08" or rank == 0 or len(data) < start:
        raise DatasetError(f"{path} is not an idx file of unsigned bytes: it starts with {data[:4].hex(' ')!r}")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise DatasetError(f"{path} is damaged: its header asks for {expected} bytes, found {len(data)}")
    return shape, memoryview(data)[start:]


def _inspect_data_dir(info: DatasetInfo, directory: Path) -> Source:
    if source := _inspect(info, "data-dir", directory):
        return source
    if not os.path.isdir(directory):
        raise DatasetError(f"the data directory {directory} does not exist", HINTS["data-dir"])
    there = locate(info, directory)
    missing = ", ".join(file.name for role, file in info.files.items() if role not in there)
    raise DatasetError(
        f"the data directory {directory} does not hold {info.title}: missing {missing}", HINTS["data-dir"]
    )


def _inspect(info: DatasetInfo, kind: str, directory: Path) -> Source | None:
    """The dataset in a directory, verified; None where one of its files is missing, DatasetError where one is wrong."""
    paths = locate(info, directory)
    if len(paths) < len(info.files):
        return None
    try:
        checks = {role: _check(info, role, path) for role, path in paths.items()}
        published = all(known for _, known in checks.values())
        if not published and kind not in ("data-dir", "sample"):
            role = next(role for role, (_, known) in checks.items() if not known)
            raise _damaged(info.files[role], paths[role])
        for split in ("train", "test"):
            images, labels = checks[f"{split}_images"][0], checks[f"{split}_labels"][0]
            if images != labels:
                path = paths[f"{split}_labels"]
                raise DatasetError(
                    f"{path} does not fit the images beside it: expected {images} labels, found {labels}"
                )
    except DatasetError as error:
        raise DatasetError(error.message, HINTS[kind]) from error
    parent = paths["train_images"].parent
    return Source(info.name, kind, parent, checks["train_images"][0], checks["test_images"][0], published=published)


def _check(info: DatasetInfo, role: str, path: Path) -> tuple[int, bool]:
    """How many items a file has and whether it is the published one; DatasetError unless its structure is whole."""
    file = info.files[role]
    raw = _read(path)
    if _md5(raw) in (file.md5, file.gz_md5, file.repacked_md5):
        return file.shape[0], True
    try:
        data = _decompress(path, raw)
    except DatasetError:
        raise _damaged(file, path) from None
    if data is not raw and _md5(data) == file.md5:
        return file.shape[0], True

    shape, elements = parse_idx(data, path)
    if len(shape) != len(file.shape) or shape[1:] != file.shape[1:] or shape[0] == 0:
        expected = "×".join(("N", *map(str, file.shape[1:])))
        found = "×".join(map(str, shape))
        raise DatasetError(f"{path} has the wrong shape: expected {expected}, found {found}")
    if role.endswith("labels") and max(elements) >= len(info.classes):
        raise DatasetError(f"{path} has a label {max(elements)}: expected labels below {len(info.classes)}")
    return shape[0], False


def _damaged(file: PublishedFile, path: Path) -> DatasetError:
    size, md5 = (file.gz_size, file.gz_md5) if path.suffix == ".gz" else (file.size, file.md5)
    raw = _read(path)
    return DatasetError(
        f"{path} is not the published file or is damaged: "
        f"expected {size} bytes with MD5 {md5}, found {len(raw)} bytes with MD5 {_md5(raw)}"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _decompress(path: Path, raw: bytes) -> bytes:
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged: {error}") from error


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# -- Download ----------------------------------------------------------------------------------------------------------

# Runs in a process of its own: torchvision prints to the terminal, has no timeouts but the process's default ones, and
# takes seconds to import; here it can also be killed at any moment.
_DOWNLOADER = """\
import socket, sys
name, mirror, root, timeout = sys.argv[1:]
try:
    from torchvision import datasets
except Exception as error:
    sys.exit(f"torchvision does not import ({error})")
socket.setdefaulttimeout(float(timeout))
dataset = getattr(datasets, name)
dataset.mirrors = [mirror]
try:
    dataset(root, download=True)
except Exception as error:
    sys.exit(str(error))
"""


def download(dataset: str = "fashion-mnist", progress: Progress | None = None) -> Source:
    """Downloads the dataset into the cache, unless it is there already; a damaged copy there is replaced.

    Files get their final names only once all of them are verified. Of several processes that download at once, one
    does and the others wait for it.

    Raises:
        DatasetError: it could not be downloaded; the message says why, the hint what to do.
    """
    info = get_info(dataset)
    report = progress or _silent
    if source := _cached(info):
        return source
    mirror = (os.environ.get("TUI_VAE_MIRROR") or info.mirror).rstrip("/") + "/"
    if os.environ.get("TUI_VAE_OFFLINE"):
        raise DatasetError(f"{info.title} was not downloaded because TUI_VAE_OFFLINE is set", "unset TUI_VAE_OFFLINE")
    _probe(info, mirror)

    home, directory = _cache_home(), _directory(info, "download")
    prefix = f".{info.name}-"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(home / f".{info.name}.lock", lambda: report(f"waiting for another download of {info.title}")):
            if source := _cached(info):
                return source
            for leftover in home.glob(f"{prefix}*"):  # of processes killed in mid-download: the lock says they are gone
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=prefix, dir=home) as partial:
                arrived = Path(partial, info.title, "raw")
                _fetch(info, mirror, Path(partial), arrived, report)
                if _inspect(info, "download", arrived) is None:
                    raise _not_downloaded(info, mirror, "files are missing")
                for file in info.files.values():
                    os.replace(arrived / f"{file.name}.gz", directory / f"{file.name}.gz")
    except OSError as error:
        message = f"{info.title} could not be saved in {home}: {_why(error)}"
        raise DatasetError(message, "set TUI_VAE_CACHE to another folder") from error

    source = _inspect(info, "download", directory)
    if source is None:
        raise DatasetError(f"{directory} was emptied right after the download", HINTS["download"])
    return source


def _cached(info: DatasetInfo) -> Source | None:
    try:
        return _inspect(info, "cache", _directory(info, "cache"))
    except DatasetError:
        return None


def _probe(info: DatasetInfo, mirror: str) -> None:
    """Raises DatasetError unless the mirror answers in time.

    In a daemon thread, since a name lookup cannot be interrupted; with urllib, as torchvision, so that proxies count.
    """
    import http.client  # these two take 40 ms, which only a download is worth
    import urllib.request

    url = mirror + min(info.files.values(), key=lambda file: file.gz_size).name + ".gz"
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response:
                response.read(1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome.put(error)
        else:
            outcome.put(None)

    threading.Thread(target=ask, daemon=True, name="probe").start()
    try:
        error = outcome.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        raise _not_downloaded(info, mirror, f"no answer in {PROBE_SECONDS:.0f} s") from None
    if error:
        raise _not_downloaded(info, mirror, _why(error)) from error


def _fetch(info: DatasetInfo, mirror: str, root: Path, arriving: Path, report: Progress) -> None:
    """Runs torchvision's downloader and reports how many of the compressed bytes have arrived."""
    total = sum(file.gz_size for file in info.files.values())
    arguments = [info.title, mirror, str(root), str(STALL_SECONDS)]
    last = ""
    with tempfile.TemporaryFile(dir=root) as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _DOWNLOADER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            while child.returncode is None:
                done = sum(path.stat().st_size for path in arriving.glob("*.gz"))
                text = f"downloading {info.title}, {done / 1e6:.1f} of {total / 1e6:.1f} MB"
                if text != last:
                    report(text)
                    last = text
                try:
                    child.wait(REPORT_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            child.kill()
            child.wait()
        if child.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").split("\n")
            why = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {child.returncode}")
            raise _not_downloaded(info, mirror, why)


@contextmanager
def _locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds an exclusive flock on a file, calling `on_wait` if another process has it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _not_downloaded(info: DatasetInfo, mirror: str, why: str) -> DatasetError:
    return DatasetError(f"{info.title} could not be downloaded from {mirror}: {why.rstrip('.')}", HINTS["download"])


def _why(error: Exception) -> str:
    """What an exception says, without urllib's and errno's wrapping."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause)


def _silent(text: str) -> None:
    pass
