"""Targets: frames on the socket in both directions, arrays of numbers, and the bytes of a terminal."""

from __future__ import annotations

import socket
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from textual import events
from textual.drivers import linux_driver

from tests.fuzz.inputs import MOST_NESTED, changed, floats, json_values, noisy, odd_objects, texts, whole_numbers
from tests.fuzz.target import Check, Target
from tui_vae.config import make_config
from tui_vae.errors import UserError
from tui_vae.plain_text import plain
from tui_vae.runs import protocol
from tui_vae.runs.client import request
from tui_vae.runs.create import create_run
from tui_vae.runs.float_arrays import decode_floats, encode_floats
from tui_vae.runs.labels import decode_labels
from tui_vae.runs.lock import RunLock
from tui_vae.trainer.server import Inbox, Server
from tui_vae.ui.browse.selection import ImageErrors
from tui_vae.ui.images.picture import split
from tui_vae.ui.latent.answers import verdict
from tui_vae.ui.latent.kl_split import distributions, draw_distribution, words_of
from tui_vae.ui.latent.plane import along_sphere, extent_of, plane_of
from tui_vae.ui.test_set import TestSet, pairs_of, test_set_of
from tui_vae.ui.workarounds.terminal_end import prepare_input

# -- Arrays of numbers -------------------------------------------------------------------------------------------------


@contextmanager
def open_floats(folder: Path) -> Iterator[Check]:
    def check(data: bytes) -> None:
        with suppress(ValueError):
            assert encode_floats(decode_floats(data)) == data
            return
        assert len(data) % 4

    yield check


# -- Requests, as the trainer's server hears them ----------------------------------------------------------------------

REQUESTS = (protocol.Pause(), protocol.Resume(epochs=2), protocol.Stop(), protocol.Checkpoint(), protocol.Set(lr=1e-3),
            protocol.Describe(), protocol.Reconstruct(indices=[0, 1]), protocol.TestErrors(), protocol.Map(),
            protocol.Sample(count=2), protocol.Decode(z=bytes(8)),
            protocol.Nearest(z=bytes(8)), protocol.SplitKl())  # fmt: skip
REQUEST_FRAMES = [protocol.frame(each) for each in REQUESTS]


def framed(body: bytes, claimed: int | None = None) -> bytes:
    return (len(body) if claimed is None else claimed).to_bytes(4, "big") + body


def odd_bodies(messages: tuple[msgspec.Struct, ...]) -> st.SearchStrategy[bytes]:
    """Messages with odd values in place of some, and MessagePack of anything."""
    samples = [msgspec.msgpack.decode(msgspec.msgpack.encode(each)) for each in messages]

    def encoded(value: Any) -> bytes:
        try:
            return msgspec.msgpack.encode(value)
        except OverflowError:  # MessagePack has whole numbers of 64 bits at most
            return b""

    return st.one_of(odd_objects(samples).map(encoded), json_values.map(encoded))


claims = st.sampled_from([None, None, None, 0, 1, 1 << 16, protocol.MAX_FRAME, protocol.MAX_FRAME + 1, 2**32 - 1])
request_bytes = st.lists(
    st.one_of(noisy(REQUEST_FRAMES), st.builds(framed, odd_bodies(REQUESTS), claims)), min_size=1, max_size=3
).map(b"".join)


@contextmanager
def open_server(folder: Path) -> Iterator[Check]:
    directory, _ = create_run(folder, make_config({}))
    lock, inbox, ended = RunLock(directory, "serve"), Inbox(), threading.Event()
    server = Server(lambda: directory.socket, lock, inbox)
    server.start()

    def answer() -> None:
        while not ended.is_set():
            ticket = inbox.wait(0.2)
            if ticket is not None:
                assert type(ticket.request) in map(type, REQUESTS)
                ticket.answer(protocol.Failure(message="heard"))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    def check(data: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(directory.socket))
            with suppress(ConnectionError):  # it has hung up on the first frame that is none
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            answers = b""
            with suppress(ConnectionError):
                while part := client.recv(1 << 16):
                    answers += part
        while answers:
            length = protocol.frame_length(answers[:4])
            assert isinstance(protocol.decode_reply(answers[4 : 4 + length]), protocol.Failure)
            answers = answers[4 + length :]

    try:
        yield check
        assert thread.is_alive()
        try:  # it still answers after all of them
            request(directory, protocol.Describe(), protocol.Description)
        except UserError as error:
            assert error.message == "heard"
    finally:
        server.close()
        ended.set()
        thread.join()
        lock.release()


# -- Replies, as a client hears them -----------------------------------------------------------------------------------

