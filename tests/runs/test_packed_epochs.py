"""The app keeps an epoch in a few bytes, and shows it as the log has it."""

from __future__ import annotations

import tracemalloc
from array import array

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tests.support.fake_run import figures_after
from tui_vae.runs import events as ev
from tui_vae.runs.history import History
from tui_vae.runs.packed_epochs import pack, unpack
from tui_vae.ui.train.figures import MEASURES
from tui_vae.ui.train.run_curves import RunCurves

numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, ev.LARGEST)
metrics = st.builds(ev.Metrics, numbers, numbers, numbers, numbers, numbers, numbers, counts)
times = st.floats(0, 2e9)
legacy = st.just(UNSET) | st.builds(ev.Legacy, numbers, numbers, numbers)
beta = st.just(UNSET) | st.floats(0, 1e6)
epochs = st.builds(ev.EpochEvent, t=times, epoch=counts, step=counts, seconds=times, images_per_s=numbers,
                   train=metrics, test=metrics, beta=beta, legacy=legacy)  # fmt: skip


@given(epochs)
def test_an_epoch_comes_back_as_it_was(event: ev.EpochEvent) -> None:
    assert unpack(pack(event)) == event
    whole = msgspec.structs.replace(event, test=msgspec.structs.replace(event.test, kl_per_dim=(1.0, 2.0)))
    assert unpack(pack(whole)) == event


def test_the_app_keeps_less_than_half_a_kilobyte_of_an_epoch() -> None:
    """It was 4.3 kB, with 32 latent dimensions, two thirds of it figures that no pane shows."""
    history, many, found = History(), 2000, figures_after(3.0)
    event = ev.EpochEvent(t=1.0, epoch=1, step=1, seconds=0.1, images_per_s=1e4, train=found, test=found)
    added = [msgspec.structs.replace(event, epoch=epoch, step=epoch) for epoch in range(1, many + 1)]
    tracemalloc.start()
    try:
        history.extend(added)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    of_charts = 2 * len(MEASURES) * 2 * array("d").itemsize
    assert grown / many + of_charts < 512
    curves = RunCurves(MEASURES)
    curves.read(history)
    points = curves[MEASURES[0]].test_epochs
    assert len(points) == len(history.epochs) == many and points[-1] == (many, found.recon)
