"""A run as a trainer would have left it, and a stand-in for its process: a real log, a real lock, a real socket."""

import gzip
import math
import random
import socket
import struct
import threading
import time
from array import array
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal, Self

from tests.support.log_events import metrics
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.float_arrays import encode_floats
from tui_vae.runs.lock import RunLock
from tui_vae.runs.previews import Originals, write_originals, write_preview

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SIDE, PIXELS = 28, 784
TEST_IMAGES = 200


@cache
def images() -> list[bytes]:
    """Test images: the real ones where the machine has them, else discs and stripes that look like something."""
    real = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
    if real.exists():
        data = gzip.decompress(real.read_bytes())[16:]
        return [data[at * PIXELS : (at + 1) * PIXELS] for at in range(TEST_IMAGES)]
    return [
        bytes(
            int(255 * max(0.0, 1 - math.hypot(x - 14, y - 14) / (6 + at % 9))) if (x + at) % 5 else 0
            for y in range(SIDE)
            for x in range(SIDE)
        )
        for at in range(TEST_IMAGES)
    ]


def labels() -> bytes:
    return bytes(at % len(CLASSES) for at in range(TEST_IMAGES))


def blurred(image: bytes, step: int) -> bytes:
    """What a young network makes of an image: its neighbourhood's mean, the fainter the younger it is."""
    strength = step / (step + 400)
    out = bytearray(PIXELS)
    for y in range(1, SIDE - 1):
        for x in range(1, SIDE - 1):
            at = y * SIDE + x
            mean = (2 * image[at] + image[at - 1] + image[at + 1] + image[at - SIDE] + image[at + SIDE]) // 6
            out[at] = int(mean * strength + 60 * (1 - strength))
    return bytes(out)


def error(original: bytes, reconstruction: bytes) -> float:
    return sum((a - b) ** 2 for a, b in zip(original, reconstruction, strict=True)) / PIXELS / 255**2


def figures_after(epoch: float) -> ev.Metrics:
    """The figures of a run after so many epochs: they improve ever more slowly."""
    level = math.exp(-epoch / 3)
    return metrics(
        -1100 + 500 * level, recon=27 + 60 * level, kl=64 - 40 * level, mse=0.0084 + 0.03 * level,
        accuracy=0.95 - 0.2 * level, elbo_bpd=6.74 + level,
    )  # fmt: skip


