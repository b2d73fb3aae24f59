"""`tui-vae doctor`: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tui_vae import __version__
from tui_vae.cli.tables import print_table
from tui_vae.config.user_file import (
    config_file,
    read_notices,
    read_runs_dir,
    read_train_defaults,
    unknown_names,
    why_unreadable,
)
from tui_vae.core.data import named, published, sources
from tui_vae.errors import UsageError, UserError, first_line
from tui_vae.runs.logout import WHAT_TO_DO, why_ended_at_logout
from tui_vae.runs.processes import lost_trainers
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.runtime_directory import runtime_directory

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "textual", "rich", "numpy", "pillow", "plotext", "msgspec", "safetensors")

COLUMNS, ROWS = 80, 24
"""The smallest terminal in which everything of the app has room, in cells: the size at which most terminals start."""

ESSENTIAL = {"torch", "runs directory", "sockets"}
"""The checks without which no training works here."""


@dataclass(frozen=True)
class Finding:
    """The result of one check. `hint` says what to do where it is not `ok`."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def doctor(options: argparse.Namespace) -> int:
    """Check everything that training and the app need. Exit code 1 if training cannot work here."""
    findings = [_python(), _torch(), *_kernels(), *_packages(), _terminal(), *_datasets()]
    findings += [_settings(), _runs(options.runs_dir), _sockets(), *_logout(), *_lost_trainers()]
    if options.json:
        print(json.dumps({"tui-vae": __version__, "findings": [asdict(finding) for finding in findings]}))
    else:
        rows = []
        for finding in findings:
            rows.append(("ok " if finding.ok else "BAD", finding.name, finding.found))
            rows += [("", "", finding.hint)] if finding.hint else []
        print_table(rows, left=(0, 1, 2))
    return 1 if any(finding.name in ESSENTIAL and not finding.ok for finding in findings) else 0


def _python() -> Finding:
    return Finding("tui-vae", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}")


def _torch() -> Finding:
    try:
        import torch

        from tui_vae.core.devices import choose_device, choose_precision, device_name, explain_threads

        device = choose_device("auto")
        found = (
            f"{torch.__version__}; trains on {device} ({device_name(device)}), {choose_precision('auto', device)}, "
            f"{explain_threads()}"
        )
        cuda = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
        return Finding("torch", True, "; ".join([found, *cuda]))
    except (ImportError, OSError) as error:
        return Finding("torch", False, f"does not import: {error}", "install it again: pip install torch torchvision")


def _kernels() -> list[Finding]:
    """The compiled kernels that training steps are made of, for each kind of device that is here."""
    try:
        import torch

        from tui_vae.core.step.load_kernels import load_kernels
    except (ImportError, OSError):
        return []
    findings = []
    for device, name in (("cpu", "CPU kernels"), ("cuda", "GPU kernels")):
        if device == "cuda" and not torch.cuda.is_available():
            continue
        kernels = load_kernels(device)
        hint = "" if kernels else "training there is done by PyTorch's own kernels, with the same results, more slowly"
        findings.append(Finding(name, bool(kernels), kernels.level if kernels else f"none: {kernels.reason}", hint))
        if device == "cuda" and kernels:
            findings[-1] = compiled(findings[-1], kernels.library, torch.device(device))
    return findings


def compiled(finding: Finding, library: ModuleType, device: torch.device) -> Finding:
    """The finding, or what keeps Triton from compiling: it needs a C compiler and Python's headers."""
    from tui_vae.core.step.gpu import try_out

    try:
        try_out(library, device)
    except Exception as error:  # of a driver, a compiler, its compiler
        found, hint = f"none: {first_line(error)}", "install a C compiler and Python's headers (gcc, python3-dev)"
        return replace(finding, ok=False, found=found, hint=hint)
    return finding


def _packages() -> list[Finding]:
    findings = []
    for package in PACKAGES[1:]:
        try:
            findings.append(Finding(package, True, version(package)))
        except PackageNotFoundError:
            findings.append(Finding(package, False, "not installed", f"pip install {package}"))
    return [fits_torch(finding) if finding.name == "torchvision" and finding.ok else finding for finding in findings]


def fits_torch(finding: Finding) -> Finding:
    """The finding about torchvision, or why it does not import: it must be of the same build as torch."""
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # of its compiled half, which torch's loader reports in many ways
        hint = "install torch and torchvision of one build, both for CPUs or both for one CUDA; downloads need it"
        return replace(finding, ok=False, found=f"{finding.found} does not import: {first_line(error)}", hint=hint)
    return finding


