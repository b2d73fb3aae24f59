"""The messages on a run's socket: one request, one reply, as length-prefixed MessagePack.

Images travel as raw bytes: uint8, row by row, 0 is dark, one after another, `width` pixels wide; a `width` of 0 means
that they are square. `channels` bytes are a pixel: 1 of a grey image, else 3, red, green and blue. Classes travel as
`labels.py` says.
"""

from __future__ import annotations

import math
import struct
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tui_vae.config import MAX_BETA, MAX_EPOCHS, MAX_LR
from tui_vae.runs.float_arrays import FLOAT_BYTES
from tui_vae.runs.foreign_text import cleaned
from tui_vae.runs.labels import check_labels

MAX_FRAME = 64 << 20
"""Bytes of a message: twice what `MAX_IMAGES` images of 64×64 pixels take with their reconstructions."""

MAX_IMAGES = 4096
"""Images in one answer: more than a page of any terminal shows."""

MAX_LATENT_BYTES = MAX_IMAGES * 4096
"""Bytes of the latents of one `Decode`, a quarter of `MAX_FRAME`: `MAX_IMAGES` latents of 1024 float32 numbers."""

_REPLY_BYTES = 1024
"""Bytes, at most, of a `Reconstructions` apart from its images: the names of its keys, lengths, epoch, step, width."""

_IMAGE_BYTES = 2 + 9 + 9
"""Bytes, at most, of an image's label, and of its index and its error in MessagePack."""

FIRST_BETA = 0.1
"""What β becomes when a factor raises it from 0, which no factor changes: small beside the usual 1."""

MAX_FACTOR = 1e3
"""The largest factor by which one request scales a value: 31 presses of a key, ×1.25 each; more is a mistake."""

_LENGTH = struct.Struct(">I")

LearningRate = Annotated[float, Meta(gt=0, le=MAX_LR)]
Beta = Annotated[float, Meta(ge=0, le=MAX_BETA)]
Factor = Annotated[float, Meta(ge=1 / MAX_FACTOR, le=MAX_FACTOR)]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """What a client sends. One with an unknown field is refused, so that nothing is done by half."""


class Pause(Request, frozen=True):
    """Pause after the step under way, with a checkpoint."""


class Resume(Request, frozen=True):
    """Go on training. `epochs` more than planned; a finished run needs them."""

    epochs: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)] = 0


class Stop(Request, frozen=True):
    """Write a checkpoint of this very step and end."""


class Checkpoint(Request, frozen=True):
    """Write a checkpoint after the step under way."""


class Set(Request, frozen=True, kw_only=True):
    """Change the learning rate or β from the next step on; a schedule goes on, scaled. A value each, or a factor.

    `lr`, `beta`: the values in force from then on. `lr_factor`, `beta_factor`: what to multiply by, whatever is in
    force when the request is answered, up to `MAX_LR` and `MAX_BETA`. During a warm-up `beta_factor` scales the β that
    it rises to. A β of 0 stays 0 under a factor below 1, and becomes `FIRST_BETA` under one above 1. A change of `lr`
    changes Muon's learning rate in the same proportion; `muon_lr` changes that one alone, after it.
    """

    lr: LearningRate | None = None
    muon_lr: LearningRate | None = None
    beta: Beta | None = None
    lr_factor: Factor | None = None
    beta_factor: Factor | None = None

    def __post_init__(self) -> None:
        if None not in (self.lr, self.lr_factor) or None not in (self.beta, self.beta_factor):
            raise ValueError("a value and a factor for the same thing")


class Describe(Request, frozen=True):
    """Ask for the `Description` of the process, which it gives once everything is loaded."""


class Reconstruct(Request, frozen=True, kw_only=True):
    """Originals and reconstructions (the decoder at z = μ) of test images, from the newest weights."""

    indices: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=MAX_IMAGES)]


class TestErrors(Request, frozen=True):
    """The mean squared error of every test image under the newest weights."""