FLOATS = encode_floats(array("f", [1.0, 2.0]))
REPLIES: tuple[protocol.Reply, ...] = (
    protocol.Failure(message="no", hint="yes"),
    protocol.Done(epoch=1, step=2, lr=1e-3, beta=1.0, rising_to=2.0),
    protocol.Description(state="serving", epoch=1, step=2, classes=("a", "b"), labels=b"\0\1", previews=(0, 1)),
    protocol.Reconstructions(epoch=1, step=2, indices=(0, 1), labels=b"\0\1", originals=bytes(8),
                             reconstructions=bytes(8), mse=(0.1, 0.2), mu=FLOATS * 2, width=2),
    protocol.Errors(epoch=1, step=2, mse=FLOATS, labels=b"\0\1"),
    protocol.Samples(epoch=1, step=2, source="prior", images=bytes(8), width=2),
    protocol.Images(epoch=1, step=2, images=bytes(8), width=2),
    protocol.LatentMap(epoch=1, step=2, latent_dim=2, origin=FLOATS, directions=FLOATS * 2, points=FLOATS * 2,
                       labels=b"\0\1", explained=(0.5, 0.25), kl_per_dim=(1.0, 0.0), deviations=(1.0, 0.0)),
    protocol.Neighbours(epoch=1, step=2, indices=(0, 1), labels=b"\0\1", images=bytes(8), mse=(0.1, 0.2), usual=(0.1,),
                        width=2),
    protocol.KlSplit(epoch=1, step=2, images=2, draws=2, kl=1.0, mutual_information=0.5, total_correlation=0.25,
                     standard_error=0.1, per_dimension=(0.25,), points=2, low=FLOATS[:4], high=FLOATS[4:],
                     density=FLOATS, means=FLOATS),
)  # fmt: skip
REPLY_FRAMES = [protocol.frame(each) for each in REPLIES]  # type: ignore[arg-type]
some_floats = st.lists(floats, max_size=6).map(tuple)
number_bytes = st.one_of(st.binary(max_size=24), st.integers(0, 6).map(lambda count: bytes(4 * count)))
built_replies: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, type=st.just("Reconstructions"), epoch=st.just(1), step=st.just(2),
              indices=st.lists(whole_numbers, max_size=3), labels=st.binary(max_size=3),
              originals=st.binary(max_size=9), reconstructions=st.binary(max_size=9),
              mse=some_floats, mu=number_bytes, width=st.integers(-1, 5)),
    st.builds(dict, type=st.just("LatentMap"), epoch=st.just(1), step=st.just(2), latent_dim=st.integers(-1, 4),
              origin=number_bytes, directions=number_bytes, points=number_bytes, labels=st.binary(max_size=4),
              explained=st.tuples(floats, floats), kl_per_dim=some_floats, deviations=some_floats),
    st.builds(dict, type=st.just("Errors"), epoch=st.just(1), step=st.just(2), mse=number_bytes,
              labels=st.binary(max_size=4)),
    st.builds(dict, type=st.just("Neighbours"), epoch=st.just(1), step=st.just(2), labels=st.binary(max_size=3),
              indices=st.lists(whole_numbers, max_size=3), images=st.binary(max_size=9), mse=some_floats,
              usual=some_floats, width=st.integers(-1, 5)),
    st.builds(dict, type=st.just("KlSplit"), epoch=st.just(1), step=st.just(2), images=st.integers(-1, 9),
              draws=st.just(1), kl=floats, mutual_information=floats, total_correlation=floats, standard_error=floats,
              per_dimension=some_floats, points=st.integers(-1, 3), low=number_bytes, high=number_bytes,
              density=number_bytes, means=number_bytes),
    st.builds(dict, type=st.just("Images"), epoch=st.just(1), step=st.just(2), images=st.binary(max_size=9),
              width=st.integers(-1, 5)),
    st.builds(dict, type=st.just("Description"), state=texts, epoch=st.just(1), step=st.just(2),
              classes=st.lists(texts, max_size=3), labels=st.binary(max_size=4), height=st.integers(-1, 30),
              previews=st.lists(whole_numbers, max_size=3), width=st.integers(-1, 30)),
)  # fmt: skip
nested_replies = st.integers(0, MOST_NESTED).map(lambda depth: b"\x82\xa4type\xa4Done\xa1x" + b"\x91" * depth + b"\xc0")
"""A field that this version skips, with lists inside each other."""

reply_bytes = st.one_of(
    nested_replies.map(framed),
    changed(REPLY_FRAMES),
    noisy(REPLY_FRAMES),
    st.builds(framed, odd_bodies(REPLIES), claims),
    built_replies.map(lambda each: framed(msgspec.msgpack.encode(each))),
)
EXPECTED = {type(each).__name__: type(each) for each in REPLIES}


