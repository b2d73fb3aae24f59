"""Which code of the user's own may run: a run names its model as `module:Class`, and a run may come from a stranger.

Code runs unasked only if this user has trained with it or has allowed it: the path of each of its files and the SHA-256
of their contents are in a file of the user's own, never in a run's directory. A file that has changed since counts as
new code, whoever changed it; a new `train` with it, or the user's word, records it again.
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
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from tui_vae.config.run_config import RunConfig
from tui_vae.errors import UserError

MOST_RECORDED = 1 << 24
"""Bytes of the record that are read: about 50,000 entries. What is beyond counts as not allowed."""

HINT = "read that file, then allow it: --trust, or T in the app"


class NotTrusted(UserError):
    """A run names code that this user has neither trained with nor allowed."""


@dataclass(frozen=True)
class OwnCode:
    """The files that importing a model's module runs, each with the SHA-256 of its contents, the module's own last."""

    model: str
    files: tuple[tuple[str, str], ...]

    @property
    def file(self) -> str:
        """The path of the model's own module."""
        return self.files[-1][0]

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal digits, of the model's name and all files: what is allowed or not."""
        return hashlib.sha256(json.dumps([self.model, self.files]).encode()).hexdigest()


_allowed: set[str] = set()
"""Digests of what this process may run besides what the record holds."""


def find_code(config: RunConfig) -> OwnCode | None:
    """The code that the configuration's model would run, without running any of it.

    None where the model is one of ours, or where its module is not there.
    """
    if ":" not in config.model:
        return None
    importlib.invalidate_caches()
    folder = config.model_dir
    search: Sequence[str] = sys.path if folder is None or folder in sys.path else [folder, *sys.path]
    files, name = [], ""
    for part in config.model.partition(":")[0].split("."):
        spec = _find_spec(f"{name}.{part}" if name else part, search, top=not name)
        if spec is None:
            return None
        if spec.origin is not None:  # a folder without __init__.py runs nothing
            files.append(_fingerprint(spec.origin))
        name, search = spec.name, list(spec.submodule_search_locations or ())
    return OwnCode(config.model, tuple(files)) if files else None


def _find_spec(name: str, search: Sequence[str], top: bool) -> ModuleSpec | None:
    """Find a module as import does, without importing its packages."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, search if finder is PathFinder or not top else None)
        if spec is not None:
            return spec
    return None


def _fingerprint(origin: str) -> tuple[str, str]:
    try:
        return os.path.realpath(origin), hashlib.sha256(Path(origin).read_bytes()).hexdigest()
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
    for digest, file in _recorded():
        if digest == code.digest:
            return code
        changed |= file == code.file
    why = "which has changed since you allowed it" if changed else "which you have neither trained with nor allowed"
    raise NotTrusted(f"the run's model {config.model} is code in {code.file}, {why}", HINT)


def allow(config: RunConfig) -> None:
    """Allow the code of a configuration's model in this process, and for good if it can be recorded."""
    code = find_code(config)
    if code is None:
        return
    allow_digest(code.digest)
    if code.digest not in (digest for digest, _ in _recorded()):
        line = json.dumps({"t": time.time(), "digest": code.digest, "model": code.model, "file": code.file})
        with suppress(OSError, RuntimeError):
            path = record_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(file, "ab") as record:
                record.write(f"{line}\n".encode())


def allow_digest(digest: str) -> None:
    """Allow the code of this digest in this process."""
    _allowed.add(digest)


def state_directory() -> Path:
    """The folder `TUI_VAE_STATE`, else the user's state directory."""
    given = os.environ.get("TUI_VAE_STATE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_state_path

    return user_state_path("tui-vae")


def record_file() -> Path:
    """The record: a line of JSON for each code that was allowed, with `digest`, `model`, `file` and the time `t`."""
    return state_directory() / "allowed-code.jsonl"


def _recorded() -> Iterator[tuple[str, str]]:
    """Digest and file of each entry. A record that others could have written counts as none."""
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
                yield str(entry["digest"]), str(entry["file"])
