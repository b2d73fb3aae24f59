"""The tags of a run, and the group that it belongs to: words by which its user finds it, in a small file beside it.

A sweep puts its runs into a group of its name. Runs of one recipe that differ in nothing but their seed are a group
without anybody saying so.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_vae.config import RunConfig, option_name, options
from tui_vae.errors import UsageError
from tui_vae.plain_text import plain
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.files import write_atomic
from tui_vae.runs.safe_files import read_whole

MOST_TAGS, LONGEST = 20, 40
"""Tags of a run, and characters of a tag or group: as many as anybody reads in a line."""

MOST_BYTES = 64 << 10
"""Bytes of the file that are read: all tags have a few hundred."""

WORD = rf"[^\s,@\"\\]{{1,{LONGEST}}}"
"""A tag, or a group: any word without commas, quotes and @, which stands before a group where both are typed."""


@dataclass(frozen=True)
class Tags:
    """What a run is marked with. `group`: empty where it is in none."""

    tags: tuple[str, ...] = ()
    group: str = ""

    def text(self) -> str:
        """As they are typed: `good paper @widths`."""
        return " ".join([*self.tags, *([f"@{self.group}"] if self.group else [])])


def parse_tags(text: str) -> Tags:
    """Tags, and a group behind an @, from words as a user types them.

    Raises:
        UsageError: a word is none of both, there are too many, or two groups.
    """
    words = text.replace(",", " ").split()
    groups = [word[1:] for word in words if word.startswith("@")]
    tags = tuple(dict.fromkeys(word for word in words if not word.startswith("@")))
    for word in (*tags, *groups):
        if not re.fullmatch(WORD, word) or plain(word) != word:
            raise UsageError(f"{word!r} is no tag", f"a word of up to {LONGEST} characters, without commas and quotes")
    if len(tags) > MOST_TAGS or len(groups) > 1:
        raise UsageError("that is too much", f"a run has up to {MOST_TAGS} tags and one group, such as @widths")
    return Tags(tags, next(iter(groups), ""))


def read_tags(directory: RunDirectory) -> Tags:
    """The run's tags and group. A file that cannot be read, or is damaged, has none."""
    try:
        table = tomllib.loads(read_whole(directory.files.tags, MOST_BYTES).decode())
    except (OSError, ValueError):
        return Tags()
    given, group = table.get("tags", []), table.get("group", "")
    words = [word for word in given if _is_word(word)] if isinstance(given, list) else []
    return Tags(tuple(words[:MOST_TAGS]), group if _is_word(group) else "")


def _is_word(word: object) -> bool:
    return isinstance(word, str) and bool(re.fullmatch(WORD, word)) and plain(word) == word


def write_tags(directory: RunDirectory, tags: Tags) -> None:
    """Keep tags and group with a run; nothing of both removes the file.

    Raises:
        ReadOnlyRun: it is another user's. OSError: it cannot be written.
    """
    directory.check_own()
    if tags == Tags():
        directory.tags.unlink(missing_ok=True)
    else:
        listed = ", ".join(f'"{tag}"' for tag in tags.tags)
        write_atomic(directory.tags, f'tags = [{listed}]\ngroup = "{tags.group}"\n'.encode())


NOT_THE_RECIPE = ("name", "seed", "device", "threads", "data_on", "checkpoint_every", "keep", "on_end", "log")
"""Options in which runs of one recipe may differ: they change the result as another seed does, or not at all."""


def recipe(config: RunConfig) -> tuple[object, ...]:
    """What runs of one recipe have in common."""
    return tuple(getattr(config, name) for name in options() if name not in NOT_THE_RECIPE)


def differing(configs: Sequence[RunConfig]) -> list[str]:
    """The options in which runs have different recipes."""
    names = (name for name in options() if name not in NOT_THE_RECIPE)
    return [option_name(name) for name in names if len({getattr(config, name) for config in configs}) > 1]


def group_of_seeds(configs: Mapping[str, RunConfig]) -> dict[str, str]:
    """The group of each run, by name, of which another one differs in the seed and has the same recipe.

    The group is called after the beginning that its names have in common, else after its first name.
    """
    found: dict[tuple[object, ...], list[str]] = {}
    for name in sorted(configs):
        found.setdefault(recipe(configs[name]), []).append(name)
    several = [names for names in found.values() if len({configs[name].seed for name in names}) > 1]
    return {name: group_name(names) for names in several for name in names}


def group_name(names: Sequence[str]) -> str:
    """The beginning that these names share, without a word such as `seed` at its end; else the first name."""
    shared = os.path.commonprefix(list(names)).rstrip("-_.0123456789")  # noqa: RUF071  # names, not paths
    shared = re.sub(r"[-_.]?(seed|s|run)$", "", shared)
    return shared or names[0]