def _terminal() -> Finding:
    from rich.console import Console

    from tui_vae.ui.terminal import has_unicode, is_monochrome, why_unsuitable

    columns, rows = shutil.get_terminal_size()
    problem = why_unsuitable(os.environ, sys.stdout.isatty())
    if problem:
        return Finding("terminal", False, *problem)
    console = Console()
    monochrome = "COLORTERM" not in os.environ and is_monochrome(os.environ.get("TERM", ""))
    system = "" if console.no_color or monochrome else console.color_system
    colours = {"standard": "16", "256": "256", "truecolor": "16 million"}.get(system or "", "no")
    characters = "Unicode" if has_unicode(os.environ) else "ASCII only"
    why = " (NO_COLOR is set)" if console.no_color else " (this TERM has none)" if monochrome else ""
    found = f"{os.environ.get('TERM', '')}, {columns}x{rows}, {colours} colours{why}, {characters}"
    large_enough = columns >= COLUMNS and rows >= ROWS
    hint = "" if large_enough else f"the app wants at least {COLUMNS}x{ROWS}"
    if not hint and colours == "256":
        hint = "if your terminal has true colour: export COLORTERM=truecolor (SSH does not pass it on)"
    return Finding("terminal", large_enough, found, hint)


def _datasets() -> list[Finding]:
    findings = []
    for name in published.DATASETS:
        places = sources.available(name)
        whole = [place for place in places if not place.problem and place.kind != "sample"]
        broken = "; ".join(place.problem for place in places if place.problem)
        if whole:
            found = ", ".join(place.description for place in whole)
            findings.append(Finding(name, not broken, found, broken))
        else:
            hint = broken or f"training tries to fetch it, or fetch it now with: tui-vae data --download {name}"
            findings.append(Finding(name, False, "only the bundled sample", hint))
    findings += [Finding(name, True, f"{path.parent}") for name, known in named.SETS.items() if (path := known.find())]
    return findings


def _settings() -> Finding:
    """What the user's file of settings says that cannot be done; the app and the commands go by the rest."""
    from tui_vae.ui.settings import read_keys
    from tui_vae.ui.user_keys import checked, known_commands

    if why := why_unreadable():  # which every reader of a table would say in its turn
        return Finding("settings", False, why, "mend that, or name another file in TUI_VAE_CONFIG; docs/settings.md")
    keys, complaint = read_keys()
    complaints = [complaint, *(checked(keys, known_commands())[1] if keys else ()), read_notices()[1], unknown_names()]
    try:
        read_train_defaults()
        read_runs_dir()
    except UsageError as error:
        complaints.append(str(error))
    wrong = " ".join(dict.fromkeys(filter(None, complaints)))
    file = config_file()
    there = "" if file.exists() else " (not there: all is as usual)"
    return Finding(
        "settings", not wrong, wrong or f"{file}{there}", "mend that line; docs/settings.md" if wrong else ""
    )


def _runs(given: str | None) -> Finding:
    try:
        path = runs_directory(given)
        parent = next(folder for folder in (path, *path.parents) if folder.exists())
    except UsageError as error:
        if why_unreadable():
            hint = "mend them, or name it: --runs-dir"
            return Finding("runs directory", False, "unknown: the settings cannot be read", hint)
        return Finding("runs directory", False, error.message, error.hint)
    except OSError as error:
        found = f"cannot be looked at: {error.strerror}"
        return Finding("runs directory", False, found, "choose another with --runs-dir")
    if os.access(parent, os.W_OK | os.X_OK) and parent.is_dir():
        free = shutil.disk_usage(parent).free
        return Finding("runs directory", True, f"{path}, {free / 1e9:.1f} GB free")
    return Finding("runs directory", False, f"{path} cannot be written", "choose another with --runs-dir")


def _sockets() -> Finding:
    try:
        path: Path = runtime_directory()
    except UserError as error:
        return Finding("sockets", False, error.message, error.hint)
    return Finding("sockets", True, str(path))


def _logout() -> list[Finding]:
    """What keeps a run from outliving the login session, where that is known."""
    why = why_ended_at_logout()
    return [Finding("logout", False, why, WHAT_TO_DO)] if why else []


def _lost_trainers() -> list[Finding]:
    """Trainers that hold memory and a device for a run that nobody can look at."""
    found = "process {} trains a run whose directory has been deleted, or its disk taken away"
    return [Finding("lost trainer", False, found.format(pid), f"end it with: kill {pid}") for pid in lost_trainers()]
