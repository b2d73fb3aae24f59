"""A run's progress and speed, and sentences about its state: facts for the status line and the headline."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Sequence

from tui_vae.runs.best_figure import best_by, best_figure
from tui_vae.runs.events import EpochEvent, ErrorEvent
from tui_vae.runs.history import History
from tui_vae.runs.lower_rate import rate_to_lower
from tui_vae.ui import numbers
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.terminal import legible

ETA_WINDOW_SECONDS = 30.0
"""Seconds of the past from which the time of the end is estimated."""

ETA_MIN_SECONDS = 2.0
"""Seconds of training before the end is estimated at all: the first steps are slower than all others."""


RATES = 5
"""`step` events over which the speed is averaged: half a second while they come as often as they may."""

WARNING_SECONDS = 60.0
"""Seconds for which a warning counts as new."""

SHORTER = {"overfitting": "overfit", "dead decoder": "dead", "idle units": "idle"}
"""What is wrong with a run, where there are few cells for it."""

LONGEST_DEVICE = 16
"""Characters of a device's name that fit beside its load; longer names are left out."""


def epoch_now(history: History, running: bool) -> int:
    """The epoch under way of a `running` run; else how many have ended, as every list of runs counts them."""
    ended = history.epochs[-1].epoch if history.epochs else 0
    of_steps = int(history.steps["epoch"][-1]) if running and len(history.steps) else 0
    return max(of_steps, ended)  # short epochs end before any of their steps is reported


def share_done(history: History) -> float:
    """The share of all planned steps that is done, from 0 to 1; 0 while their number is not known."""
    return min(1.0, history.step / history.total_steps) if history.total_steps else 0.0


def throughput(history: History, events: int = RATES) -> float | None:
    """Images a second: the mean of the last few reports."""
    rates = [rate for rate in history.steps["images_per_s"][-events:] if math.isfinite(rate)]
    return sum(rates) / len(rates) if rates else None


def seconds_left(history: History) -> float | None:
    """Seconds to the end at the speed of the last half minute, evaluations included; None while that is not known."""
    times, steps = history.steps["t"], history.steps["step"]
    if history.state is None or history.state.state != "training" or not history.total_steps or not len(times):
        return None
    since = max(history.state.t, times[-1] - ETA_WINDOW_SECONDS)
    first = bisect_left(times, since)
    if first >= len(times):
        return None
    elapsed, done = times[-1] - times[first], steps[-1] - steps[first]
    if elapsed < ETA_MIN_SECONDS or done <= 0:
        return None
    return max(0.0, (history.total_steps - history.step) * elapsed / done)


def checkpoint_age(history: History, now: float | None = None) -> float | None:
    """Seconds since the newest checkpoint; None where there is none."""
    if history.checkpoint is None:
        return None
    return max(0.0, (time.time() if now is None else now) - history.checkpoint.t)


def device(history: History) -> str:
    """`cuda:0 H200 bf16`, `cuda ×4 H200 bf16`, `cpu ×2 fp32`."""
    run = history.run
    if run is None:
        return ""
    name = run.device_name.removeprefix("NVIDIA ").split(" (")[0].strip()
    words, several = [run.device], run.config.get("devices", 1)
    if run.device.startswith("cuda") and several != 1:
        words = ["cuda", f"×{several}"]
    if run.device == "cpu":
        words += [f"×{run.threads}"] if run.threads else []
    elif name and len(name) <= LONGEST_DEVICE:
        words.append(name)
    precision = {"bfloat16": "bf16", "float32": "fp32", "float16": "fp16"}.get(run.precision, run.precision)
    return " ".join([*words, precision] if precision else words)


def first_of_several(history: History) -> str:
    """`cuda:0`, the GPU that leads a run on several; else empty."""
    run = history.run
    return run.device if run and run.device.startswith("cuda") and run.config.get("devices", 1) != 1 else ""


ENDS = {"failed": "the run failed", "crashed": "its process died", "stopped": "the run was stopped"}
"""What ended a run before it had done what was planned, by its state."""


def why_none(unit: str, state: str, alive: bool) -> str:
    """Why there is no `unit` of a run, such as a step or images: not yet, or never."""
    if alive:
        return f"after the first {unit}"
    if state in ENDS:
        return f"{ENDS[state]} before its first {unit}"
    return f"no {unit}" if state == "finished" else f"no {unit} yet"


