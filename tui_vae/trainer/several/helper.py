"""`python -m tui_vae.trainer.several.helper`: the processes of a machine that only helps to train a run of another one.

It knows nothing of the run: its processes hear from the leader what is to be trained. It ends with them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from types import FrameType

from tui_vae.config import check_option, make_config
from tui_vae.errors import UserError
from tui_vae.runs.machines import Machines, add_machine_options, machines_of
from tui_vae.trainer.several.lines import Failed, Welcome

NICENESS = 10
"""As of any trainer."""

LOOK_EVERY, STOP_LIMIT = 0.5, 60.0
"""Seconds between two looks; and seconds after SIGTERM within which the leader, to whom batch systems send it as well,
has all stop after a checkpoint. Then this machine's processes are ended."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tui_vae.trainer.several.helper")
    parser.add_argument("--devices", default="1")
    parser.add_argument("--device", default="auto")
    add_machine_options(parser)
    options = parser.parse_args()
    os.nice(NICENESS)
    # Before PyTorch is imported: it warns of a lost connection with pages of addresses in its libraries.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        from tui_vae.trainer.several.placement import place

        config = make_config({"device": options.device, "devices": check_option("devices", options.devices)})
        machines = machines_of(options)
        return _help(machines, place(config, None, is_new=True).devices)
    except UserError as error:
        print(f"tui-vae: {error}", file=sys.stderr)
        return error.exit_code


def _help(machines: Machines, count: int) -> int:
    from tui_vae.trainer.several.agent import AgentThread, Lost
    from tui_vae.trainer.several.switchboard import Switchboard, line_folder
    from tui_vae.trainer.several.vigil import Vigil

    def lost(gone: list[Lost], left: int) -> None:
        for each in gone:
            print(f"{each.words}; {left} restarts left", file=sys.stderr)

    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    folder = line_folder()
    board = Switchboard(folder, lambda hello: Welcome(leads=False))
    agent = AgentThread(machines, count, board.path, folder, lost, lambda: board.outcome is not None)
    print(f"machine {machines.node_rank} of {machines.nnodes}: {count} ranks of the run of machine 0", flush=True)
    vigil = Vigil(board, agent, lambda text: print(text, file=sys.stderr))
    try:
        left = STOP_LIMIT
        while agent.is_alive and left > 0 and not isinstance(board.outcome, Failed):
            agent.wait(LOOK_EVERY)
            vigil.look()
            if came:  # where nothing has begun, nothing can be lost
                left = left - LOOK_EVERY if board.seats() and signal.SIGINT not in came else 0
    finally:
        agent.end()
        board.close()
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(board.outcome, Failed):
        raise UserError(board.outcome.message, board.outcome.hint)
    if agent.error is not None and agent.has_met:
        from torch.distributed.elastic.rendezvous import RendezvousConnectionError

        why = "" if isinstance(agent.error, RendezvousConnectionError) else f": {agent.error}"
        raise UserError(f"machine 0 of the run cannot be reached any more{why}",
                        "go on with the run on all machines; its last checkpoint lies on machine 0")  # fmt: skip
    if agent.error is not None:
        raise UserError(f"the machines of the run have not met: {agent.error}", "see that machine 0 can be reached")
    return 0 if agent.succeeded else 130 if came else 1


if __name__ == "__main__":
    os._exit(main())
