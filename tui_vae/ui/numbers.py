"""Numbers as text. A number that changes on the screen keeps its width, so that nothing beside it moves."""

from __future__ import annotations

import math

MINUS = "−"
UNKNOWN = "—"
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def metric(value: float | None, width: int = 7, digits: int = 4) -> str:
    """A figure with this many significant digits, right-aligned: `27.12`, ` −1204`, `0.0093`; a dash for None.

    The number of decimals depends on the size alone, and trailing zeros stay, so that figures in a column line up.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN.rjust(width)
    return _significant(value, digits).replace("-", MINUS).rjust(width)


def _significant(value: float, digits: int) -> str:
    size = abs(float(f"{value:.{digits - 1}e}"))  # rounded, so that 9.9996 counts as 10
    if size >= 10**6 or 0 < size < 1e-4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    whole = 1 if size < 1 else int(math.log10(size)) + 1
    decimals = max(0, digits - whole)
    if 0 < size < 0.1:  # 0.0093 has two significant digits in four decimals: give small ones another
        decimals += 1
    return f"{value:.{decimals}f}"


def percent(share: float | None, width: int = 5) -> str:
    """0.953 → ` 95.3`."""
    return metric(None if share is None else share * 100, width, digits=3)


def short(value: float | None, width: int = 5) -> str:
    """Three significant digits and a suffix, for rates and counts: `26.4k`, ` 950`, `1.25M`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN.rjust(width)
    for unit, suffix in _SUFFIXES:
        if abs(value) >= unit * 0.9995:
            scaled = value / unit
            decimals = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
            return f"{scaled:.{decimals}f}{suffix}".replace("-", MINUS).rjust(width)
    return f"{value:.0f}".replace("-", MINUS).rjust(width)


def memory(size: int, width: int = 7) -> str:
    """`412 MiB`, `1.2 GiB`, ` 38 GiB`."""
    mebibytes = size / 2**20
    if mebibytes < 1000:
        return f"{mebibytes:.0f} MiB".rjust(width)
    return f"{mebibytes / 1024:.{1 if mebibytes < 9.95 * 1024 else 0}f} GiB".rjust(width)


def duration(seconds: float | None, width: int = 7) -> str:
    """`   0:34`, `  12:05`, `1:02:03`, `12h 03m`, ` 3d 04h`; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN.rjust(width)
    whole = max(0, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        text = f"{days}d {hour:02}h" if days < 100 else f"{days}d"
    elif hours >= 10:
        text = f"{hours}h {minute:02}m"
    elif hours:
        text = f"{hours}:{minute:02}:{second:02}"
    else:
        text = f"{minute}:{second:02}"
    return text.rjust(width)


def ago(seconds: float | None, width: int = 5) -> str:
    """How long ago, in coarser units the longer it is: ` 0:12`, `14:05`, `  3 h`, ` 12 d`."""
    if seconds is None or seconds < 3600:
        return duration(seconds, width)
    hours = seconds / 3600
    return (f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d").rjust(width)


def short_seconds(seconds: float | None, width: int = 5) -> str:
    """An epoch's seconds: `0.042`, ` 2.61`, `134.2`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN.rjust(width)
    decimals = 3 if seconds < 1 else 2 if seconds < 100 else 1 if seconds < 1000 else 0
    return f"{seconds:.{decimals}f}".rjust(width)


def setting(value: float | None) -> str:
    """A learning rate or a β, as people write them: `0.002`, `3e-4`, `1`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:.3g}"
    if "e" not in text and 0 < abs(value) < 1e-3:
        text = f"{value:.2e}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}e{int(exponent)}"
    return text


def count(value: int) -> str:
    """A whole number with commas: `1,094,992`."""
    return f"{value:,}"


def age(seconds: float) -> str:
    """How long ago, in one unit: `12 s`, `3 min`, `2 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
