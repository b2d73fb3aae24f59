"""Downloading a dataset into the user's cache, with torchvision's downloader: all files verified, or none there."""

import fcntl
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tui_vae.core.data.files import HINTS, Source, cache_home, inspect, place
from tui_vae.core.data.published import DatasetError, DatasetInfo, get_info

Progress = Callable[[str], None]

PROBE_SECONDS = 3.0
"""Seconds to wait for the mirror's first byte. With all else, a machine without network gets the sample within 5 s."""

STALL_SECONDS = 10.0
"""Seconds without a byte after which a download fails."""

REPORT_SECONDS = 0.25
"""Seconds between two progress texts."""

# It runs in a process of its own, which can be killed at any moment: torchvision prints to the terminal, knows no
# timeouts but the process's default ones, and takes seconds to import.
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
    """Download the dataset into the cache, unless it is there already. A damaged copy there is replaced.

    Files get their final names once all of them are verified. Where several processes download at once, one does the
    work and the others wait for it.

    Raises:
        DatasetError: it could not be downloaded; the message says why, the hint what to do.
    """
    info = get_info(dataset)
    report = progress or silent
    if source := _cached(info):
        return source
    mirror = (os.environ.get("TUI_VAE_MIRROR") or info.mirror).rstrip("/") + "/"
    if os.environ.get("TUI_VAE_OFFLINE"):
        raise DatasetError(f"{info.title} was not downloaded because TUI_VAE_OFFLINE is set", "unset TUI_VAE_OFFLINE")
    _probe(info, mirror)

    home, directory = cache_home(), place(info, "download")
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
                if inspect(info, "download", arrived) is None:
                    raise _not_downloaded(info, mirror, "files are missing")
                for file in info.files.values():
                    os.replace(arrived / f"{file.name}.gz", directory / f"{file.name}.gz")
    except OSError as error:
        message = f"{info.title} could not be saved in {home}: {_why(error)}"
        raise DatasetError(message, "set TUI_VAE_CACHE to another folder") from error

    source = inspect(info, "download", directory)
    if source is None:
        raise DatasetError(f"{directory} was emptied right after the download", HINTS["download"])
    return source


def _cached(info: DatasetInfo) -> Source | None:
    try:
        return inspect(info, "cache", place(info, "cache"))
    except DatasetError:
        return None


def _probe(info: DatasetInfo, mirror: str) -> None:
    """Ask the mirror for one byte, in a daemon thread, since a name lookup cannot be interrupted.

    It uses urllib, as torchvision does, so that the same proxies apply.

    Raises:
        DatasetError: no answer came in time, or an error.
    """
    import http.client  # these two imports take 40 ms, which only a download needs
    import urllib.request

    url = mirror + min(info.files.values(), key=lambda file: file.gz_size).name + ".gz"
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response:  # noqa: S310  # the user names it
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
    """Run torchvision's downloader, and report how many of the compressed bytes have arrived.

    Raises:
        DatasetError: it failed.
    """
    total = sum(file.gz_size for file in info.files.values())
    arguments = [info.title, mirror, str(root), str(STALL_SECONDS)]
    last = ""
    with tempfile.TemporaryFile(dir=root) as output:
        child = subprocess.Popen(  # noqa: S603  # this Python, our code
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
    """Hold an exclusive flock on a file; `on_wait` is called if another process holds it."""
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
    """An exception's message, without what urllib and errno put around it."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause)


def silent(text: str) -> None:
    """Drop a progress text."""
