"""The bounds of messages."""

import sys

import pytest

from tui_vae.runs import protocol


@pytest.mark.parametrize("pixels", [28 * 28, 64 * 64])
@pytest.mark.parametrize("latent_dim", [32, 4096])
def test_a_reply_with_as_many_reconstructions_as_it_holds_is_one_message(pixels: int, latent_dim: int) -> None:
    count = protocol.most_reconstructions(pixels, latent_dim)
    images = bytes(count * pixels)
    longest = protocol.Reconstructions(
        epoch=2**53, step=2**53, indices=(2**53,) * count, labels=bytes(count), originals=images,
        reconstructions=images, mse=(sys.float_info.max,) * count, mu=bytes(4 * count * latent_dim), width=64,
    )  # fmt: skip
    size = protocol.frame_length(protocol.frame(longest)[: protocol.HEADER_LENGTH])
    assert count == protocol.MAX_IMAGES or size > 0.99 * protocol.MAX_FRAME
    assert (count < protocol.MAX_IMAGES) == (latent_dim == 4096)
