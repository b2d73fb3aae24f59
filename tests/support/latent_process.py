"""A run's process that also answers what only Latent asks, with latents and images that can be told apart."""

import math
import random
import struct
import time
from array import array

import msgspec

from tests.support.fake_run import PIXELS, TEST_IMAGES, FakeProcess, labels
from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import encode_floats

DIMENSIONS = 4
DEVIATIONS = (2.0, 1.0, 0.5, 0.05)
KL = (2.5, 1.5, 3.5, 0.001)


def pack(*values: float) -> bytes:
    return encode_floats(array("f", values))


def latent_of(index: int) -> tuple[float, ...]:
    """Each class has its place on a circle; the third and fourth dimension follow the index."""
    angle = 2 * math.pi * (index % 10) / 10
    return 2 * math.cos(angle) + index / 1000, math.sin(angle), index / TEST_IMAGES, 0.0


def picture_of(z: tuple[float, ...]) -> bytes:
    """An image that tells its latent: one level for each dimension."""
    levels = bytes(min(255, max(0, int(128 + 30 * value))) for value in z)
    return levels * (PIXELS // len(z))


def latent_map(step: int = 0, sign: float = 1.0) -> protocol.LatentMap:
    points = [value for index in range(TEST_IMAGES) for value in (sign * latent_of(index)[0], latent_of(index)[1])]
    return protocol.LatentMap(
        epoch=step // 235, step=step, latent_dim=DIMENSIONS, origin=pack(0, 0, 0.5, 0),
        directions=pack(sign, 0, 0, 0, 0, 1, 0, 0), points=pack(*points), labels=labels(), explained=(0.6, 0.3),
        kl_per_dim=KL, deviations=DEVIATIONS,
    )  # fmt: skip


def kl_split(step: int = 0, images: int = TEST_IMAGES) -> protocol.KlSplit:
    """q(z) of the first dimension lies at 1.5, of the others it is N(0, 1)."""
    points = 71
    grid = [-3.5 + 7 * at / (points - 1) for at in range(points)]
    curves = [[math.exp(-0.5 * (x - shift) ** 2) / math.sqrt(2 * math.pi) for x in grid] for shift in (1.5, 0, 0, 0)]
    density = pack(*(value for curve in curves for value in curve))
    return protocol.KlSplit(
        epoch=step // 235, step=step, images=images, draws=100, kl=7.5, mutual_information=4.25,
        total_correlation=2.125, standard_error=0.04, per_dimension=(1.125, 0.0, 0.0, 0.0), points=points,
        low=pack(*[-3.5] * 4), high=pack(*[3.5] * 4), density=density, means=density,
    )  # fmt: skip


class LatentProcess(FakeProcess):
    """Also answers what only Latent asks; slowly, where it has a `delay`."""

    delay = 0.0

    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        epoch = self.step // 235
        match request:
            case protocol.Map():
                return latent_map(self.step, -1.0 if self.step % 2 else 1.0)
            case protocol.Decode(z=z):
                time.sleep(self.delay)
                images = b"".join(map(picture_of, struct.iter_unpack(f"<{DIMENSIONS}f", z)))
                return protocol.Images(epoch=epoch, step=self.step, images=images)
            case protocol.Sample(count=count, source=source, seed=seed, label=label):
                dice = random.Random(f"{source} {seed} {label}")
                images = b"".join(bytes([dice.randrange(256)]) * PIXELS for _ in range(count))
                z = pack(*(value for number in range(count) for value in latent_of(number)))
                return protocol.Samples(epoch=epoch, step=self.step, source=source, images=images, z=z)
            case protocol.Nearest(count=count):
                return protocol.Neighbours(
                    epoch=epoch, step=self.step, indices=tuple(range(count)), labels=labels()[:count],
                    images=b"".join(picture_of(latent_of(index)) for index in range(count)),
                    mse=tuple(0.004 + number / 1000 for number in range(count)), usual=(0.005, 0.006, 0.01, 0.03),
                )  # fmt: skip
            case protocol.SplitKl():
                return kl_split(self.step)
            case protocol.Reconstruct(indices=indices):
                reply = super()._answer(request)
                assert isinstance(reply, protocol.Reconstructions)
                return msgspec.structs.replace(reply, mu=pack(*(v for index in indices for v in latent_of(index))))
        return super()._answer(request)

    def decoded(self) -> list[bytes]:
        return [request.z for request in self.asked if isinstance(request, protocol.Decode)]
