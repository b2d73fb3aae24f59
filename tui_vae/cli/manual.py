"""What a manual says beyond commands and options: exit codes, the environment, files. The man page has these tables."""

from __future__ import annotations

EXIT_CODES = {
    "0": "done",
    "1": "failed: one sentence on stderr says why; of verify: a file is wrong; of doctor: training cannot work here",
    "2": "wrong usage, found out before anything was done",
    "75": "train --resume-if-exists was stopped by SIGTERM or SIGUSR1: let the job come again",
    "130": "interrupted by Ctrl-C, or stopped by SIGTERM",
    "128+N": "ended by signal N, the app alone; its run trains on",
}
"""Every exit code of every command, and what it says. Scripts rely on them: none changes its meaning."""

ENVIRONMENT = {
    "TUI_VAE_RUNS": "where runs are kept, in place of checkpoints in the working directory; --runs-dir prevails",
    "TUI_VAE_CONFIG": "your file of settings, in place of config.toml in your configuration directory",
    "TUI_VAE_STATE": "where the app keeps how you left it, and what you have allowed (your state directory)",
    "TUI_VAE_CACHE": "where downloaded, decoded and trained things are kept (your cache directory)",
    "TUI_VAE_SYSTEM_DATA": "where the system's own copy of FashionMNIST is (/usr/share/datasets/fashion-mnist)",
    "TUI_VAE_MIRROR": "the address that FashionMNIST is downloaded from, in place of the usual ones",
    "TUI_VAE_OFFLINE": "if set, nothing is downloaded",
    "NO_COLOR": "if set, no colours",
    "COLORTERM": "truecolor: the terminal shows any colour, which SSH does not pass on",
}
"""The variables that a person may set."""

FILES = {
    "checkpoints/RUN/": "a run: config.toml, events.jsonl, checkpoints, previews, trainer.log",
    "~/.config/tui-vae/config.toml": "your settings: keys, notices, defaults",
    "~/.local/state/tui-vae/": "how you left the app, and what you have allowed",
    "~/.cache/tui-vae/": "data sets and decoded images; may be deleted",
}
"""Where things are on Linux, without the variables above."""
