"""A chart, a plane, bars and a comparison as PNG, SVG and CSV files, from their panes."""

import csv
import io
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.support.fake_run import make_run
from tests.support.latent_process import LatentProcess
from tests.support.piloting import in_event_loop, notifications, opened, seen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.ui.app import TuiVae
from tui_vae.ui.dialogs import AskText
from tui_vae.ui.figure_file import Figure, Line, as_csv, as_png, as_svg
from tui_vae.ui.latent.pane import LatentPane


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


def parsed(data: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(data)  # noqa: S314  # our own


def test_one_figure_in_three_formats() -> None:
    line = Line("a <b>", [1.0, 2.0, 3.0], [1.5, math.nan, 2.5], spreads=[0.1, 0.1, 0.2])
    figure = Figure("title & more", "epoch", "bits", (line, Line("bars", [1.0, 2.0], [3.0, 4.0], "bars")))
    assert rows(as_csv(figure))[:2] == [["series", "epoch", "bits", "spread"], ["a <b>", "1.0", "1.5", "0.1"]]
    assert rows(as_csv(figure))[-1] == ["bars", "2.0", "4.0", ""]
    root = parsed(as_svg(figure))
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert {"title & more", "a <b>", "epoch", "up: bits"} <= set(texts)
    assert sum(each.tag.endswith("polygon") for each in root.iter()) == 5, "a band, two bars, two in the legend"
    picture = Image.open(io.BytesIO(as_png(figure)))
    colours = picture.convert("RGB").getcolors(1 << 20)
    assert picture.size == (900, 560) and colours is not None
    assert {(31, 119, 180), (255, 127, 14)} <= {colour for _, colour in colours}


def test_a_long_legend_has_as_many_rows_as_it_needs() -> None:
    names = [f"a class with a long name {number}" for number in range(9)]
    figure = Figure("many", "x", "y", tuple(Line(name, [0.0, 1.0], [0.0, 1.0]) for name in names))
    places = {
        each.text: (float(each.attrib["x"]), float(each.attrib["y"]))
        for each in parsed(as_svg(figure)).iter()
        if each.tag.endswith("text") and each.text in names
    }
    assert len(places) == 9 and len(set(places.values())) == 9
    assert all(x + 7 * len(names[0]) < 900 for x, _ in places.values())
    plot = [each for each in parsed(as_svg(figure)).iter() if each.tag.endswith("polyline")]
    top = min(float(point.split(",")[1]) for each in plot for point in each.attrib["points"].split())
    assert top > max(y for _, y in places.values())


def test_contours_are_of_the_axes_and_a_path_has_its_end_marked() -> None:
    data = Line("run", [1.0, 2.0], [5.0, 4.0], "path"), Line("other", [1.0], [3.0], "path")
    figure = Figure("plane", "rate", "distortion", (*data, Line("7.0 bits/px", [1.0, 900.0], [5.0, -900.0], "contour")))
    assert [row[0] for row in rows(as_csv(figure))] == ["series", "run", "run", "other"]
    bare, shown = parsed(as_svg(Figure("plane", "rate", "distortion", data))), parsed(as_svg(figure))
    labels = [each.text for each in shown.iter() if each.tag.endswith("text")]
    assert "7.0 bits/px" in labels and "900" not in labels
    discs = [each for each in bare.iter() if each.tag.endswith("polygon") and each.attrib["points"].count(",") > 4]
    assert [each.attrib["fill"] for each in discs] == ["#1f77b4", "#ff7f0e"]


@pytest.mark.parametrize("values", [[], [5.0], [math.nan, math.inf], [1e300, -1e300], [0.0, 0.0]])
def test_a_figure_of_odd_values_is_written(values: list[float]) -> None:
    figure = Figure("odd", "x", "y", (Line("one", range(len(values)), values), Line("more", (), (), "dots")))
    assert as_png(figure) and parsed(as_svg(figure)) is not None


def test_a_long_line_keeps_its_extremes() -> None:
    ys = [0.0] * 100_000
    ys[50_000] = 1.0
    line = Figure("long", "x", "y", (Line("one", range(100_000), ys),))
    assert len(as_svg(line)) < 200_000
    spike = [each for each in parsed(as_svg(line)).iter() if "#1f77b4" in str(each.attrib)][-1]
    heights = [float(point.split(",")[1]) for point in spike.attrib["points"].split()]
    assert max(heights) - min(heights) > 400


@pytest.mark.slow
@in_event_loop
async def test_every_pane_writes_what_it_shows(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    make_run(run.path.parent, "other", epochs=5)
    app = TuiVae(run.path.parent, run)

    with LatentProcess(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:

            async def write(name: str) -> bytes:
                await pilot.press("ctrl+e")
                await until(pilot, lambda: isinstance(app.screen, AskText))
                await pilot.press("end", *["backspace"] * 70, *name, "enter")
                await until(pilot, lambda: (folder / name).exists())
                await until(pilot, lambda: any(name in each for each in notifications(app)))
                return (folder / name).read_bytes()

            await opened(app, pilot)
            await until(pilot, lambda: app.screen.query_one("#chart-recon") is not None)
            await pilot.pause(0.3)
            found = rows(await write("chart.csv"))
            newest = read_history(run.events).epochs[-1]
            assert found[0] == ["series", "step", "reconstruction"]
            assert found[-1] == ["test", str(float(newest.step)), str(newest.test.recon)]
            assert (await write("chart.svg")).startswith(b"<svg")
            await pilot.press("ctrl+e")
            await until(pilot, lambda: isinstance(app.screen, AskText))
            await pilot.press(*["backspace"] * 3, *"csv", "enter")  # another ending is enough
            await until(pilot, lambda: (folder / "fashion-1-reconstruction.csv").exists())
            await until(pilot, lambda: not isinstance(app.screen, AskText))
            await pilot.press("ctrl+e")
            await until(pilot, lambda: isinstance(app.screen, AskText))
            await pilot.press("end", *["backspace"] * 70, *"chart.svg", "enter")
            assert isinstance(app.screen, AskText), "nothing is overwritten"
            await pilot.press("escape", "3")
            pane = app.screen.query_one(LatentPane)
            await until(pilot, lambda: pane.plane is not None)
            assert pane.plane is not None
            assert len(rows(await write("plane.csv"))) == 1 + len(pane.plane.xs)
            await pilot.press("V")
            found = rows(await write("kl.csv"))
            assert [float(row[2]) for row in found[1:]] == pytest.approx(list(pane.plane.kl))
            await pilot.press("4")
            await seen(app, pilot, "other")
            await pilot.press("m", "j", "m")
            found = rows(await write("runs.csv"))
            assert {row[0] for row in found[1:]} == {"fashion-1", "other"} and len(found) == 1 + 3 + 5
            await pilot.press("Y")  # the last figure is the plane of rate and distortion
            assert rows(await write("plane-of-runs.csv"))[0] == ["series", "rate: KL (nats)", "distortion (nats)"]
