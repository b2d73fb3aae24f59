"""What reports are made of: a page of HTML that loads nothing, with its pictures and its styles inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from tui_vae.plain_text import plain

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .9rem .15rem 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } tr.best, td.best { font-weight: 600 }
img, svg { max-width: 100%; height: auto } .wide { overflow-x: auto }
.pixels { image-rendering: pixelated } h1 { margin-bottom: 0 } .about { color: #666 } code { font-size: 90% }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """The page of parts that are HTML."""
    head = f'<meta charset="utf-8"><title>{text(title)}</title><style>{STYLE}</style>'
    return "\n".join(["<!DOCTYPE html>", f'<html lang="en"><head>{head}</head><body>', *parts, "</body></html>", ""])


def text(words: str) -> str:
    """What may stand in a page: a log may be a stranger's."""
    return escape(plain(words))


def in_markdown(words: str) -> str:
    """What may stand in a table of Markdown, which takes HTML as well."""
    return text(words).replace("|", "\\|")


def bullets(title: str, lines: Sequence[str]) -> list[str]:
    """A heading and a list; nothing without lines."""
    return [f"<h2>{title}</h2>", "<ul>", *(f"<li>{text(line)}</li>" for line in lines), "</ul>"] if lines else []


def figure(svg: bytes) -> str:
    """A figure that is SVG, without what only a file of its own has."""
    drawn = svg.decode()
    return drawn[drawn.index("<svg") :]


def picture(png: bytes, what: str) -> str:
    """A PNG whose pixels stay pixels."""
    return f'<img class="pixels" alt="{what}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
