"""When a sweep will have ended: from the throughput of its runs so far, as if every other run went like their mean."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from tui_vae.cli.sweep.run import LEAST_EVIDENCE, SweepRun


def seconds_left(runs: Sequence[SweepRun], places: int) -> float | None:
    """Seconds until the last run of a sweep has ended; None while nothing is known. `places`: runs at once."""
    throughputs = [run.throughput for run in runs if run.throughput.seconds >= LEAST_EVIDENCE and run.throughput.images]
    if not throughputs:
        return None
    an_image = sum(throughput.seconds for throughput in throughputs) / sum(
        throughput.images for throughput in throughputs
    )
    start_ups = [run.throughput.start_up for run in runs if run.throughput.start_up is not None]
    start_up = sum(start_ups) / len(start_ups)
    known = next((run.train_images for run in runs if run.train_images), 0)
    for run in runs:
        run.train_images = run.train_images or known
    going = [run.seconds_left(an_image, start_up) for run in runs if run.under_way]
    waiting = [run.seconds_left(an_image, start_up) for run in runs if run.waits]
    return last_end([each or 0.0 for each in going], [each or 0.0 for each in waiting], places)


def last_end(going: Iterable[float], waiting: Iterable[float], places: int) -> float:
    """When the last one ends, each waiting one beginning in its turn as soon as a place is free; from now, in seconds.

    `going`: the seconds that those in places have left; `waiting`: those that the others take.
    """
    ends = sorted(going)
    ends += [0.0] * (places - len(ends))
    heapq.heapify(ends)
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends, default=0.0)
