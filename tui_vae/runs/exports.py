"""The exports: one table for `tui-vae export` and for the app's key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """`what`: its name in the command; `about`: the format and the contents in words.

    `endings`: those of its file, each a format; the first one where the file's name has none.
    """

    what: str
    endings: tuple[str, ...]
    about: str


EXPORTS = (
    Export("metrics", ("csv", "parquet", "jsonl"), "CSV, Parquet, JSON lines: the figures of every epoch"),
    Export("reconstructions", ("npz",), "NPZ: the test set with its latents"),
    Export("grid", ("png",), "PNG: originals and what became of them"),
    Export("samples", ("png",), "PNG: samples from the latents' Gaussian"),
    Export("timelapse", ("gif", "png", "webp"), "GIF, APNG, WebP: how the previews were learnt"),
    Export("traversal", ("gif", "png", "webp"), "GIF, APNG, WebP: what single latent dimensions do"),
    Export("curves", ("png", "svg", "pdf"), "PNG, SVG, PDF: the figures over epochs"),
    Export("report", ("html", "md"), "HTML, Markdown: all about the run on one page"),
    Export("encoder", ("onnx", "pt2"), "ONNX, torch.export: images to latents"),
    Export("decoder", ("onnx", "pt2"), "ONNX, torch.export: latents to images"),
    Export("model", ("safetensors",), "safetensors: the weights, for PyTorch"),
    Export("card", ("md",), "Markdown: a model card for a hub"),
)
