"""Writes `docs/commands.md`, every command and option, from the command line's parser, and `docs/keys.md` from the app.

`python scripts/make_docs.py` writes both; with `--check` it only says, by exit code 1, which of them is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from textual.binding import Binding  # noqa: E402
from textual.keys import key_to_character  # noqa: E402

from tui_vae import config  # noqa: E402
from tui_vae.cli.parser import make_parser  # noqa: E402
from tui_vae.config.presets import SUITS  # noqa: E402
from tui_vae.ui.user_keys import known_commands  # noqa: E402

HEAD = """# Every command and every option

Made from the command line's own parser by `python scripts/make_docs.py`; a test fails where this page is stale.
`tui-vae COMMAND --help` says the same, and [shell.md](shell.md) shows the commands at work. Every command also takes
`--help`, `--debug` and `--runs-dir DIR`, as `tui-vae` itself does.

"""

KEYS_HEAD = """# Every key

Made from the app's own bindings by `python scripts/make_docs.py`; a test fails where this page is stale. `?` shows the
keys that work where you are, and `ctrl+p` finds a command by its name. [tour.md](tour.md) shows what they do.

The names in the last column are for keys of your own: a table `[keys]` in your file of settings, whose place `?` shows
at its end, with lines such as `run.pause = "ctrl+t"`.
"""

SECTIONS = {
    "Everywhere": ("pane", "app"),
    "On a run": ("run",),
    "Start screen": ("start",),
    "Train": ("train", "previews", "epochs", "log"),
    "Train: choosing the figures of the charts": ("charts",),
    "Browse": ("browse",),
    "Latent": ("latent",),
    "Runs": ("runs",),
    "Runs: two runs side by side": ("beside",),
    "The form of a new run": ("form", "choice"),
    "Questions, lists and the help": ("dialog", "list", "help", "scroll"),
}
"""Title of a table → the first words of the names of its commands."""

OF_ALL = {"help", "debug", "runs_dir"}
"""Options that every command takes, listed once."""

OF_TRAIN = "tui-vae train"
"""The command under which the options of a run are listed; others that take most of them refer to it."""

MOST_REPEATED = 10
"""Options of a run that another command lists itself; where it takes more, it refers to `train`."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is stale")
    check: bool = parser.parse_args().check
    stale = []
    for name, made in (("commands.md", page()), ("keys.md", keys())):
        file = ROOT / "docs" / name
        if check and not (file.exists() and file.read_text() == made):
            stale.append(f"docs/{name}")
        elif not check:
            file.write_text(made)
    if stale:
        print(f"{' and '.join(stale)}: stale; run python scripts/make_docs.py", file=sys.stderr)
    return 1 if stale else 0


