"""Parts of the start screen without a screen: a curve in block characters, and what is new."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui_vae.runs.summary import RunSummary
from tui_vae.ui import run_progress
from tui_vae.ui.start.area import area
from tui_vae.ui.start.news import news_of
from tui_vae.ui.start_screen import BESIDE_FROM, LEAST_LIST, detail_width


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=60), st.integers(0, 80), st.integers(1, 6),
    st.booleans(),
)  # fmt: skip
def test_an_area_fills_its_cells_whatever_the_values(
    values: list[float | None], width: int, rows: int, unicode: bool
) -> None:
    lines = area([v for v in values if v is None or abs(v) < 1e300], width, rows, unicode)
    assert len(lines) == rows and {len(line) for line in lines} == {width}
    assert unicode or "".join(lines).isascii()


def test_an_area_falls_as_its_values_do() -> None:
    upper, lower = area([3.0, 2.0, 1.0, 1.0], 8, 2)
    heights = ["▁▂▃▄▅▆▇█".find(sign) for sign in lower]
    assert heights == sorted(heights, reverse=True) and upper[0] == "█" and lower[-1] == "▁"
    assert area([None, 2.0], 2, 1) == [" ▁"] and area([], 3, 1) == ["   "]


def summary(name: str, state: str, age: float, health: tuple[str, ...] = ()) -> RunSummary:
    return RunSummary(name, state, 5, 10, 1.0, 0.01, 20.0, 10, "cpu", age, elbo_bpd=6.742, health=health)


def test_news_are_what_ended_or_was_warned_since_then_the_bad_first() -> None:
    told = news_of(
        [
            summary("good", "finished", 10), summary("old", "finished", 5000), summary("lost", "crashed", 30),
            summary("stopped", "stopped", 5), summary("ill", "training", 1, ("overfitting",)),
            summary("well", "training", 1), summary("dead", "finished", 20, ("collapsed",)),
        ],
        3600,
    )  # fmt: skip
    assert [(each.name, each.what, each.role) for each in told] == [
        ("ill", "overfitting", "warning"),
        ("dead", "finished, collapsed", "warning"),
        ("lost", "crashed", "crashed"),
        ("good", "finished at 6.742 bits/px", "finished"),
    ]


def test_a_row_says_what_is_wrong_with_a_file_rather_than_its_name() -> None:
    reason = "events.jsonl: it is a FIFO, not a plain file"
    for width, shown in ((50, reason), (35, "it is a FIFO, not a plain file"), (17, "a FIFO"), (7, "a FIFO")):
        assert run_progress.brief(reason, width) == shown
    assert run_progress.brief("config.toml: Permission denied", 20) == "Permission denied"
    assert run_progress.brief("the loss diverged: it was nan", 20, "diverged") == "the loss diverged"


def test_list_and_pictures_share_the_width() -> None:
    for width in range(BESIDE_FROM, 320):
        pictures = detail_width(width)
        assert pictures % 15 == 1 and width - pictures - 3 >= LEAST_LIST - 1
