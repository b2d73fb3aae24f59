"""Exports to look at: animations in three formats, curves, and a page that needs nothing else."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image, ImageSequence

from tests.support.extras import needs_plots
from tests.support.fake_run import make_run
from tests.support.processes import Trained, command, finish
from tui_vae import Run, load_run
from tui_vae.cli import export_images, main
from tui_vae.cli.animation import animated
from tui_vae.cli.export_images import enlargement
from tui_vae.cli.load_trained import load_trained
from tui_vae.runs import events as ev


def export(trained: Trained, what: str, out: Path, *more: str) -> Path:
    given = ["export", "done", "--runs-dir", trained.runs_dir, "--what", what, "--out", str(out), *more]
    assert main(given) == 0
    return out


@pytest.mark.parametrize(("ending", "form"), [("gif", "GIF"), ("png", "PNG"), ("webp", "WEBP")])
def test_a_traversal_moves_one_dimension_a_column(trained: Trained, tmp_path: Path, ending: str, form: str) -> None:
    run = load_run("done", trained.runs_dir)
    with Image.open(export(trained, "traversal", tmp_path / f"t.{ending}")) as film:
        assert film.format == form
        frames = [np.asarray(frame.convert("L"), np.int16) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 28 and frames[0].shape == (4 * 90 - 6, 8 * 90 - 6)
    order = np.argsort(-np.array(_kl(run)), kind="stable")
    assert any(_begins_with(run, mu, order[0], frames[0]) for mu in run.encode(run.test_images()).mu)
    moved = [np.abs(frames[14][:84, 90 * at : 90 * at + 84] - frames[0][:84, 90 * at : 90 * at + 84]).mean()
             for at in range(8)]  # fmt: skip
    assert min(moved) > 1  # grey levels: each of these dimensions does something


def _kl(run: Run) -> list[float]:
    """The KL of each dimension over the run's part of the training images, by its formula."""
    mu, logvar = run.encode(run._load_data().subset.numpy())
    each = 0.5 * (mu.astype(float) ** 2 + np.exp(logvar.astype(float)) - 1 - logvar)
    return [float(value) for value in each.mean(axis=0)]


def _begins_with(run: Run, mu: Any, dimension: int, frame: Any) -> bool:
    """Whether the frame's first tile is the image of z = μ with this dimension at -3."""
    z = mu.copy()
    z[dimension] = -3
    return bool(np.abs(np.rint(run.decode(z)[0] * 255) - frame[:84:3, :84:3]).max() <= 1)


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_equal_frames_keep_their_time(tmp_path: Path, ending: str) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (10, 10, 200, 10)]
    (tmp_path / f"film.{ending}").write_bytes(animated(frames, [100, 100, 100, 100], ending, "a test"))
    with Image.open(tmp_path / f"film.{ending}") as film:
        times = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            film.load()
            times.append(round(film.info["duration"]))
    assert times == [200, 100, 100]


@needs_plots
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_curves_are_drawn_in_each_format(trained: Trained, tmp_path: Path, ending: str) -> None:
    first = export(trained, "curves", tmp_path / f"curves.{ending}").read_bytes()
    again = export(trained, "curves", tmp_path / f"again.{ending}").read_bytes()
    assert first == again  # no moment, no random names
    if ending == "svg":
        assert first.count(b"test") and "bits a pixel" in first.decode() and "<path" in first.decode()
    elif ending == "png":
        with Image.open(tmp_path / "curves.png") as image:
            assert image.size == (1500, 840) and len(image.convert("RGB").getcolors(1 << 20) or ()) > 50
    else:
        assert first.startswith(b"%PDF-")


