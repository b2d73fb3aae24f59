"""Where FashionMNIST's files are: found on this machine, downloaded, or the bundled sample.

`resolve` takes the first of these places that holds the dataset, and returns which one it is:

1. the directory that the user names (`--data-dir`), if it has the published files. Other images there are read by
   `assemble.load_path`; no other place replaces what the user names;
2. the user's cache, where downloads go;
3. the system copy, such as the one of Debian's package `dataset-fashion-mnist`;
4. a download into the cache, with torchvision's own downloader;
5. the sample that comes with this package.

**Accepted files.** A file is the published one if its MD5 is, compressed or not, however it was compressed. Cache and
system copy must hold the published files. A directory that lacks one of the four files holds no dataset;
one that has all four, one of them damaged, is an error that names the file, what was expected and what was found.

**Environment variables.** `TUI_VAE_CACHE`: the cache directory. `TUI_VAE_SYSTEM_DATA`: the system copy's directory.
`TUI_VAE_MIRROR`: base URL to download the four .gz files from. `TUI_VAE_OFFLINE`: if not empty, never download.

Nothing here imports torch, torchvision or numpy: quick commands ask this module what data there are.
"""

from dataclasses import replace
from pathlib import Path

from tui_vae.config import RunConfig
from tui_vae.core.data.download import Progress, download, silent
from tui_vae.core.data.published import DatasetError, get_info
from tui_vae.core.data.published_files import HINTS, Source, inspect, locate, place, preload_file


def available(dataset: str = "fashion-mnist") -> list[Source]:
    """The places on this machine that have the dataset, best first. It uses no network.

    A place whose files are damaged is listed as well, with `problem` set and no images.

    Raises:
        DatasetError: there is no dataset of this name.
    """
    info = get_info(dataset)
    found = []
    for kind in ("cache", "system", "sample"):
        path = place(info, kind)
        try:
            source = inspect(info, kind, path)
        except DatasetError as error:
            source = Source(info.name, kind, path, train=0, test=0, problem=error.message)
        if source:
            found.append(source)
    return found


def preload_usual() -> None:
    """Read the files of the usual dataset into memory, where it is in one of its usual places. It uses no network."""
    info = get_info(RunConfig().dataset)
    for kind in ("cache", "system"):
        paths = locate(info, place(info, kind))
        if len(paths) == len(info.files):
            for path in paths.values():
                preload_file(path)
            return


def published_in(directory: Path, dataset: str = "fashion-mnist") -> Source | None:
    """The published files of the dataset in a directory that the user names; None where they are not there."""
    return inspect(get_info(dataset), "data-dir", directory)


def resolve(dataset: str, progress: Progress | None = None, may_download: bool = True) -> Source:
    """The first place that holds the dataset, in the order of this module's docstring, from the second on.

    A damaged file in the cache is an error. A damaged system copy, which the user may be unable to repair, is reported
    to `progress` and skipped. Without a working network, the sample is returned within 5 seconds.

    Args:
        dataset: a key of `published.DATASETS`.
        progress: called with short texts for the user, at most about four times a second.
        may_download: whether it may be fetched.

    Raises:
        DatasetError: the cache is damaged, or the name is unknown.
    """
    info = get_info(dataset)
    report = progress or silent
    if source := inspect(info, "cache", place(info, "cache")):
        return source

    reasons = []
    try:
        if source := inspect(info, "system", place(info, "system")):
            return source
    except DatasetError as error:
        reasons.append(error.message)
        report(error.message)

    try:
        if may_download:
            return download(dataset, progress)
    except DatasetError as error:
        reasons.append(error.message)

    sample = inspect(info, "sample", place(info, "sample"))
    if sample is None:
        raise DatasetError(f"no {info.title} was found, and the bundled sample is missing", HINTS["sample"])
    return replace(sample, reason="; ".join(reasons))
