"""What each of Latent's views of images requests from the model, and how it shows the answer."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

from textual.geometry import Size

from tui_vae.runs import protocol
from tui_vae.runs.client import LOADING_LIMIT, OTHER_VERSION, RequestError
from tui_vae.runs.float_arrays import decode_floats, encode_floats
from tui_vae.runs.labels import decode_labels
from tui_vae.runs.reply_checks import check_images
from tui_vae.ui.fitting import beside_figure
from tui_vae.ui.images.picture import Picture, split
from tui_vae.ui.images.renderer import cells
from tui_vae.ui.latent.choices import Choices
from tui_vae.ui.latent.image_board import Captioned, ImageBoard, Line
from tui_vae.ui.latent.plane import Latent, Plane, Point, along_sphere, between
from tui_vae.ui.latent.plane_view import CursorImage
from tui_vae.ui.session import RunSession
from tui_vae.ui.test_set import TestSet

REACH = 3.0
"""Standard deviations that a traversal goes to either side of the mean: 99.7% of a Gaussian."""


async def decode(session: RunSession, latents: Sequence[Latent]) -> protocol.Images:
    """The decoder's images of some latents.

    Raises:
        UserError: the model cannot be asked.
    """
    z = encode_floats(array("f", chain.from_iterable(latents)))
    reply = await session.ask(protocol.Decode(z=z), protocol.Images)
    try:
        check_images(reply.images, len(latents), reply.width, reply.channels)
    except ValueError:
        raise RequestError(f"run {session.name!r} answered something unknown", OTHER_VERSION) from None
    return reply


async def decode_cursor(
    session: RunSession, image: CursorImage, plane: Plane, cursor: Point, test_set: TestSet
) -> protocol.Images:
    """Show the decoded image of the cursor's latent, and which test image lies nearest.

    Raises:
        UserError: the model cannot be asked.
    """
    reply = await decode(session, [plane.latent(*cursor)])
    nearest = plane.nearest(*cursor)
    near = ("", "") if nearest is None else (f"near #{nearest}", test_set.name_of(nearest))
    [picture] = _pictures(reply, 1)
    image.show(picture, cursor, near)
    return reply


async def traverse(
    session: RunSession, board: ImageBoard, room: Size, plane: Plane, choices: Choices, base: Latent
) -> protocol.Images:
    """Show a row of images for each dimension, as many as fit, the selected one among them. Along a row one dimension
    of the latent `base` changes.

    Raises:
        UserError: the model cannot be asked.
    """
    grid = board.board(room)
    order, chosen = choices.order(plane), choices.dimension
    first = max(0, min(order.index(chosen) // grid.rows * grid.rows, len(order) - grid.rows))
    rows = order[first : first + grid.rows]
    half = max(1, grid.columns // 2)
    reaches = [REACH * column / half for column in range(-half, half + 1)][: grid.columns]
    latents = [z for each in rows for z in plane.traversal(base, each, reaches)]
    reply = await decode(session, latents)
    images = _pictures(reply, len(latents))
    heads = [_head(plane, each, chosen, room.width - grid.left) for each in rows]
    board.show([Captioned(image) for image in images], heads)
    return reply


def _head(plane: Plane, dimension: int, chosen: int, width: int) -> Line:
    """The line above a dimension's row: its KL, and with it, where there is room, what else is known."""
    here = dimension == chosen
    ink = "accent" if here else "text"
    state = "" if plane.active(dimension) else "   inactive"
    reach = f"   −{REACH:.0f}σ … +{REACH:.0f}σ" if here else ""
    parts = (
        ("▸ " if here else "  ", "accent"), (f"z {dimension}", ink), ("   KL ", "label"),
        (f"{plane.kl[dimension]:.2f}", ink), (" nats   σ ", "label"), (f"{plane.spread(dimension):.2f}", ink),
        (state, "accent"), (reach, "label"),
    )  # fmt: skip
    return parts if sum(len(text) for text, _ in parts) <= width else (*parts[:4], (" nats", "label"))


async def base_of(session: RunSession, plane: Plane, cursor: Point, image: int | None) -> Latent:
    """The latent that traversals and the grid go through: the posterior mean of a test image, else the cursor's.

    Raises:
        UserError: the model cannot be asked.
    """
    if image is None:
        return plane.latent(*cursor)
    reply = await session.ask(protocol.Reconstruct(indices=[image]), protocol.Reconstructions)
    mu = decode_floats(reply.mu)
    return mu if len(mu) == plane.latent_dim else plane.latent(*cursor)


