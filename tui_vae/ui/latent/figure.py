"""The plane and the bars of the KL as figures that can be written to a file."""

from __future__ import annotations

from tui_vae.ui.figure_file import Figure, Line
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.plane import Plane
from tui_vae.ui.test_set import TestSet


def figure_of(plane: Plane, view: View, test_set: TestSet) -> Figure | None:
    """The figure of a view: the posterior means by class, or the KL of each dimension; None of other views."""
    if view is View.KL:
        bars = Line("KL", range(plane.latent_dim), plane.kl, "bars")
        return Figure("KL of each latent dimension", "dimension", "KL (nats)", (bars,))
    if view is not View.PLANE:
        return None
    labels = plane.labels or [0] * len(plane.xs)
    lines = []
    for label in sorted(set(labels)):
        at = [index for index, each in enumerate(labels) if each == label]
        name = test_set.name(label) if plane.labels else "test images"
        lines.append(Line(name, [plane.xs[index] for index in at], [plane.ys[index] for index in at], "dots"))
    shares = [f"direction {number} ({share:.0%} of the variance)" for number, share in enumerate(plane.explained, 1)]
    x, y = ("z 0", "z 1") if plane.is_the_space else shares
    return Figure("posterior means of the test images", x, y, tuple(lines))