def make_run(
    runs_dir: Path, name: str = "fashion-1", epochs: int = 7, planned: int = 10,
    state: ev.RunState = "finished", t: float | None = None, **settings: object,
) -> RunDirectory:  # fmt: skip
    """A run with a log as long as that, and previews; `settings`: options in its config."""
    config = make_config({"name": name, "epochs": planned, **settings})
    directory, config = create_run(runs_dir, config)
    start = (t or time.time()) - epochs * 3
    log = ev.EventLog(directory.events)
    facts = ev.DatasetFacts("fashion-mnist", "here", 60000, 10000, CLASSES, (1, SIDE, SIDE))
    log.write(ev.RunEvent(
        t=start, name=name, config=config.to_dict(), device="cpu", dataset=facts, parameters=1_090_000, versions={},
        device_name="EPYC", threads=2, precision="bfloat16", epochs=planned, steps_per_epoch=235,
    ))  # fmt: skip
    log.write(ev.StateEvent(t=start, state="training"))
    dice = random.Random(0)
    for step in range(47, epochs * 235 + 1, 47):
        epoch = step / 235
        m, noise = figures_after(epoch), dice.gauss(0, 1)
        log.write(ev.StepEvent(
            t=start + 3 * epoch, epoch=math.ceil(epoch), step=step, images=step * 256, loss=(m.loss or 0) + 9 * noise,
            recon=(m.recon or 0) + noise, kl=(m.kl or 0) + noise, lr=2e-3, beta=1.0, images_per_s=26000 + 500 * noise,
        ))  # fmt: skip
        if step % 235 == 0:
            write_epoch(log, directory, step // 235, start + 3 * epoch)
    log.write(ev.StateEvent(t=start + 3 * epochs, state=state))
    log.close()
    return directory


def write_epoch(log: ev.EventLog, directory: RunDirectory, epoch: int, t: float) -> None:
    """What an epoch's end leaves in the log and among the previews."""
    chosen = images()[:10]
    write_originals(directory.previews, Originals(tuple(chosen), tuple(range(10)), tuple(labels()[:10]), SIDE))
    file = write_preview(directory.previews, epoch, [blurred(image, epoch * 235) for image in chosen], SIDE)
    seconds = 2.6
    log.write(ev.EpochEvent(t=t, epoch=epoch, step=epoch * 235, seconds=seconds, images_per_s=26000.0,
                            train=figures_after(epoch + 0.3), test=figures_after(epoch)))  # fmt: skip
    log.write(ev.PreviewEvent(t=t, epoch=epoch, file=file))
    log.write(ev.CheckpointEvent(t=t, epoch=epoch, step=epoch * 235, file="last.safetensors", best=True))


class FakeProcess:
    """Holds a run's lock and answers its socket as a trainer would; `asked` keeps what it was asked."""

    def __init__(
        self, directory: RunDirectory, mode: Literal["train", "serve"] = "train", step: int = 1645,
        read_only: bool = False,
    ) -> None:  # fmt: skip
        self.directory, self.mode, self.step = directory, mode, step
        self.lr, self.beta = 2e-3, 1.0
        self.asked: list[protocol.AnyRequest] = []
        self._lock = RunLock(directory, mode, read_only)
        place = directory.serving_files(read_only).socket
        place.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(place))
        self._socket.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.die()

    def die(self) -> None:
        """As by kill -9: the kernel frees the lock and nobody listens any more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # closing alone leaves a last accept waiting
        self._socket.close()
        self._lock.release()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
                with connection, connection.makefile("rwb") as stream:
                    (length,) = struct.unpack(">I", stream.read(4))
                    request = protocol.decode_request(stream.read(length))
                    self.asked.append(request)
                    stream.write(protocol.frame(self._answer(request)))
            except OSError:
                return

    def log(self, *events: ev.AnyEvent) -> None:
        log = ev.EventLog(self.directory.events)
        for event in events:
            log.write(event)
        log.close()

    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        epoch = self.step // 235
        match request:
            case protocol.Describe():
                return protocol.Description(state="serving", epoch=epoch, step=self.step, classes=CLASSES,
                                            labels=labels(), previews=tuple(range(10)))  # fmt: skip
            case protocol.Reconstruct(indices=indices):
                originals = [images()[at] for at in indices]
                made = [blurred(image, self.step) for image in originals]
                return protocol.Reconstructions(
                    epoch=epoch, step=self.step, indices=tuple(indices), labels=bytes(labels()[at] for at in indices),
                    originals=b"".join(originals), reconstructions=b"".join(made),
                    mse=tuple(error(a, b) for a, b in zip(originals, made, strict=True)),
                )  # fmt: skip
            case protocol.TestErrors():
                errors = [error(image, blurred(image, self.step)) for image in images()]
                mse = encode_floats(array("f", errors))
                return protocol.Errors(epoch=epoch, step=self.step, mse=mse, labels=labels())
            case protocol.Set(lr=lr, beta=beta):
                before = self.lr, self.beta
                self.lr = (lr or self.lr) * (request.lr_factor or 1)
                self.beta = (self.beta if beta is None else beta) * (request.beta_factor or 1)
                for name, old, new in zip(("set lr", "set beta"), before, (self.lr, self.beta), strict=True):
                    if old != new:
                        self.log(ev.ControlEvent(command=name, value=new, before=old, epoch=epoch, step=self.step))
            case protocol.Pause():
                self.log(ev.StateEvent(state="paused"))
            case protocol.Resume():
                self.log(ev.StateEvent(state="training"))
            case protocol.Stop():
                self.log(ev.StateEvent(state="stopped"))
            case _:
                pass
        return protocol.Done(epoch=epoch, step=self.step, lr=self.lr, beta=self.beta)