class Page(HTMLParser):
    """What a page loads, its tags, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@needs_plots
def test_the_report_is_one_page_that_loads_nothing(trained: Trained, tmp_path: Path) -> None:
    page = Page()
    page.feed(export(trained, "report", tmp_path / "report.html").read_text())
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in page.loads)
    assert page.tags.count("img") == 2 and page.tags.count("svg") == 1 and "script" not in page.tags
    table = load_run("done", trained.runs_dir).metrics("numpy")
    for row in table:
        assert f"{row['test_elbo_bpd']:.3f}" in page.text and f"{row['test_mse']:.5f}" in page.text
    assert "latent-dim" in page.text and "finished" in page.text and "2,000 + 500 images" in page.text
    export(trained, "report", tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text().startswith("---\nlibrary_name")


def test_a_strangers_words_stay_words(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "odd", epochs=2)
    words = "<script>alert(1)</script>\x1b[2J"
    line = '{"kind":"warning","t":1.0,"message":' + json.dumps(words) + ',"hint":"<b>"}\n'
    with open(run.events, "a") as log:
        log.write(line)
    out = tmp_path / "report.html"
    assert main(["export", "odd", "--runs-dir", str(tmp_path / "runs"), "--what", "report", "--out", str(out)]) == 0
    text = out.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "\x1b" not in text


@needs_plots
def test_figures_near_the_largest_number_do_not_end_a_drawing(tmp_path: Path) -> None:
    """Of a damaged log, or a stranger's."""
    run = make_run(tmp_path / "runs")
    text = run.events.read_text()
    run.events.write_text(re.sub(r'"(kl|recon|elbo_bpd)":[0-9.e+-]+', r'"\1":-1.7e308', text, count=20))
    for what in ("curves", "rate-distortion"):
        out = tmp_path / f"{what}.svg"
        assert main(["export", run.name, "--runs-dir", str(tmp_path / "runs"), "--what", what, "--out", str(out)]) == 0
        assert out.stat().st_size > 10_000


def test_a_long_runs_report_has_its_last_epoch_and_marks_the_best(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "long", epochs=83)
    lines = run.events.read_bytes().splitlines(keepends=True)
    for at, event in enumerate(map(ev.parse_line, lines)):
        if isinstance(event, ev.EpochEvent) and event.epoch > 81:  # worse from here on
            lines[at] = ev.encode_line(replace(event, test=replace(event.test, loss=1e9)))
    run.events.write_bytes(b"".join(lines))
    out = tmp_path / "report.html"
    assert main(["export", "long", "--runs-dir", str(tmp_path / "runs"), "--what", "report", "--out", str(out)]) == 0
    rows = re.findall(r'<tr( class="best")?><td class="n">(\d+)</td>', out.read_text())
    assert [int(epoch) for _, epoch in rows] == [*range(3, 82, 3), 83]
    assert [int(epoch) for mark, epoch in rows if mark] == [81]


def test_a_timelapse_is_the_same_film_in_each_format(trained: Trained, tmp_path: Path) -> None:
    films = {}
    for ending in ("gif", "png", "webp"):
        with Image.open(export(trained, "timelapse", tmp_path / f"film.{ending}")) as film:
            films[ending] = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    assert len({len(frames) for frames in films.values()}) == 1 and len(films["gif"]) == 3
    for one, other in zip(films["gif"], films["webp"], strict=True):
        assert np.array_equal(one, other)
    for one, other in zip(films["gif"], films["png"], strict=True):
        assert np.array_equal(one, other)


@needs_plots
def test_the_names_of_classes_are_no_formulas() -> None:
    drawn = export_images.Sheet(np.zeros((4, 4), np.uint8), 1, r"samples of $\frac{$", (r"$\nonsense$",)).file("svg")
    assert rb"samples of $\frac{$" in drawn and rb"$\nonsense$" in drawn


