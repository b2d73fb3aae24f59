"""A run's configuration as options of a command line."""

from __future__ import annotations

from tui_vae.config.run_config import RunConfig, option_name, options, preset_config, text_of


def train_options(config: RunConfig) -> list[str]:
    """The fewest options of `tui-vae train` that ask for the same, each a word or two."""
    base = preset_config(config.preset)
    words = []
    if config.preset != "default":
        words += ["--preset", config.preset]
    for name in options():
        value = getattr(config, name)
        if name != "preset" and value != getattr(base, name):
            text = text_of(name, value)
            words += [f"--{option_name(name)}={text}"] if text.startswith("-") else [f"--{option_name(name)}", text]
    return words