async def decode_grid(
    session: RunSession, board: ImageBoard, room: Size, plane: Plane, choices: Choices, base: Latent
) -> protocol.Images:
    """Show a page of decoded images over two dimensions or main directions.

    Raises:
        UserError: the model cannot be asked.
    """
    grid = board.board(room)
    latents = plane.grid(base, choices.across, choices.up, grid.columns, grid.rows)
    reply = await decode(session, latents)
    board.show([Captioned(image) for image in _pictures(reply, len(latents))])
    return reply


async def interpolate(
    session: RunSession, board: ImageBoard, room: Size, ends: list[int], test_set: TestSet, sphere: bool
) -> protocol.Images | None:
    """Show two test images, and between them decoded latents on the straight line from the posterior mean of the first
    to that of the second, or on the great circle (`sphere`). None is returned where no image has room between them.

    Raises:
        UserError: the model cannot be asked.
    """
    grid = board.board(room)
    steps = grid.capacity - 2
    pair = await session.ask(protocol.Reconstruct(indices=ends), protocol.Reconstructions)
    mu = decode_floats(pair.mu)
    latent_dim = len(mu) // 2
    if not latent_dim:
        return None
    reply, decoded = None, []
    if steps >= 1:
        path = along_sphere if sphere else between
        reply = await decode(session, path(mu[:latent_dim], mu[latent_dim:], steps))
        decoded = [
            Captioned(image, ((f"{step / max(1, steps - 1):.2f}", "label"),))
            for step, image in enumerate(_pictures(reply, steps))
        ]
    originals = split(pair.originals, 2, pair.width, pair.channels)
    first, last = (
        Captioned(image, _caption(letter, test_set.name_of(index), f"  #{index}", cells(grid.scale).width))
        for letter, image, index in zip("ab", originals, ends, strict=True)
    )
    board.show([first, *decoded, last])
    return reply


def _caption(letter: str, name: str, index: str, width: int) -> Line:
    return (f"{letter} ", "accent"), (beside_figure(name, f"{letter} {index}", width), "text"), (index, "label")


async def sample(session: RunSession, board: ImageBoard, room: Size, choices: Choices) -> protocol.Samples:
    """Show a page of samples.

    Raises:
        UserError: the model cannot be asked.
    """
    count = min(board.board(room).capacity, protocol.MAX_IMAGES)
    request = protocol.Sample(count=count, source=choices.source, seed=choices.seed, label=choices.sample_label)
    reply = await session.ask(request, protocol.Samples)
    choices.sample = min(choices.sample, count - 1)
    board.selected = choices.sample
    board.show([Captioned(image) for image in _pictures(reply, count)])
    return reply


async def nearest(
    session: RunSession, board: ImageBoard, room: Size, sample: Picture, z: bytes, test_set: TestSet
) -> protocol.Neighbours:
    """Show a sample, and the training images nearest to it. z: its latent.

    Raises:
        UserError: the model cannot be asked.
    """
    count = max(1, min(board.board(room).capacity - 1, protocol.MAX_NEIGHBOURS))
    if not board.pictures:
        board.show([Captioned(sample, (("sample", "accent"),))], [(("searching all training images …", "note"),)])
    request = protocol.Nearest(z=z, count=count)
    reply = await session.ask(request, protocol.Neighbours, timeout=LOADING_LIMIT)
    labels = decode_labels(reply.labels, len(reply.indices))
    images = split(reply.images, len(reply.indices), reply.width, reply.channels)
    found = []
    for number, image in enumerate(images):
        name = test_set.name(labels[number]) if len(labels) else f"#{reply.indices[number]}"
        found.append(Captioned(image, ((f"{reply.mse[number]:.4f} ", "text"), (name, "label"))))
    board.show([Captioned(sample, (("sample", "accent"),)), *found], [verdict(reply)])
    return reply


def verdict(reply: protocol.Neighbours) -> Line:
    """How near the nearest training image is, measured by how near reconstructions of test images are to theirs."""
    found, usual = reply.mse[0], reply.usual
    nearer = sum(found < each for each in usual)
    line: list[tuple[str, str]] = [("nearest: mse ", "label"), (f"{found:.4f}", "text")]
    if usual:
        line += [(f" · test reconstructions {usual[0]:.4f} … {usual[-1]:.4f}", "label")]
        far = "memorized?" if nearer == len(usual) else f"nearer than {nearer} of {len(usual)}"
        line += [(f" · {far}", "accent" if nearer == len(usual) else "text")]
    return tuple(line)


def _pictures(reply: protocol.Images | protocol.Samples, count: int) -> list[Picture]:
    return split(reply.images, count, reply.width, reply.channels)
