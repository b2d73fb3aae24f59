"""Which files of a folder a module imports, found by reading them: none of them is run."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

MOST_SOURCE = 1 << 22
"""Bytes of a source file that is parsed, which takes a hundred times as many: no module of a person has more."""


def imported_files(modules: Mapping[str, str], folder: str) -> list[str]:
    """The files below `folder` that importing these modules, the file of each → its dotted name, runs as well.

    Those that import statements name, wherever they stand, and those that these name in turn, in the order of their
    paths. What is imported in other ways is not seen.
    """
    found = dict(modules)
    waiting = list(found)
    while waiting:
        each = waiting.pop()
        for name in _named(each, found[each]):
            for part, path in _files_of(name, folder):
                if path not in found:
                    found[path] = part
                    waiting.append(path)
    return sorted(found.keys() - modules.keys())


def _named(file: str, module: str) -> Iterator[str]:
    """The dotted names that a file's import statements may mean as modules."""
    try:
        if os.path.getsize(file) > MOST_SOURCE:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would go to stderr, where the app's screen is
            tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # nor can Python import it
    package = module if Path(file).name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            start = [*parts[: len(parts) - node.level + 1], *(node.module or "").split(".")]
            origin = ".".join(filter(None, start))
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names if alias.name != "*")


def _files_of(name: str, folder: str) -> Iterator[tuple[str, str]]:
    """The part of a dotted name, and its file, for each part that is a file below the folder."""
    search, before = [folder], ""
    for part in name.split("."):
        before = f"{before}.{part}".lstrip(".")
        spec = PathFinder.find_spec(part, search) if part else None
        if spec is None:
            return
        if spec.origin is not None and spec.has_location:
            yield before, spec.origin
        search = list(spec.submodule_search_locations or ())