class Sample(Request, frozen=True, kw_only=True):
    """Decoded latents, drawn from the Gaussian fitted to the encoder's z, or from the prior N(0, I)."""

    count: Annotated[int, Meta(ge=1, le=MAX_IMAGES)]
    source: Literal["fitted", "prior"] = "fitted"
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Decode(Request, frozen=True, kw_only=True):
    """Images of given latents: little-endian float32, `latent_dim` numbers each."""

    z: Annotated[bytes, Meta(min_length=4, max_length=MAX_LATENT_BYTES)]


class Map(Request, frozen=True):
    """The plane of the two main directions of the posterior means, and where the test images lie on it."""


CONTROLS = (Pause, Resume, Stop, Checkpoint, Set)
"""Requests that change the run, which only its own process obeys; the others are questions about the model."""

AnyRequest = Pause | Resume | Stop | Checkpoint | Set | Describe | Reconstruct | TestErrors | Sample | Decode | Map


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A reply whose parts do not fit each other cannot be made or decoded, so that whoever shows it need not ask."""


def check_images(images: bytes, count: int, width: int, channels: int = 1) -> None:
    """
    Raises:
        ValueError: these are not `count` images of one size, `width` pixels wide or, where that is 0, square.
    """
    if channels not in (1, 3):
        raise ValueError(f"images of {channels} channels")
    size, rest = divmod(len(images), count * channels) if count > 0 else (0, len(images))
    whole = size % width == 0 if width > 0 else width == 0 and math.isqrt(size) ** 2 == size
    if rest or not whole or (count and not size):
        raise ValueError(f"{len(images)} bytes are not {count} images of width {width}")


def _check_floats(data: bytes, count: int) -> None:
    if len(data) != FLOAT_BYTES * count:
        raise ValueError(f"{len(data)} bytes are not {count} numbers")


def _check_length(values: bytes | tuple[object, ...], count: int) -> None:
    if len(values) != count:
        raise ValueError(f"{len(values)} values for {count}")


class Failure(Reply, frozen=True, kw_only=True):
    """The request was refused. `hint`: what to do about it, or empty."""

    message: str
    hint: str = ""


class Done(Reply, frozen=True, kw_only=True):
    """A control took effect, at this step, with these values in force.

    `rising_to`: the β that a warm-up still leads to. `muon_lr`: None where Adam updates all parameters.
    """

    epoch: int
    step: int
    lr: float
    beta: float
    muon_lr: float | None = None
    rising_to: float | None = None


class Description(Reply, frozen=True, kw_only=True):
    """The state of the serving process: `state` as in the log, or `serving` where nothing is trained.

    `labels`: the class of each test image, or empty; `previews`: the indices of the preview images; `images`: how many
    test images there are, 0 where the labels say it.
    """

    state: str
    epoch: int
    step: int
    classes: tuple[str, ...]
    labels: bytes
    previews: tuple[int, ...]
    height: int = 28
    width: int = 28
    channels: int = 1
    images: int = 0

    def __post_init__(self) -> None:
        check_labels(self.labels, self.image_count)

    @property
    def image_count(self) -> int:
        """How many test images there are."""
        return self.images or len(self.labels)


class Reconstructions(Reply, frozen=True, kw_only=True):
    """`originals` and `reconstructions`: one image after another; `mse`: a pixel's on [0, 1], of each image.

    `mu`: little-endian float32, `latent_dim` numbers an image.
    """

    epoch: int
    step: int
    indices: tuple[int, ...]
    labels: bytes
    originals: bytes
    reconstructions: bytes
    mse: tuple[float, ...]
    mu: bytes = b""
    width: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        count = len(self.indices)
        check_labels(self.labels, count)
        _check_length(self.mse, count)
        check_images(self.originals, count, self.width, self.channels)
        check_images(self.reconstructions, count, self.width, self.channels)
        _check_length(self.reconstructions, len(self.originals))
        _check_floats(self.mu, len(self.mu) // FLOAT_BYTES // max(1, count) * count)


class Errors(Reply, frozen=True, kw_only=True):
    """`mse`: little-endian float32, one for each test image in order; `labels`: their classes."""

    epoch: int
    step: int
    mse: bytes
    labels: bytes

    def __post_init__(self) -> None:
        count = len(self.mse) // FLOAT_BYTES
        _check_floats(self.mse, count)
        check_labels(self.labels, count)


class Samples(Reply, frozen=True, kw_only=True):
    """Decoded samples, image after image. `source`: `fitted` or `prior`."""

    epoch: int
    step: int
    source: str
    images: bytes
    width: int = 0
    channels: int = 1


class Images(Reply, frozen=True, kw_only=True):
    """Decoded images, image after image."""

    epoch: int
    step: int
    images: bytes
    width: int = 0
    channels: int = 1


class LatentMap(Reply, frozen=True, kw_only=True):
    """Numbers are little-endian float32. A point (a, b) is the latent `origin + a·directions[0] + b·directions[1]`.

    origin: `latent_dim`; directions: 2 × `latent_dim`; points: test images × 2; labels: of the test images;
    explained: share of the posterior means' variance along each direction; kl_per_dim: nats, mean over test images;
    deviations: the standard deviation of the posterior means along each latent dimension.
    """

    epoch: int
    step: int
    latent_dim: int
    origin: bytes
    directions: bytes
    points: bytes
    labels: bytes
    explained: tuple[float, float]
    kl_per_dim: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.latent_dim < 1:
            raise ValueError("a latent space without a dimension")
        for data, count in ((self.origin, 1), (self.directions, 2)):
            _check_floats(data, count * self.latent_dim)
        count = len(self.points) // (2 * FLOAT_BYTES)
        _check_floats(self.points, 2 * count)
        check_labels(self.labels, count)
        for numbers in (self.kl_per_dim, self.deviations):
            _check_length(numbers, self.latent_dim)


AnyReply = Failure | Done | Description | Reconstructions | Errors | Samples | Images | LatentMap

_encode = msgspec.msgpack.Encoder().encode
_decode_request: msgspec.msgpack.Decoder[AnyRequest] = msgspec.msgpack.Decoder(AnyRequest)
_decode_reply: msgspec.msgpack.Decoder[AnyReply] = msgspec.msgpack.Decoder(AnyReply)

decode_request = _decode_request.decode


def decode_reply(body: bytes) -> AnyReply:
    """A reply, with texts that cannot steer a terminal: they may come from files of a stranger.

    Raises:
        msgspec.DecodeError: it is none of this version.
    """
    reply = _decode_reply.decode(body)
    return cleaned(reply) if isinstance(reply, Failure | Description) else reply


def check_answer(request: AnyRequest, reply: AnyReply) -> None:
    """
    Raises:
        ValueError: the reply is not about what was requested.
    """
    match request, reply:
        case Reconstruct(indices=wanted), Reconstructions(indices=found) if list(found) != wanted:
            raise ValueError("reconstructions of other images")
        case Sample(count=count), Samples():
            check_images(reply.images, count, reply.width, reply.channels)


def most_images(pixels: int) -> int:
    """How many images of so many bytes one reply holds."""
    return min(MAX_IMAGES, (MAX_FRAME - _REPLY_BYTES) // pixels)


def most_reconstructions(pixels: int, latent_dim: int) -> int:
    """How many images of so many bytes, each with its reconstruction and its μ, one reply holds."""
    return min(MAX_IMAGES, (MAX_FRAME - _REPLY_BYTES) // (2 * pixels + FLOAT_BYTES * latent_dim + _IMAGE_BYTES))


def frame(message: AnyRequest | AnyReply) -> bytes:
    """A message as it goes over the socket: its length in 4 bytes, big-endian, then MessagePack."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """The length that the 4 bytes of a frame's head announce.

    Raises:
        ValueError: it is larger than any message of this protocol.
    """
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise ValueError(f"a message of {length} bytes")
    return int(length)


HEADER_LENGTH = _LENGTH.size
