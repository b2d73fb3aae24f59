"""What a stranger's bytes may look like: noise, a valid file with a few changes, and odd values in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

ODD_PIECES = (
    b"", b"\0", b"\xff" * 8, b"\n", b"\r\n", b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"[" * 40, b"]", b"}", b",",
    b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 30, b"9" * 400, b"\x1b[31m",
    b"\xe2\x80\xae",
    b"\x80", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"[[", b"=", b"'''", b"#", b"\x1b", b"\x1b[<",
)  # fmt: skip
"""Pieces that are put into valid bytes: signs that parsers obey, and numbers at the edge of what they hold."""

MOST_NESTED = 3000
"""Brackets inside each other: more than Python's stack takes."""

whole_numbers = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**31), -(2**63)]),
)
floats = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")]))
texts = st.one_of(st.text(max_size=20), st.sampled_from(["", "\0", "\x1b[2J", "a" * 300, "../../x", "inf", "nan"]))

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), whole_numbers, st.integers(), floats, texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
"""Any value that JSON, TOML or MessagePack can hold."""


@st.composite
def changed(draw: st.DrawFn, samples: Sequence[bytes], edits: int = 5) -> bytes:
    """One of these samples with a few changes: pieces taken out, put in, repeated, replaced, and bits turned."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, edits))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.one_of(st.integers(0, 8), st.integers(0, len(data)))))
        match draw(st.integers(0, 4)):
            case 0:
                data = data[:start] + data[stop:]
            case 1:
                data = data[:start] + draw(st.sampled_from(ODD_PIECES)) + data[start:]
            case 2:
                data = data[:start] + draw(st.binary(max_size=12)) + data[stop:]
            case 3:
                data = data[:stop] + data[start:stop] + data[stop:]
            case _ if start < len(data):
                turned = data[start] ^ 1 << draw(st.integers(0, 7))
                data = data[:start] + bytes([turned]) + data[start + 1 :]
    return data


def noisy(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A changed sample mostly, else noise, else brackets inside each other."""
    nested = st.builds(
        lambda opening, count, before: before + opening * count,
        st.sampled_from([b"[", b"{", b'{"a":', b"a.", b"\x91", b"\x81\xa1a"]),
        st.integers(0, MOST_NESTED),
        st.sampled_from([b"", b"a = ", b'{"kind":"run","config":']),
    )
    return st.one_of(changed(samples), changed(samples), changed(samples), st.binary(max_size=200), nested)


@st.composite
def odd_objects(draw: st.DrawFn, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One of these objects with other values behind a few of its keys, keys left out and keys added."""
    found = dict(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.one_of(st.sampled_from(sorted(found)), texts)) if found else draw(texts)
        if draw(st.integers(0, 5)) == 0:
            found.pop(name, None)
        elif isinstance(found.get(name), dict) and draw(st.booleans()):
            found[name] = draw(odd_objects([found[name]]))
        else:
            found[name] = draw(json_values)
    return found


def as_json(value: Any) -> bytes:
    """JSON as msgspec writes it: numbers that are not finite are null."""
    return msgspec.json.encode(value)
