"""What an exception of a trainer means for its user: no memory, no threads, a full disk, or a fault of the program."""

from __future__ import annotations

import resource

from tui_vae.errors import NO_MORE_PROCESSES, UserError, is_out_of_memory, is_out_of_threads
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.write_errors import HINTS, unwritable


def explain(error: Exception, directory: RunDirectory) -> UserError:
    """The error in a sentence, with what to do about it."""
    kind = type(error).__name__
    then = f", then go on with: {advice.of_run('resume', directory.path)}"
    if is_out_of_memory(error):
        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if kind != "OutOfMemoryError" and most != resource.RLIM_INFINITY:
            what = f"the limit on a process's memory, of {most / 2**30:.1f} GiB, is too low for this run"
            return UserError(what, f"raise it (ulimit -v){then}")
        whose = "the device" if kind == "OutOfMemoryError" else "this machine"
        return UserError(f"{whose} has no memory left for this run", f"free some of it{then}")
    if is_out_of_threads(error):
        return UserError("the system starts no more threads", f"{NO_MORE_PROCESSES}{then}")
    if isinstance(error, OSError) and error.errno in HINTS:
        again = f"; then: {advice.of_run('resume', directory.path)}"
        wrong = unwritable("a file of the run", error, directory.path)
        return UserError(wrong.message, wrong.hint + again)
    return UserError(f"the trainer failed: {kind}: {error}", f"see {directory.log}")
