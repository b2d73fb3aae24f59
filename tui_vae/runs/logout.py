"""Whether the system ends the user's processes at logout (systemd's logind), which no process can prevent by itself."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from tui_vae.config.state_directory import state_directory

CONFIGURATION = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
"""Folders of logind.conf and logind.conf.d; a later one prevails (logind.conf(5))."""

LINGER = Path("/var/lib/systemd/linger")
"""A file here, with a user's name, keeps the user's service manager when they have logged out."""

WHAT_TO_DO = "keep it out of the session: loginctl enable-linger, then start it by: systemd-run --user --scope"

TOLD = "told-of-logout"
"""The file in the state directory that keeps a user from being told of the same thing with every start."""


def why_ended_at_logout(root: Path = Path("/"), cgroup: Path = Path("/proc/self/cgroup")) -> str:
    """Why processes that are started here end with the login session; empty where they do not, or nobody knows."""
    try:
        groups = cgroup.read_text()
        user = pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return ""
    if re.search(r"/session-[^/]+\.scope", groups):
        if _kills_user_processes(root, user):
            return "this machine ends your processes when you log out (KillUserProcesses in logind.conf)"
        return ""
    if re.search(r"/user@\d+\.service", groups) and not (root / LINGER.relative_to("/") / user).exists():
        return "your service manager, in which this terminal runs, ends when you log out"
    return ""


def told_once() -> str:
    """Why processes that are started here end with the login session, with what to do; empty where it was said before.

    `doctor` says it each time.
    """
    why = why_ended_at_logout()
    if not why:
        return ""
    known = hashlib.sha256(f"{os.uname().nodename} {why}".encode()).hexdigest()
    try:
        file = state_directory() / TOLD
        if file.exists() and file.read_text() == known:
            return ""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(known)
    except (OSError, ValueError, RuntimeError):
        pass  # said once too often
    return f"{why}; {WHAT_TO_DO}"


def _kills_user_processes(root: Path, user: str) -> bool:
    """logind's answer for a user, from its configuration (logind.conf(5)). Comments in it name the built-in values."""
    files = [root / folder.lstrip("/") / "logind.conf" for folder in CONFIGURATION]
    inserted = [path for each in files for path in each.with_name("logind.conf.d").glob("*.conf")]
    text = ""
    for path in [*files, *sorted(inserted, key=lambda path: path.name)]:
        with suppress(OSError):
            text += path.read_text(errors="replace") + "\n"
    values = {"KillUserProcesses": "no", "KillOnlyUsers": "", "KillExcludeUsers": "root"}
    values |= dict(re.findall(r"(?m)^[ \t]*#[ \t]*(Kill\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", text))
    values |= dict(re.findall(r"(?m)^[ \t]*(Kill\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", text))
    if values["KillUserProcesses"].lower() not in ("yes", "true", "on", "1", "y", "t"):
        return False
    only = values["KillOnlyUsers"].split()
    return user not in values["KillExcludeUsers"].split() and (not only or user in only)