@needs_plots
@pytest.mark.parametrize("what", ["grid", "samples", "rate-distortion"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_sheets_and_the_plane_are_drawn_in_each_format(
    trained: Trained, tmp_path: Path, what: str, ending: str
) -> None:
    first = export(trained, what, tmp_path / f"one.{ending}").read_bytes()
    assert first == export(trained, what, tmp_path / f"again.{ending}").read_bytes()
    if ending == "pdf":
        assert first.startswith(b"%PDF-")
    elif ending == "png":
        with Image.open(tmp_path / "one.png") as image:
            assert image.format == "PNG" and len(image.convert("RGB").getcolors(1 << 20) or ()) > 50
    elif what == "rate-distortion":
        assert "rate: KL" in first.decode() and first.count(b"<path") > 5
    else:
        assert "run done" in first.decode() and "data:image/png;base64" in first.decode()
        assert ("Ankle boot" in first.decode()) == (what == "grid")


@pytest.mark.parametrize(
    ("side", "most", "times"), [(8, 2, 2), (28, 3, 3), (42, 3, 3), (64, 3, 2), (100, 2, 2), (101, 3, 1)]
)
def test_small_images_are_enlarged_and_large_ones_are_not(side: int, most: int, times: int) -> None:
    assert enlargement((3, side, side // 2), most) == times


def test_a_report_loads_the_run_once(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(*given: Any) -> Any:
        loads.append(given)
        return load_trained(*given)

    monkeypatch.setattr("tui_vae.cli.export_report.load_trained", load)
    monkeypatch.setattr(export_images, "load_trained", None)
    export(trained, "report", tmp_path / "report.html")
    assert len(loads) == 1


def compared(tmp_path: Path, ending: str, *more: str) -> tuple[int, Path]:
    for name, epochs in (("one", 6), ("two", 4)):
        if not (tmp_path / "runs" / name).exists():
            make_run(tmp_path / "runs", name, epochs=epochs, latent_dim=16 if name == "two" else 32)
    out = tmp_path / f"both.{ending}"
    return main(["compare", "one", "two", "--runs-dir", str(tmp_path / "runs"), "--out", str(out), *more]), out


@needs_plots
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_comparison_is_drawn_with_all_runs(tmp_path: Path, ending: str) -> None:
    code, out = compared(tmp_path, ending)
    assert code == 0
    if ending == "svg":
        text = out.read_text()
        assert ">one<" in text and ">two<" in text and "rate: KL" in text and ">loss<" not in text
    else:
        assert out.stat().st_size > 5000


def test_a_comparison_as_a_page_and_as_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = compared(tmp_path, "html")
    assert code == 0 and f"{out}: 2 runs, {out.stat().st_size:,} bytes" in capsys.readouterr().out
    page = Page()
    page.feed(out.read_text())
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in page.loads) and "script" not in page.tags
    assert page.tags.count("img") == 2 and "latent-dim" in page.text and "bits/px" in page.text
    code, out = compared(tmp_path, "md")
    lines = [line for line in out.read_text().splitlines() if line.startswith("|")]
    assert code == 0 and len(lines) == 4 and len({line.count("|") for line in lines}) == 1
    assert "| one |" in lines[2] and "| 32 |" in lines[2] and "| 16 |" in lines[3] and "**" in lines[2]
    capsys.readouterr()
    code, out = compared(tmp_path, "md", "--force", "--json")
    said = capsys.readouterr()
    assert code == 0 and [run["name"] for run in json.loads(said.out)] == ["one", "two"] and str(out) in said.err


def test_a_comparison_is_written_though_nobody_reads_the_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / "runs", name, epochs=2)
    reading, writing = os.pipe()
    os.close(reading)
    given = ("compare", "one", "two", "--runs-dir", tmp_path / "runs", "--out", tmp_path / "both.csv")
    code, _, err = finish(command(*given, stdout=writing))
    os.close(writing)
    assert (code, err) == (1, "") and (tmp_path / "both.csv").read_text().startswith("run,")


def test_a_page_of_a_strangers_runs_loads_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "two", epochs=2, data_dir="<img src=x>|")
    code, out = compared(tmp_path, "html")
    assert code == 0 and "<img src=x>" not in out.read_text() and "&lt;img src=x&gt;|" in out.read_text()
    code, out = compared(tmp_path, "md")
    assert code == 0 and "&lt;img src=x&gt;\\|" in out.read_text()
    run = tmp_path / "runs" / "two"
    Image.new("L", (5, 28)).save(run / "previews" / "originals.png")  # a damaged file, too
    assert compared(tmp_path, "html", "--force")[0] == 0
