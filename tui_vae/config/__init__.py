"""The one validated description of a run, behind the command line, the form, `--config FILE` and `config.toml` alike.

`options` says what an option is and checks a value, `run_config` lists all options and `presets` the presets, `files`
reads TOML.
"""

from tui_vae.config.data_options import NAMED_SETS, is_named, size_of
from tui_vae.config.files import parse_config, read_config, read_runs_dir
from tui_vae.config.options import Option
from tui_vae.config.presets import PRESETS
from tui_vae.config.run_config import (
    MAX_BETA,
    MAX_DEVICES,
    MAX_EPOCHS,
    MAX_LR,
    MAX_NAME,
    RUN_NAME,
    RunConfig,
    UnknownOption,
    allowed,
    check_option,
    field_name,
    make_config,
    option_name,
    options,
    preset_config,
    recorded_config,
    text_of,
    toml_value,
)
from tui_vae.config.train_options import train_options

__all__ = [
    "MAX_BETA",
    "MAX_DEVICES",
    "MAX_EPOCHS",
    "MAX_LR",
    "MAX_NAME",
    "NAMED_SETS",
    "PRESETS",
    "RUN_NAME",
    "Option",
    "RunConfig",
    "UnknownOption",
    "allowed",
    "check_option",
    "field_name",
    "is_named",
    "make_config",
    "option_name",
    "options",
    "parse_config",
    "preset_config",
    "read_config",
    "read_runs_dir",
    "recorded_config",
    "size_of",
    "text_of",
    "toml_value",
    "train_options",
]
