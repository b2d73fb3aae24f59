"""The exports: one table for `tui-vae export` and for the app's key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """`what`: its name in the command; `ending`: that of its file; `about`: the format and the contents in words."""

    what: str
    ending: str
    about: str


EXPORTS = (
    Export("metrics", "csv", "CSV: the figures of every epoch"),
    Export("reconstructions", "npz", "NPZ: the test set with its latents"),
    Export("grid", "png", "PNG: originals and what became of them"),
    Export("samples", "png", "PNG: samples from the latents' Gaussian"),
    Export("timelapse", "gif", "GIF: how the previews were learnt"),
    Export("decoder", "onnx", "ONNX: the decoder, latents to images"),
)
