"""Downloading a dataset into the user's cache, with torchvision's downloader: all files verified, or none there."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui_vae.config.data_places import cache_home
from tui_vae.core.data.file_lock import locked
from tui_vae.core.data.published import DatasetError, DatasetInfo, get_info
from tui_vae.core.data.published_files import HINTS, Source, inspect, place

Progress = Callable[[str], None]

PROBE_SECONDS = 3.0
"""Seconds to wait for the mirror's first byte. With all else, a machine without network gets the sample within 5 s."""

STALL_SECONDS = 10.0
"""Seconds without a byte after which a download fails."""

REPORT_SECONDS = 0.25
"""Seconds between two progress texts: often enough to see it move, too seldom to fill a log."""

# It runs in a process of its own, which can be killed at any moment: torchvision prints to the terminal, knows no
# timeouts but the process's default ones, and takes seconds to import.
_DOWNLOADER = """\
import json, socket, sys
name, mirror, root, timeout, calls = sys.argv[1:]
try:
    from torchvision import datasets
except Exception as error:
    sys.exit(f"torchvision does not import ({error})")
socket.setdefaulttimeout(float(timeout))
dataset = getattr(datasets, name)
def there(url):
    return mirror + url.rpartition("/")[2]
if mirror:
    dataset.mirrors = [mirror]
    if "url" in vars(dataset):
        dataset.url = there(dataset.url)
    if isinstance(dataset.resources, dict):
        dataset.resources = {key: [(there(url), md5) for url, md5 in files] for key, files in dataset.resources.items()}
try:
    for options in json.loads(calls):
        dataset(root, download=True, **options)
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
    probe(info.title, mirror, mirror + min(info.files.values(), key=lambda file: file.gz_size).name + ".gz")

    home, directory = cache_home(), place(info, "download")
    prefix = f".{info.name}-"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(home / f".{info.name}.lock", lambda: report(f"waiting for another download of {info.title}")):
            if source := _cached(info):
                return source
            for leftover in home.glob(f"{prefix}*"):  # of processes killed in mid-download: the lock says they are gone
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=prefix, dir=home) as partial:
                arrived = Path(partial, info.title, "raw")
                total = sum(file.gz_size for file in info.files.values())
                fetch(Job(info.title, mirror, total=total), Path(partial), report)
                if inspect(info, "download", arrived) is None:
                    raise not_downloaded(info.title, mirror, "files are missing")
                for file in info.files.values():
                    os.replace(arrived / f"{file.name}.gz", directory / f"{file.name}.gz")
    except OSError as error:
        raise not_saved(info.title, home, error) from error

    source = inspect(info, "download", directory)
    if source is None:
        raise DatasetError(f"{directory} was emptied right after the download", HINTS["download"])
    return source


def _cached(info: DatasetInfo) -> Source | None:
    try:
        return inspect(info, "cache", place(info, "cache"))
    except DatasetError:
        return None


def probe(title: str, mirror: str, url: str) -> None:
    """Ask the mirror for one byte of a file, in a daemon thread, since a name lookup cannot be interrupted.

    It uses urllib, as torchvision does, so that the same proxies apply.

    Raises:
        DatasetError: no answer came in time, or an error.
    """
    import http.client  # these two imports take 40 ms, which only a download needs
    import urllib.request

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
        raise not_downloaded(title, mirror, f"no answer in {PROBE_SECONDS:.0f} s") from None
    if error:
        raise not_downloaded(title, mirror, _why(error)) from error


@dataclass(frozen=True)
class Job:
    """What to download. title: of torchvision's class, and of the folder that it makes. mirror: a base URL in place of
    the class's own; empty for those. calls: the options of each object of that class that is to be made. total: bytes
    that will arrive, if that is known."""

    title: str
    mirror: str = ""
    calls: tuple[dict[str, str], ...] = ({},)
    total: int = 0


def fetch(job: Job, root: Path, report: Progress) -> None:
    """Run torchvision's downloader, and report how many of the compressed bytes have arrived.

    Raises:
        DatasetError: it failed.
    """
    arguments = [job.title, job.mirror, str(root), str(STALL_SECONDS), json.dumps(job.calls)]
    of_total = f" of {job.total / 1e6:.1f}" if job.total else ""
    arriving, last = root / job.title / "raw", ""
    with tempfile.TemporaryFile(dir=root) as output:
        child = subprocess.Popen(  # noqa: S603  # this Python, our code
            [sys.executable, "-P", "-c", _DOWNLOADER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            while child.returncode is None:
                done = sum(path.stat().st_size for kind in ("gz", "zip") for path in arriving.glob(f"*.{kind}"))
                text = f"downloading {job.title}, {done / 1e6:.1f}{of_total} MB"
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
            raise not_downloaded(job.title, job.mirror or "its own servers", why)


def not_downloaded(title: str, mirror: str, why: str) -> DatasetError:
    return DatasetError(f"{title} could not be downloaded from {mirror}: {why.rstrip('.')}", HINTS["download"])


def not_saved(title: str, home: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{title} could not be saved in {home}: {_why(error)}", "set TUI_VAE_CACHE to another folder")


def _why(error: Exception) -> str:
    """An exception's message, without what urllib and errno put around it."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause)


def silent(text: str) -> None:
    """Drop a progress text."""
