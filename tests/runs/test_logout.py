"""What of the system ends a run at logout, from its files alone."""

import os
import pwd
from pathlib import Path

import pytest

from tui_vae.runs import logout
from tui_vae.runs.logout import told_once, why_ended_at_logout

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
SESSION_V1 = "3:cpuset:/\n1:name=systemd:/user.slice/user-1000.slice/session-c2.scope\n0::/\n"
MANAGER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n"


def said(root: Path, groups: str) -> str:
    (root / "cgroup").write_text(groups)
    return why_ended_at_logout(root, root / "cgroup")


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["[Login]", *lines]) + "\n")


@pytest.mark.parametrize("groups", [SESSION, SESSION_V1], ids=["v2", "v1"])
def test_logind_ends_processes_of_a_session_where_it_is_told_to(tmp_path: Path, groups: str) -> None:
    assert said(tmp_path, groups) == ""
    main = tmp_path / "etc/systemd/logind.conf"
    write(main, "#KillUserProcesses=yes", "KillExcludeUsers=")  # what it was built with
    assert "KillUserProcesses" in said(tmp_path, groups)
    write(tmp_path / "usr/lib/systemd/logind.conf.d/10.conf", "KillUserProcesses=no")
    assert said(tmp_path, groups) == ""
    write(tmp_path / "etc/systemd/logind.conf.d/20.conf", "KillUserProcesses = yes")
    assert "KillUserProcesses" in said(tmp_path, groups)
    write(main, f"KillExcludeUsers=somebody {pwd.getpwuid(os.getuid()).pw_name}")
    assert said(tmp_path, groups) == ""
    write(main, "KillExcludeUsers=", "KillOnlyUsers=somebody")
    assert said(tmp_path, groups) == ""
    write(main, "KillExcludeUsers=", f"KillOnlyUsers=somebody {pwd.getpwuid(os.getuid()).pw_name}")
    assert "KillUserProcesses" in said(tmp_path, groups)


def test_a_service_manager_ends_with_the_last_session_unless_it_lingers(tmp_path: Path) -> None:
    assert "service manager" in said(tmp_path, MANAGER)
    linger = tmp_path / "var/lib/systemd/linger"
    linger.mkdir(parents=True)
    (linger / pwd.getpwuid(os.getuid()).pw_name).touch()
    assert said(tmp_path, MANAGER) == ""


def test_where_there_is_no_session_nothing_is_said(tmp_path: Path) -> None:
    assert said(tmp_path, "0::/\n") == said(tmp_path, "0::/system.slice/ssh.service\n") == ""
    assert why_ended_at_logout(tmp_path, tmp_path / "missing") == ""


def test_what_is_the_same_each_time_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "this machine ends your processes when you log out"
    monkeypatch.setattr(logout, "why_ended_at_logout", lambda: why)
    assert told_once() == f"{why}; {logout.WHAT_TO_DO}"
    assert told_once() == ""
    monkeypatch.setattr(logout, "why_ended_at_logout", lambda: "your service manager ends when you log out")
    assert "service manager" in told_once()
    monkeypatch.setenv("TUI_VAE_STATE", "/dev/null/nowhere")
    assert "service manager" in told_once() and "service manager" in told_once()