def brief(reason: str, width: int, word: str = "") -> str:
    """Why a run failed in so many cells: whole, its first part, the `word` for it if there is one, or cut.

    Of a file that cannot be read, `events.jsonl: it is a FIFO, not a plain file`, what is wrong counts, not its name.
    """
    first, _, rest = reason.partition(": ")
    short = [word] if word else []
    if rest and " " not in first:
        first, short = rest, [rest.partition(", ")[0].removeprefix("it is "), *short]
    cut = legible("…")
    return first_that_fits(
        (reason, first.partition("; ")[0], *short, reason[: max(0, width - len(cut))].rstrip() + cut), width
    )


def state_role(state: str, health: Sequence[str]) -> str:
    """The role of a state's word: that of a run which ended with something wrong is no success."""
    return "warning" if state == "finished" and health else state


def outcome(health: Sequence[str]) -> str:
    """The word for a run that has finished with something wrong, in the cells of a state."""
    return f"! {SHORTER.get(health[0], health[0])}"


def reached(history: History) -> str:
    """The result of a run that trains no more."""
    newest = history.epochs[-1] if history.epochs else None
    if newest is None:
        return f"step {history.step:,}" if history.step else "before its first step"
    best = history.best
    if best is None:
        return f"epoch {newest.epoch}"
    name = best_by(history.run.config if history.run else {})
    return f"best test {name} {numbers.metric(best_figure(best.test, name), 0)} at epoch {best.epoch}{_figures(best)}"


def _figures(epoch: EpochEvent) -> str:
    return f" · recon {numbers.metric(epoch.test.recon, 0)} · KL {numbers.metric(epoch.test.kl, 0)}"


def sentence(history: History, state: str, unresumable: str = "") -> str:
    """A sentence about the run's state; empty while it trains, as the curves show that.

    `unresumable`: why the run cannot go on, in place of the key that continues it; empty where it can.
    """
    reason = history.state.reason if history.state else ""
    error = next((message for message in reversed(history.messages) if isinstance(message, ErrorEvent)), None)
    match state:
        case "queued":
            return f"queued: {reason} · r begins it now · x takes it out of the queue"
        case "loading":
            return f"{reason or 'starting the trainer'}…"
        case "paused":
            why = f": {reason}" if reason else ""
            return f"paused at step {history.step:,}{why} · space goes on, x stops"
        case "finished":
            wrong = history.health(state)
            words = f"finished, {', '.join(wrong)} · w says why" if wrong else "finished"
            words += f": {reason}" if reason else ""
            return f"{words} · {unresumable or 'r trains more epochs'} · {reached(history)}"
        case "stopped" if reason and not history.step:
            return f"stopped: {reason} · r begins it"
        case "stopped":
            return f"stopped · {unresumable or 'r continues it'} · {reached(history)}"
        case "failed":
            what = f"failed: {(error.message if error else reason) or 'see its trainer.log'}"
            return f"{what} · {unresumable or remedy(error, history)}"
        case "crashed":
            return f"its process has died · {again(history, unresumable)} · {reached(history)}"
    return ""


def again(history: History, unresumable: str) -> str:
    """What trains a run further whose process has died. `unresumable`: as of `sentence`."""
    if unresumable:
        return unresumable
    return "r continues from the last checkpoint" if history.checkpoint else "r starts it again"


def remedy(error: ErrorEvent | None, history: History) -> str:
    """What to do about the error by which a run has failed."""
    if with_lower := lower_rate(history):
        return with_lower
    return " · ".join([with_keys(error.hint), "r tries again"] if error and error.hint else ["r tries again"])


def lower_rate(history: History) -> str:
    """What `r` does with a run that has failed as it diverged; empty for all others."""
    if rate_to_lower(history) is None:
        return ""
    where = "goes on from the last whole checkpoint" if history.checkpoint else "trains it anew"
    return f"r {where} with a lower learning rate, which it asks for"


def fresh_warning(history: History, now: float, seconds: float = WARNING_SECONDS) -> str:
    """The newest warning, unless it is older than `seconds`; else empty."""
    newest = history.messages[-1] if history.messages else None
    if newest is None or now - newest.t > seconds:
        return ""
    return f"{newest.message} · {with_keys(newest.hint)}" if newest.hint else newest.message
