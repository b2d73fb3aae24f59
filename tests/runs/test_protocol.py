"""The bounds of messages."""

import sys
from typing import Any

import msgspec
import pytest

from tui_vae.runs import protocol
from tui_vae.runs.client import check_answer
from tui_vae.runs.reply_sizes import most_reconstructions


@pytest.mark.parametrize("pixels", [28 * 28, 64 * 64])
@pytest.mark.parametrize("latent_dim", [32, 4096])
def test_a_reply_with_as_many_reconstructions_as_it_holds_is_one_message(pixels: int, latent_dim: int) -> None:
    count = most_reconstructions(pixels, latent_dim)
    images = bytes(count * pixels)
    longest = protocol.Reconstructions(
        epoch=2**53, step=2**53, indices=(2**53,) * count, labels=bytes(2 * count), originals=images,
        reconstructions=images, mse=(sys.float_info.max,) * count, mu=bytes(4 * count * latent_dim),
        width=64 if pixels % 64 == 0 else 28,
    )  # fmt: skip
    size = protocol.frame_length(protocol.frame(longest)[: protocol.HEADER_LENGTH])
    assert count == protocol.MAX_IMAGES or size > 0.99 * protocol.MAX_FRAME
    assert (count < protocol.MAX_IMAGES) == (latent_dim == 4096)


FLOATS = bytes(4)
MAP = {"type": "LatentMap", "epoch": 0, "step": 0, "latent_dim": 1, "origin": FLOATS, "directions": 2 * FLOATS,
       "points": 2 * FLOATS, "labels": b"0", "explained": [1.0, 0.0], "kl_per_dim": [0.0],
       "deviations": [0.0]}  # fmt: skip
PAIR = {"type": "Reconstructions", "epoch": 0, "step": 0, "indices": [3], "labels": b"0", "originals": bytes(6),
        "reconstructions": bytes(6), "mse": [0.1], "mu": FLOATS, "width": 2}  # fmt: skip
ERRORS = {"type": "Errors", "epoch": 0, "step": 0, "mse": FLOATS, "labels": b"0"}


@pytest.mark.parametrize(
    ("reply", "field", "value"),
    [(PAIR, "indices", []), (PAIR, "labels", b"012"), (PAIR, "mse", [0.1, 0.2]), (PAIR, "originals", bytes(7)),
     (PAIR, "originals", bytes(4)), (PAIR, "reconstructions", b""), (PAIR, "mu", bytes(3)), (PAIR, "width", 4),
     (PAIR, "width", 0), (PAIR, "channels", 2), (PAIR, "channels", 0),
     (PAIR, "width", -1), (ERRORS, "mse", bytes(5)), (ERRORS, "labels", b"012"),
     (MAP, "latent_dim", 0), (MAP, "latent_dim", 2), (MAP, "origin", b""), (MAP, "directions", FLOATS),
     (MAP, "points", FLOATS), (MAP, "labels", b"012"), (MAP, "kl_per_dim", []), (MAP, "deviations", [1.0, 2.0])],
)  # fmt: skip
def test_a_reply_whose_parts_do_not_fit_is_none(reply: dict[str, Any], field: str, value: object) -> None:
    """Panes index one part by another: what does not fit raised IndexError and ValueError in the app."""
    protocol.decode_reply(msgspec.msgpack.encode(reply))
    with pytest.raises(msgspec.DecodeError):
        protocol.decode_reply(msgspec.msgpack.encode({**reply, field: value}))


def test_an_answer_is_about_what_was_requested() -> None:
    reply = protocol.decode_reply(msgspec.msgpack.encode(PAIR))
    check_answer(protocol.Reconstruct(indices=[3]), reply)
    with pytest.raises(ValueError, match="other images"):
        check_answer(protocol.Reconstruct(indices=[3, 4]), reply)
    with pytest.raises(ValueError, match="2 images"):
        check_answer(
            protocol.Sample(count=2), protocol.Samples(epoch=0, step=0, source="prior", images=bytes(9), width=3)
        )
