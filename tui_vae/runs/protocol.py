"""The messages on a run's socket: one request, one reply, as length-prefixed MessagePack.

Images travel as raw bytes: uint8, row by row, 0 is dark, one after another, `width` pixels wide; a `width` of 0 means
that they are square. `channels` bytes are a pixel: 1 of a grey image, else 3, red, green and blue. Classes travel as
`labels.py` says.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tui_vae.config import MAX_BETA, MAX_DEVICES, MAX_EPOCHS, MAX_LR
from tui_vae.runs.float_arrays import FLOAT_BYTES
from tui_vae.runs.foreign_text import cleaned
from tui_vae.runs.labels import check_labels
from tui_vae.runs.reply_checks import check_floats, check_images, check_length

MAX_FRAME = 64 << 20
"""Bytes of a message: twice what `MAX_IMAGES` images of 64×64 pixels take with their reconstructions."""

MAX_IMAGES = 4096
"""Images in one answer: more than a page of any terminal shows."""

MAX_LATENT_BYTES = MAX_IMAGES * 4096
"""Bytes of the latents of one `Decode`, a quarter of `MAX_FRAME`: `MAX_IMAGES` latents of 1024 float32 numbers."""

MAX_NEIGHBOURS = 64
"""Nearest training images in one answer: more than stand in a row of any terminal."""

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


class Resume(Request, frozen=True, kw_only=True, omit_defaults=True):
    """Go on training. `epochs` more than planned; a finished run needs them. `lr_factor`: as in `Set`, in force before
    the first step. `devices`: how many, of a run that nobody trains now. An older process is sent what is asked for."""

    epochs: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)] = 0
    lr_factor: Factor | None = None
    devices: Annotated[int, Meta(ge=1, le=MAX_DEVICES)] | Literal["auto"] | None = None


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
    """Decoded latents, drawn from the Gaussian fitted to the encoder's z, or from the prior N(0, I).

    `label`: the Gaussian is fitted to the images of this class alone; None: to all.
    """

    count: Annotated[int, Meta(ge=1, le=MAX_IMAGES)]
    source: Literal["fitted", "prior"] = "fitted"
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
    label: Annotated[int, Meta(ge=0, lt=2**16)] | None = None

    def __post_init__(self) -> None:
        if self.label is not None and self.source == "prior":
            raise ValueError("the prior knows no classes")


class Decode(Request, frozen=True, kw_only=True):
    """Images of given latents: little-endian float32, `latent_dim` numbers each."""

    z: Annotated[bytes, Meta(min_length=4, max_length=MAX_LATENT_BYTES)]


class Map(Request, frozen=True):
    """The plane of the two main directions of the posterior means, and where the test images lie on it."""


class Nearest(Request, frozen=True, kw_only=True):
    """The training images nearest to the decoded image of a latent: little-endian float32, `latent_dim` numbers."""

    z: Annotated[bytes, Meta(min_length=4, max_length=MAX_LATENT_BYTES)]
    count: Annotated[int, Meta(ge=1, le=MAX_NEIGHBOURS)] = 8


class SplitKl(Request, frozen=True):
    """The parts of the mean KL of the test images, and the aggregated posterior of each dimension."""


CONTROLS = (Pause, Resume, Stop, Checkpoint, Set)
"""Requests that change the run, which only its own process obeys; the others are questions about the model."""

AnyRequest = (
    Pause
    | Resume
    | Stop
    | Checkpoint
    | Set
    | Describe
    | Reconstruct
    | TestErrors
    | Sample
    | Decode
    | Map
    | Nearest
    | SplitKl
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A reply whose parts do not fit each other cannot be made or decoded, so that whoever shows it need not ask."""


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
        check_length(self.mse, count)
        check_images(self.originals, count, self.width, self.channels)
        check_images(self.reconstructions, count, self.width, self.channels)
        check_length(self.reconstructions, len(self.originals))
        check_floats(self.mu, len(self.mu) // FLOAT_BYTES // max(1, count) * count)


class Errors(Reply, frozen=True, kw_only=True):
    """`mse`: little-endian float32, one for each test image in order; `labels`: their classes."""

    epoch: int
    step: int
    mse: bytes
    labels: bytes

    def __post_init__(self) -> None:
        count = len(self.mse) // FLOAT_BYTES
        check_floats(self.mse, count)
        check_labels(self.labels, count)


class Samples(Reply, frozen=True, kw_only=True):
    """Decoded samples, image after image. `source`: `fitted` or `prior`. `z`: their latents, little-endian float32."""

    epoch: int
    step: int
    source: str
    images: bytes
    width: int = 0
    channels: int = 1
    z: bytes = b""


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
            check_floats(data, count * self.latent_dim)
        count = len(self.points) // (2 * FLOAT_BYTES)
        check_floats(self.points, 2 * count)
        check_labels(self.labels, count)
        for numbers in (self.kl_per_dim, self.deviations):
            check_length(numbers, self.latent_dim)


class Neighbours(Reply, frozen=True, kw_only=True):
    """Training images, the nearest first: their `indices` in the training set, and `mse`: mean squared distance of a
    pixel on [0, 1]. `usual`: that of reconstructions of test images from the images nearest to them, in order."""

    epoch: int
    step: int
    indices: tuple[int, ...]
    labels: bytes
    images: bytes
    mse: tuple[float, ...]
    usual: tuple[float, ...]
    width: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        count = len(self.indices)
        check_labels(self.labels, count)
        check_length(self.mse, max(1, count))
        check_images(self.images, count, self.width, self.channels)


class KlSplit(Reply, frozen=True, kw_only=True):
    """Nats, of `images` test images: `kl` = mutual_information + total_correlation + the sum of `per_dimension`.

    The mutual information is at most ln `images`; `standard_error` is its own and the total correlation's, from `draws`
    samples of z. per_dimension: KL(q(z_j) ‖ N(0, 1)) of each latent dimension.

    The others are little-endian float32. low, high: one for each dimension, where its axis begins and ends. density:
    q(z_j) at `points` points from low to high, of one dimension after the other; means: the density of the posterior
    means in as many bins of equal width.
    """

    epoch: int
    step: int
    images: int
    draws: int
    kl: float
    mutual_information: float
    total_correlation: float
    standard_error: float
    per_dimension: tuple[float, ...]
    points: int
    low: bytes
    high: bytes
    density: bytes
    means: bytes

    def __post_init__(self) -> None:
        if self.points < 2 or self.images < 1:
            raise ValueError("a split of nothing")
        for data, count in ((self.low, 1), (self.high, 1), (self.density, self.points), (self.means, self.points)):
            check_floats(data, count * len(self.per_dimension))


AnyReply = Failure | Done | Description | Reconstructions | Errors | Samples | Images | LatentMap | Neighbours | KlSplit

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