def page() -> str:
    """The whole page, as Markdown."""
    parser = make_parser()
    (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    summaries = {each.dest: each.help or "" for each in commands._choices_actions}
    rows = [f"| [`{name}`](#tui-vae-{name}) | {cell(summaries[name])} |" for name in commands.choices]
    table = "\n".join(["| command | what it does |", "| --- | --- |", *rows])
    without = f"## tui-vae\n\n{parser.description}\n\n{parser.epilog}\n\n{lists(parser, except_for={commands.dest})}"
    return "\n".join([HEAD + table, "", without, *(section(each) for each in commands.choices.values()), presets()])


def section(command: argparse.ArgumentParser) -> str:
    """One command: how it is called, what it does, its options."""
    words = [shown(each) for each in command._actions if not each.option_strings]
    required = [f"{each.option_strings[0]} {metavar(each)}" for each in command._actions
                if each.option_strings and each.required]  # fmt: skip
    call = " ".join([command.prog, *words, *required, "[OPTION …]"])
    parts = [f"## {command.prog}", f"`{call}`", f"{command.description} {command.epilog or ''}".strip(),
             lists(command, OF_ALL)]  # fmt: skip
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def presets() -> str:
    """What each preset changes, as the options that one would type."""
    rows = []
    for name, values in config.PRESETS.items():
        options = (f"`--{config.option_name(each)} {config.text_of(each, value)}`" for each, value in values.items())
        rows.append(f"| `{name}` | {SUITS[name]} | {' '.join(options) or 'nothing: these are the defaults'} |")
    return "\n".join(["## Presets", "", "| preset | suits | changes |", "| --- | --- | --- |", *rows, ""])


def lists(command: argparse.ArgumentParser, except_for: Collection[str]) -> str:
    """A table of options for each of the parser's groups, those of a run by a reference where `train` lists them."""
    of_a_run = [each for each in command._actions if is_of_a_run(each)]
    refers = len(of_a_run) > MOST_REPEATED and command.prog != OF_TRAIN
    tables: dict[str, list[argparse.Action]] = {}
    for group in command._action_groups:
        title = "" if group.title in ("options", "arguments") else f"*{group.title}*\n\n"
        actions = [each for each in group._group_actions if each.dest not in except_for and described(each)]
        tables.setdefault(title, []).extend(each for each in actions if not (refers and is_of_a_run(each)))
    parts = []
    for title, actions in tables.items():
        if actions:
            head = "| option | what it is |\n| --- | --- |"
            if any(map(is_of_a_run, actions)):
                head = "| option | what it is (default) | values |\n| --- | --- | --- |"
            parts.append(f"{title}{head}\n" + "\n".join(map(row, actions)) + "\n")
    if refers:
        parts.append(reference(of_a_run) + "\n")
    return "\n".join(parts)


def reference(of_a_run: Iterable[argparse.Action]) -> str:
    """Which of the options that `train` lists a command takes too."""
    missing = set(config.options()) - {each.dest.split("_", 1)[1] for each in of_a_run}
    names = ", ".join(f"`--{config.option_name(name)}`" for name in config.options() if name in missing)
    but = f", but for {names}" if names else ""
    return f"And every option of a run that [`train`](#tui-vae-train) takes{but}."


def is_of_a_run(action: argparse.Action) -> bool:
    """Whether it is an option that `config.toml` has too."""
    return action.dest.startswith(("option_", "values_")) and bool(action.option_strings)


def described(action: argparse.Action) -> bool:
    """Whether there is something to say about it: a word such as RUN needs no row."""
    return bool(action.option_strings or action.help or action.choices)


def row(action: argparse.Action) -> str:
    value = f" {metavar(action)}" if action.nargs != 0 else ""
    names = ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{metavar(action)}`"
    text = (action.help or "").replace("%%", "%")
    return f"| {cell(names)} | {cell(text)} |{f' {cell(values(action))} |' if is_of_a_run(action) else ''}"


def values(action: argparse.Action) -> str:
    """Which values an option of a run takes, where its own words do not say it."""
    name = action.dest.removeprefix("option_")
    option, allowed = config.options()[name], config.allowed(name)
    return "" if option.choices or allowed == option.unset else allowed


def metavar(action: argparse.Action) -> str:
    """What stands for the value: as the help writes it."""
    if action.metavar is None and action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def shown(action: argparse.Action) -> str:
    """A word of the call: in brackets where it may be missing, with dots where there may be several."""
    return {"?": "[{}]", "*": "[{} …]", "+": "{} …"}.get(str(action.nargs), "{}").format(metavar(action))


def keys() -> str:
    """The page of all keys, as Markdown.

    Raises:
        ValueError: a command belongs to no section.
    """
    commands = known_commands()
    if homeless := {each.partition(".")[0] for each in commands} - {
        word for these in SECTIONS.values() for word in these
    }:
        raise ValueError(f"SECTIONS has no place for the keys of {', '.join(sorted(homeless))}")
    parts = [KEYS_HEAD]
    for title, words in SECTIONS.items():
        rows = [key_row(name, each) for word in words for name, each in commands.items() if name.startswith(f"{word}.")]
        parts.append("\n".join([f"## {title}", "", "| key | what it does | name |", "| --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


def key_row(name: str, binding: Binding) -> str:
    names = " ".join(f"`{key_name(key)}`" for key in binding.key.split(","))
    return f"| {names} | {cell(binding.tooltip)} | `{name}` |"


def key_name(key: str) -> str:
    """As it is said: `question_mark` is `?`, `ctrl+left` is `ctrl+←`."""
    *modifiers, last = key.strip().split("+") if key != "+" else ("+",)
    words = {"left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "esc"}
    character = key_to_character(last) or ""
    return "+".join(
        [*modifiers, words.get(last) or (character if character.strip() and character.isprintable() else last)]
    )


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
