"""Options from a TOML file: `--config FILE`, and the `config.toml` of a run."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tui_vae.config.options import NotAllowed, absolute_path, check_text, wrong_value
from tui_vae.config.run_config import check_option, field_name, option_name
from tui_vae.errors import UsageError
from tui_vae.plain_text import plain

MOST_BYTES = 1 << 20
"""Bytes of a TOML file that are read: one with every option has about 1 kB."""


def read_config(path: Path) -> dict[str, Any]:
    """The options that a TOML file gives, checked one by one; for its `runs-dir` see `read_runs_dir`.

    Raises:
        UsageError: the file is missing, not TOML, or has an unknown option or a value out of place.
    """
    return _checked(_read_toml(path), path)


def parse_config(data: bytes, path: Path) -> dict[str, Any]:
    """The options that the contents of a TOML file give, checked one by one. `path` is for messages.

    Raises:
        UsageError: as `read_config`.
    """
    return _checked(_parse_toml(data, path), path)


def _checked(given: dict[str, Any], path: Path) -> dict[str, Any]:
    with _errors_name(path):
        return {field_name(name): check_option(name, value) for name, value in given.items() if not _is_runs_dir(name)}


def read_runs_dir(path: Path) -> str | None:
    """Where a TOML file wants the runs to be, if it says so. That is no option of a run, which may be moved.

    Raises:
        UsageError: the file is missing, not TOML, or this is no path.
    """
    for name, value in _read_toml(path).items():
        if _is_runs_dir(name):
            with _errors_name(path):
                try:
                    return absolute_path(check_text(value, "a path"))
                except NotAllowed as error:
                    raise wrong_value(option_name(name), value, str(error)) from None
    return None


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Errors say in which file the value stands."""
    try:
        yield
    except UsageError as error:
        error.message = f"{path}: {error.message}"
        raise


def _is_runs_dir(name: str) -> bool:
    return option_name(name) == "runs-dir"


def _read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        UsageError: the file is missing, not TOML, or says something twice.
    """
    try:
        return _parse_toml(plain_bytes(path), path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def plain_bytes(path: Path) -> bytes:
    """The bytes of a plain file. Anything else could keep the reader waiting, or never end.

    Raises:
        OSError: it is none, too large, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES:,} bytes", str(path))
    return data


def _parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    """
    Raises:
        UsageError: it is not TOML, or says something twice.
    """
    import tomllib  # it takes a twentieth of a quick command, which reads no such file

    try:
        given = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {plain(str(error))}") from None
    except ValueError:
        digits = f"{sys.get_int_max_str_digits():,}"
        raise UsageError(f"{path} has a number of more than {digits} digits", "no option takes such a number") from None
    except RecursionError:
        raise UsageError(f"{path} has too many brackets inside each other", "no option takes so many") from None
    for name in given:
        if option_name(name) != name and option_name(name) in given:
            raise UsageError(
                f"{path} gives {plain(option_name(name))} twice, once as {plain(name)}", "leave one of them out"
            )
    return given
