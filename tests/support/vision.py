"""How far apart two colours are, for eyes that see all of them and for eyes that do not."""

from rich.color import Color, ColorSystem

# Machado, Oliveira and Fernandes 2009, severity 1: from linear RGB to the linear RGB that looks the same.
VISION = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


def _linear(colour: Color) -> list[float]:
    assert colour.triplet is not None
    return [(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4) for v in colour.triplet.normalized]


def lab(colour: Color, vision: str) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of a colour as it is seen: a distance of 2 is just noticed, one of 20 is plain."""
    linear = _linear(colour)
    r, g, b = (min(1, max(0, sum(map(float.__mul__, map(float, row), linear)))) for row in VISION[vision])
    xyz = (0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8730)
    shares = [row[0] * r + row[1] * g + row[2] * b for row in xyz]
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in shares)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def contrast(one: Color, other: Color) -> float:
    """WCAG 2: 1 for the same, 21 for black on white."""
    bright, dark = sorted((sum(map(float.__mul__, (0.2126, 0.7152, 0.0722), _linear(each))) for each in (one, other)),
                          reverse=True)  # fmt: skip
    return (bright + 0.05) / (dark + 0.05)


def is_exact(colour: Color) -> bool:
    """Whether 256 colours have it."""
    return colour.triplet == colour.downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
