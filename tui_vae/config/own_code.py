"""Which code of the user's own may run: a run names its model as `module:Class`, and a run may come from a stranger.

Code runs unasked only if this user has trained with it or has allowed it: the folder in which it is looked for, the
path of each of its files, those of the folder that it imports among them, and the SHA-256 of their contents are in a
file of the user's own, never in a run's directory. A file that has changed since counts as new code, whoever changed
it; a new `train` with it, or the user's word, records it again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from tui_vae.config.imported_files import imported_files
from tui_vae.config.run_config import RunConfig
from tui_vae.config.state_directory import state_directory
from tui_vae.errors import UserError

MOST_RECORDED = 1 << 24
"""Bytes of the record that are read: about 50,000 entries. What is beyond counts as not allowed."""

HINT = "read it, then allow it: --trust, or T in the app"


class NotTrusted(UserError):
    """A run names code that this user has neither trained with nor allowed."""


class Changed(NotTrusted):
    """What stands in a place whose code this user has trained with or allowed is other code now."""


@dataclass(frozen=True)
class OwnCode:
    """The files that importing a model's module runs, each with the SHA-256 of its contents, the module's own last.

    folder: where they, and all that they import, are looked for first; empty if there is no such place.
    """

    model: str
    folder: str
    files: tuple[tuple[str, str], ...]

    @property
    def file(self) -> str:
        """The path of the model's own module."""
        return self.files[-1][0]

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal digits, of the model's name, its folder and all files: what is allowed or not."""
        return hashlib.sha256(json.dumps([self.model, self.folder, self.files]).encode()).hexdigest()


_allowed: set[str] = set()
"""Digests of what this process may run besides what the record holds."""


def allowed_here() -> tuple[str, ...]:
    """The digests that this process was told of, for another one that does a part of its work."""
    return tuple(sorted(_allowed))


def with_model_folder(config: RunConfig) -> RunConfig:
    """The configuration with the folder of the user's own model, where it names none: the working directory.

    Whoever opens the run may be elsewhere.
    """
    if ":" in config.model and config.model_dir is None:
        return replace(config, model_dir=os.getcwd())
    return config


def model_folder(config: RunConfig) -> str | None:
    """The folder in which the configuration's model is looked for. An archive, which Python runs as well, is none."""
    return config.model_dir if config.model_dir is not None and os.path.isdir(config.model_dir) else None


def find_code(config: RunConfig) -> OwnCode | None:
    """The code that the configuration's model would run, without running any of it.

    None where the model is one of ours, or where its module is not there.
    """
    if ":" not in config.model:
        return None
    importlib.invalidate_caches()
    folder = model_folder(config)
    search: Sequence[str] = sys.path if folder is None or folder in sys.path else [folder, *sys.path]
    modules, name = {}, ""
    for part in config.model.partition(":")[0].split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = _find_spec(name, search)
        if spec is None:
            return None
        if spec.origin is not None:  # a folder without __init__.py runs nothing
            modules[spec.origin] = name
        search = list(spec.submodule_search_locations or ())
    if not modules:
        return None
    files = [*(imported_files(modules, folder) if folder else []), *modules]
    return OwnCode(config.model, os.path.realpath(folder) if folder else "", tuple(map(_fingerprint, files)))


def _find_spec(name: str, search: Sequence[str]) -> ModuleSpec | None:
    """Find a module as import does, without importing its packages."""
    _, within, last = name.rpartition(".")
    for finder in sys.meta_path:
        if finder is PathFinder:  # by its last part: a folder without __init__.py asks for its imported package
            spec = finder.find_spec(last, search)
        else:
            spec = finder.find_spec(name, search if within else None)
        if spec is not None:
            return spec
    return None


def _fingerprint(origin: str) -> tuple[str, str]:
    try:
        with open(origin, "rb") as file:
            return os.path.realpath(origin), hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a module that is built in has a word for its file
        return origin, ""


def check_allowed(config: RunConfig) -> OwnCode | None:
    """The code that the configuration's model would run, if it is allowed to; None for a built-in model.

    Raises:
        NotTrusted: it may not run.
    """
    code = find_code(config)
    if code is None or code.digest in _allowed:
        return code
    changed = False
    for digest, file, folder in _recorded():
        if digest == code.digest:
            return code
        changed |= file == code.file and folder in (None, code.folder)
    error = Changed if changed else NotTrusted
    why = "which has changed since you allowed it" if changed else "which you have neither trained with nor allowed"
    more = len(code.files) - 1
    rest = f" and {more} other file{'s' if more > 1 else ''} that it imports" if more else ""
    raise error(f"the run's model {config.model} is code in {code.file}{rest}, {why}", HINT)


def allow(config: RunConfig) -> None:
    """Allow the code of a configuration's model in this process, and for good if it can be recorded."""
    code = find_code(config)
    if code is None:
        return
    allow_digest(code.digest)
    record(code.digest, {"model": code.model, "file": code.file, "folder": code.folder})


def record(digest: str, named: dict[str, str]) -> None:
    """Record for good that a digest is allowed, if that can be written. `named`: what it is of, `file` among it."""
    if digest not in (known for known, *_ in _recorded()):
        line = json.dumps({"t": time.time(), "digest": digest, **named})
        with suppress(OSError, RuntimeError):
            path = record_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(file, "ab") as record:
                record.write(f"{line}\n".encode())


def allow_digest(digest: str) -> None:
    """Allow the code of this digest in this process."""
    _allowed.add(digest)


def is_allowed(digest: str) -> bool:
    """Whether this process may run what has this digest."""
    return digest in _allowed or any(known == digest for known, *_ in _recorded())


def record_file() -> Path:
    """The record: a line of JSON for each code that was allowed, with `digest`, `model`, `file`, `folder`, time `t`."""
    return state_directory() / "allowed-code.jsonl"


def _recorded() -> Iterator[tuple[str, str, str | None]]:
    """Digest, file and folder of each entry, which older ones lack. A record that others could have written is none."""
    try:
        file = os.open(record_file(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, RuntimeError):
        return
    with os.fdopen(file, "rb") as record:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
            return
        for line in record.read(MOST_RECORDED).splitlines():
            with suppress(ValueError, KeyError, TypeError):  # torn by a full disk, for instance
                entry = json.loads(line)
                yield str(entry["digest"]), str(entry["file"]), entry.get("folder")
