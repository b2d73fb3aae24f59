"""The results of `eval --probe`, printed for a terminal of 80 columns: confusion matrices, clusters, outliers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from tui_vae.runs import advice

if TYPE_CHECKING:
    from tui_vae.core.evaluation.probe import ClassifierScores, Clusters

NAME, CELL, SCORE = 12, 5, 6
"""Widths in characters: of a class's name, of a cell of the matrix, of a score."""

MATRIX_CLASSES = 10
"""Classes, at most, whose matrix fits into 80 columns."""

LISTED, WIDE = 10, 50
"""Classes, and mistakes, that are listed where there are more; columns of their names."""

HITS = (236, 238, 240, 243, 246, 250)
"""Colours of the 256-colour grey ramp for images that get their class; the larger the share, the brighter."""

MISSES = (52, 88, 130, 166, 172, 208)
"""Colours of the 256-colour cube, from dark red to orange, for images that get another class."""

STEPS = (0.02, 0.05, 0.1, 0.2, 0.5)
"""The shares of a row at which the next colour begins; below the first there is none."""

DARK_TEXT_FROM = 3
"""The number of steps reached from which the text is black."""


def print_probe(found: dict[str, Any], classes: Sequence[str], run: Path) -> None:
    """Print a matrix for each classifier, then clusters and outliers. Colours repeat what the numbers say."""
    console = Console(highlight=False)

    def say(line: str | Text = "") -> None:
        console.print(line, soft_wrap=True, markup=False)

    for verdict in found["classifiers"]:
        say()
        say(f"{verdict.name} on μ: {100 * verdict.accuracy:.2f} % of the test images are given their class")
        for line in matrix(verdict) if len(classes) <= MATRIX_CLASSES else confusions(verdict):
            say(line)
    say()
    for words in cluster_lines(found["clusters"], classes):
        say(words)
    say()
    say("least likely test images: squared distance of μ under the Gaussian fitted to z")
    for each in found["outliers"]:
        say(f"  #{each['index']:<6}{each['class']:<{NAME}}{each['distance']:>10.1f}")
    numbers = ",".join(str(each["index"]) for each in found["outliers"])
    say(f"  see them: {advice.of_run('show', run, options=('--index', numbers))}")


def matrix(verdict: ClassifierScores) -> list[Text]:
    """A row for each true class: its test images by predicted class, then the class's scores in per cent."""
    heads = "".join(score.name[: CELL - 1].rjust(CELL - 1) + " " for score in verdict.classes)
    scores = "".join(word.rjust(SCORE) for word in ("prec", "rec", "f1"))
    lines = [Text("is \\ called".ljust(NAME) + heads + scores)]
    for row, (score, counts) in enumerate(zip(verdict.classes, verdict.confusion, strict=True)):
        line = Text(score.name[: NAME - 1].ljust(NAME))
        for column, count in enumerate(counts):
            share = count / max(1, sum(counts))
            line.append((str(count) if count else "·").rjust(CELL - 1) + " ", shade(share, row == column))
        line.append("".join(f"{100 * value:{SCORE}.1f}" for value in (score.precision, score.recall, score.f1)))
        lines.append(line)
    return lines


def confusions(verdict: ClassifierScores) -> list[str]:
    """Of many classes: those that are recognized least, and which of them are most often called what."""
    worst = sorted(verdict.classes, key=lambda score: score.f1)[:LISTED]
    heads = "".join(word.rjust(SCORE) for word in ("prec", "rec", "f1"))
    lines = [f"{f'the {len(worst)} of {len(verdict.classes):,} classes with the lowest f1':<{WIDE}}{heads}"]
    for score in worst:
        values = "".join(f"{100 * value:{SCORE}.1f}" for value in (score.precision, score.recall, score.f1))
        lines.append(f"  {score.name[: WIDE - 4]:<{WIDE - 2}}{values}")
    mistakes = [
        (count, true, called)
        for true, counts in enumerate(verdict.confusion)
        for called, count in enumerate(counts)
        if count and called != true
    ]
    lines.append("most frequent mistakes")
    for count, true, called in sorted(mistakes, key=lambda each: -each[0])[:LISTED]:
        names = (verdict.classes[number].name[: WIDE // 2 - 6] for number in (true, called))
        share = count / sum(verdict.confusion[true])
        lines.append(f"  {' called '.join(names):<{WIDE - 2}}{count:>6,}  {100 * share:.0f} % of its images")
    return lines


def shade(share: float, hit: bool) -> Style:
    """The colours of a cell with this share of its row; hits are bold, also where there are no colours."""
    if share < STEPS[0]:
        return Style(bold=hit)
    step = sum(share >= start for start in STEPS)
    front = 16 if step >= DARK_TEXT_FROM else 255
    return Style(bold=hit, color=f"color({front})", bgcolor=f"color({(HITS if hit else MISSES)[step]})")


def cluster_lines(clusters: Clusters, classes: Sequence[str]) -> list[str]:
    """How well the clusters match the classes, and the three most frequent classes of each cluster."""
    lines = [
        f"{len(clusters.counts)} clusters: a mixture of Gaussians fitted to μ without labels",
        f"  against the classes: adjusted Rand index {clusters.agreement:.3f}, "
        f"mutual information {clusters.information:.3f}",
    ]
    for counts in sorted(clusters.counts, key=sum, reverse=True):
        total = sum(counts)
        shares = sorted(zip(counts, classes, strict=True), key=lambda pair: -pair[0])[:3]
        words = ", ".join(f"{name} {100 * count / total:.0f} %" for count, name in shares if count)
        lines.append(f"  {total:>6,}  {words}".rstrip())
    return lines
