"""The exports: one table for `tui-vae export` and for the app's key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """`what`: its name in the command; `about`: the format and the contents in words.

    `endings`: those of its file, each a format; the first one where the file's name has none. None at all: a folder.
    """

    what: str
    endings: tuple[str, ...]
    about: str


PICTURE = ("png", "svg", "pdf")
FILM = ("gif", "png", "webp")

EXPORTS = (
    Export("metrics", ("csv", "parquet", "jsonl"), "CSV, Parquet, JSON lines: the figures of every epoch"),
    Export("reconstructions", ("npz",), "NPZ: the test set with its latents"),
    Export("grid", PICTURE, "PNG, SVG, PDF: originals and what became of them"),
    Export("samples", PICTURE, "PNG, SVG, PDF: samples from the latents' Gaussian"),
    Export("timelapse", FILM, "GIF, APNG, WebP: how the previews were learnt"),
    Export("traversal", FILM, "GIF, APNG, WebP: what single latent dimensions do"),
    Export("curves", PICTURE, "PNG, SVG, PDF: the figures over epochs"),
    Export("rate-distortion", PICTURE, "PNG, SVG, PDF: the KL against the distortion"),
    Export("report", ("html", "md"), "HTML, Markdown: all about the run on one page"),
    Export("encoder", ("onnx", "pt2"), "ONNX, torch.export: images to latents"),
    Export("decoder", ("onnx", "pt2"), "ONNX, torch.export: latents to images"),
    Export("model", ("safetensors",), "safetensors: the weights, for PyTorch"),
    Export("card", ("md",), "Markdown: a model card for a hub"),
    Export("hub", (), "a folder for a model hub: card, weights, options"),
)

COMPARISONS = ("csv", "parquet", "jsonl", *PICTURE, "html", "md")
"""Endings of the file of `tui-vae compare --out`: a table of all epochs, curves, or a page."""