def use(reply: protocol.Reply) -> None:
    """What the panes do with a reply, as far as that needs no screen."""
    test_set = TestSet(("a", "b"), b"\0\1")
    match reply:
        case protocol.Description():
            found = test_set_of(reply)
            for label in {*found.labels}:
                found.chosen(label, None)
                assert found.name(label) == plain(found.name(label))
        case protocol.Reconstructions():
            for pair in pairs_of(reply, test_set):
                assert pair.original is not None and pair.mse is not None
                for picture in (pair.original, pair.reconstruction):
                    assert picture.height > 0
        case protocol.Errors():
            errors = ImageErrors.of(reply).errors
            found = TestSet(test_set.classes, decode_labels(reply.labels, len(errors)), len(errors))
            found.chosen(None, errors)
            found.by_class(errors)
        case protocol.LatentMap():
            plane = plane_of(reply)
            plane = plane_of(reply, plane)
            extent_of(plane, extent_of(plane))
            plane.latent(*plane.home)
            plane.nearest(0.0, 0.0)
            plane.ends({"a": 1})
            for dimension in plane.by_kl():
                plane.traversal(plane.latent(0.0, 1.0), dimension, [1.0])
                plane.grid(plane.latent(0.0, 1.0), dimension, None, 2, 2)
            between_ends = along_sphere(plane.origin, plane.latent(1.0, 1.0), 3)
            assert len(between_ends) == 3
        case protocol.Neighbours():
            assert verdict(reply)
            split(reply.images, len(reply.indices), reply.width, reply.channels)
        case protocol.KlSplit():
            for width in (10, 200):
                words_of(reply, width)
            for distribution in distributions(reply):
                assert [len(row) for row in draw_distribution(distribution, 9, 3)] == [9] * 3


@contextmanager
def open_client(folder: Path) -> Iterator[Check]:
    directory, _ = create_run(folder, make_config({}))
    directory.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory.socket))
    listener.listen(4)
    said: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(said[-1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def check(data: bytes) -> None:
        said[:] = [data]
        name = next((name for name in EXPECTED if name.encode() in data), "Done")
        try:
            reply = request(directory, protocol.Describe(), EXPECTED[name], 10.0)
        except UserError:
            return
        use(reply)

    try:
        yield check
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


# -- What a terminal sends ---------------------------------------------------------------------------------------------

KEYS = [
    b"a",
    b"\x1b",
    b"\x1b[A",
    b"\x1bOP",
    b"\x1b[15;5~",
    b"\x1b[97;5u",
    b"\x1b[97:65;2:1u",
    b"\x1b[57441;2:3u",
    b"\x1b[<35;10;20M",
    b"\x1b[<0;1;1m",
    b"\x1b[M !!",
    b"\x1b[200~pasted\x1b[201~",
    b"\x1b[48;24;80;480;800t",
    b"\x1b[?2026;2$y",
    b"\x1b[?2048;1$y",
    b"\x1b[10;20R",
    b"\x1b[I",
    b"\x1b[O",
    "ä€😀".encode(),
    b"\xe4\xff\x80",
]
numbers = st.one_of(st.integers(0, 300), st.sampled_from([0, 0x10FFFF, 0x110000, 2**31, 2**64, 10**30])).map(str)
sequences = st.builds(
    lambda head, parts, joint, end: f"\x1b[{head}{joint.join(parts)}{end}".encode(),
    st.sampled_from(["", "<", "?", "48;", ">", "="]),
    st.lists(numbers, max_size=5),
    st.sampled_from([";", ":"]),
    st.sampled_from(["u", "~", "M", "m", "t", "R", "$y", "A", "P", "c", "I"]),
)
key_bytes = st.lists(st.one_of(sequences, noisy(KEYS), st.sampled_from(KEYS)), max_size=4)


@contextmanager
def open_keys(folder: Path) -> Iterator[Check]:
    prepare_input()

    def check(reads: list[bytes]) -> None:
        decode = vars(linux_driver)["getincrementaldecoder"]("utf-8")().decode
        parser = vars(linux_driver)["XTermParser"]()
        found: list[Any] = []
        for data in reads:
            if text := decode(data):
                found += parser.feed(text)
            found += parser.tick()
        found += parser.feed(decode(b"\x1b[201~z\x1b[201~", final=True))  # ends what is pasted
        keys = [event.key for event in found if isinstance(event, events.Key)]
        assert keys[-1:] == ["z"] or any(isinstance(event, events.Paste) for event in found)

    yield check


MESSAGES = (
    Target("floats", st.binary(max_size=40), open_floats),
    Target("request", request_bytes, open_server, 3),
    Target("reply", reply_bytes, open_client, 3),
    Target("key", key_bytes, open_keys, 3),
)
