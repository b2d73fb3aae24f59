"""The process that reads a run's data before the run is made."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tui_vae.config import make_config
from tui_vae.runs.data_check import check_data


def test_whoever_is_interrupted_leaves_no_process_behind(tmp_path: Path) -> None:
    """As a notebook is, whose processes do not hear of it."""
    begun: list[subprocess.Popen[bytes]] = []

    def interrupted(process: subprocess.Popen[bytes]) -> None:
        begun.append(process)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_data(make_config({"dataset": str(tmp_path)}), began=interrupted)
    assert begun[0].wait() == -signal.SIGKILL
