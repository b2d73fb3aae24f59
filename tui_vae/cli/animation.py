"""Frames as an animated picture: GIF, APNG (a PNG file) or WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {"gif": "GIF", "png": "PNG", "webp": "WEBP"}
"""Pillow's name of the format for each ending."""


def animated(frames: Sequence[Image.Image], milliseconds: Sequence[int], ending: str, about: str) -> bytes:
    """Frames of one size, each shown for its time, over and over; `about` is a comment in the file.

    A frame that equals the one before is that one shown for longer: Pillow's PNG and WebP writers drop it with its
    time. WebP is without loss.
    """
    kept: list[Image.Image] = []
    times: list[int] = []
    for frame, time in zip(frames, milliseconds, strict=True):
        if kept and frame.tobytes() == kept[-1].tobytes():
            times[-1] += time
        else:
            kept.append(frame)
            times.append(time)
    options: dict[str, object] = {"save_all": True, "append_images": kept[1:], "loop": 0, "duration": times}
    if ending == "gif":
        options |= {"optimize": False, "comment": about.encode()}
    elif ending == "webp":
        kept = [frame.convert("RGB") for frame in kept]
        options |= {"append_images": kept[1:], "lossless": True, "method": 4}
    else:
        from PIL.PngImagePlugin import PngInfo

        facts = PngInfo()
        facts.add_text("Description", about)
        options |= {"pnginfo": facts}
    buffer = io.BytesIO()
    kept[0].save(buffer, FORMATS[ending], **options)
    return buffer.getvalue()
