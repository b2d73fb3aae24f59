"""`tui-vae sweep` from its first moment: what it needs takes a part of a second to import, and it says so."""

from __future__ import annotations

import argparse

from tui_vae.cli.waiting import waiting


def sweep(options: argparse.Namespace) -> int:
    """Train all combinations that are not finished, then compare them all.

    Raises:
        UserError: as `command.sweep`.
    """
    with waiting("preparing the sweep"):
        from tui_vae.cli.sweep.command import sweep as train_and_compare
    return train_and_compare(options)
