"""What has to be seen on a GPU, in one command of at most eight minutes and without a network.

    python scripts/check_gpu.py [--device cuda] [--data-dir FOLDER] [--out FILE]
    python scripts/check_gpu.py --device cpu --quick     # tries the script itself out where there is no GPU

It needs what `core/` and `trainer/` need, nothing of the app. A part that fails says why, and the others go on. The end
is one table in Markdown, which `--out` also writes to a file; the exit code is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there
# For the processes that this one starts: tui-vae need not be installed, what it needs may lie in a folder named there.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

import torch  # noqa: E402

from tui_vae.config import RunConfig, make_config  # noqa: E402
from tui_vae.core.devices import device_name  # noqa: E402
from tui_vae.core.models.build import build_model  # noqa: E402
from tui_vae.core.objectives import make_objective  # noqa: E402
from tui_vae.core.step.load_kernels import load_kernels  # noqa: E402
from tui_vae.runs import protocol  # noqa: E402
from tui_vae.runs.create import create_run  # noqa: E402
from tui_vae.runs.events import EpochEvent, ErrorEvent, LogTail, RunEvent, WarningEvent  # noqa: E402
from tui_vae.runs.lock import RunLock  # noqa: E402
from tui_vae.trainer import bench  # noqa: E402
from tui_vae.trainer.best_weights import BestWeights  # noqa: E402
from tui_vae.trainer.diagnose_epochs import SymptomReporter  # noqa: E402
from tui_vae.trainer.epoch_events import EpochEvents  # noqa: E402
from tui_vae.trainer.learner import Learner  # noqa: E402
from tui_vae.trainer.process import RunProcess  # noqa: E402
from tui_vae.trainer.repeated_evaluation import RepeatedEvaluation  # noqa: E402
from tui_vae.trainer.run_setup import load_data_and_model, resolve_machine_options  # noqa: E402
from tui_vae.trainer.server import Inbox  # noqa: E402
from tui_vae.trainer.training import Training  # noqa: E402

BATCHES = (256, 1024, 4096)
"""Images a step: the default's former size, and the sizes at which a GPU's multiprocessors fill."""

SECONDS = 1.0
"""Seconds of a measurement, after a warm-up of the same length: libraries choose kernels, graphs are recorded."""

TESTS_LIMIT = 150.0
"""Seconds for the tests that need a GPU: they take most of their time to compile kernels."""

KERNELS_SHOWN = 12
"""Kernels of a step that the profile names: those that take the most time."""

EPOCHS = 30
"""Epochs of a run whose epochs are timed: those after the first differ little, and each writes a preview as yet."""

TARGET = "6.74"
"""Bits a pixel of the test images that the preset `quick` is to reach."""

Rows = Iterator[tuple[str, str]]


PIECES: dict[str, tuple[type, str]] = {
    "(the epoch's steps)": (Training, "_train_epoch"),
    "(all of it)": (Training, "_end_epoch"),
    "both evaluations": (RepeatedEvaluation, "__call__"),
    "event, means of classes": (EpochEvents, "write"),
    "best weights": (BestWeights, "epoch_ended"),
    "symptoms": (SymptomReporter, "epoch_ended"),
    "preview": (Training, "_preview"),
    "checkpoint": (Training, "_try_checkpoint"),
}
"""What happens at an epoch's end, and the methods that do it."""


class Settings(NamedTuple):
    """Where and how to measure. quick: only what shows that the script itself works."""

    device: torch.device
    data_dir: str | None
    quick: bool

    @property
    def seconds(self) -> float:
        return 0.1 if self.quick else SECONDS

    @property
    def batches(self) -> tuple[int, ...]:
        return BATCHES[:1] if self.quick else BATCHES

    def config(self, **options: Any) -> RunConfig:
        """A configuration on the device, with the images that the script was given."""
        given = {"device": str(self.device), "data-dir": self.data_dir or "auto", **options}
        if self.quick:
            given = {"train-limit": 2000, "test-limit": 200, "hidden": "64", "epochs": 1, **given}
        return replace(resolve_machine_options(make_config(given)), name=None)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def refuse(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """In place of recording a CUDA graph: it cannot be done."""
    raise RuntimeError("not wanted")


def launch_again(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """In place of recording a CUDA graph: every step launches its kernels one by one."""
    return body


def milliseconds(settings: Settings, config: RunConfig, graph: bool) -> float:
    """Milliseconds of a step, by wall time over many steps."""
    device = settings.device
    learner = Learner(config, build_model(config, (28, 28)), device, record=None if graph else launch_again)
    images = torch.randint(0, 256, (config.batch_size, 28, 28), dtype=torch.uint8, device=device)
    steps = 0
    for seconds in (settings.seconds, settings.seconds):  # the first one warms up
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for _ in range(20):
                learner.step(images, 1e-4, 1.0)
            steps += 20
            wait(device)
    return 1000 * (time.perf_counter() - start) / steps


# -- Parts -------------------------------------------------------------------------------------------------------------


def machine(settings: Settings) -> Rows:
    device = settings.device
    yield "device", f"{device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    kernels = load_kernels(device.type)
    yield "kernels", kernels.level if kernels else f"none: {kernels.reason}"


def tests(settings: Settings) -> Rows:
    """Those that use a GPU where there is one, by pytest where it is installed."""
    files = ["tests/core/test_steps.py", "tests/trainer/test_epoch_end.py"]
    files += [] if settings.quick else ["tests/core/test_fused_gpu.py"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TESTS_LIMIT)
    print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
    last = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
    yield "tests that need a GPU", last
    if done.returncode not in (0, 5) and "No module named pytest" not in done.stderr:
        raise RuntimeError(f"pytest ended with {done.returncode}: {last}")


def rates(settings: Settings) -> Rows:
    """Both optimizers, both precisions, with and without a CUDA graph."""
    for batch in settings.batches:
        for precision in ("float32", "bfloat16"):
            taken = {}
            for optimizer in ("adam", "muon"):
                config = settings.config(**{"batch-size": batch, "precision": precision, "optimizer": optimizer})
                for graph in (True, False):
                    taken[optimizer, graph] = milliseconds(settings, config, graph)
            adam, muon = taken["adam", True], taken["muon", True]
            yield (f"step at batch {batch}, {precision}: Adam, Muon (as a CUDA graph)",
                   f"{adam:.3f} ms ({batch / adam * 1000:,.0f} images/s), {muon:.3f} ms ({batch / muon * 1000:,.0f} "
                   f"images/s): {muon / adam:.2f} ×")  # fmt: skip
            yield ("the same without a graph",
                   f"{taken['adam', False]:.3f} ms, {taken['muon', False]:.3f} ms")  # fmt: skip


def comparison(settings: Settings) -> Rows:
    """As `tui-vae bench`, in this process: the ordinary loop, and the bare products."""
    for batch in settings.batches:
        for precision in ("float32", "bfloat16"):
            config = settings.config(**{"batch-size": batch, "precision": precision, "preset": "adam"})
            found = {}
            for name in ("ours", "products", *(("ordinary",) if batch == BATCHES[0] else ())):
                candidate = bench.CANDIDATES[name](config)
                candidate.train(settings.seconds)
                found[name] = candidate.train(2 * settings.seconds)
            words = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items())
            share = f"{found['ours'] / found['products']:.2f} of the products"
            gain = f", {found['ours'] / found['ordinary']:.1f} × the loop" if "ordinary" in found else ""
            yield f"images/s at batch {batch}, {precision}, Adam", f"{words}: {share}{gain}"


def trained(config: RunConfig) -> tuple[int, list[EpochEvent]]:
    """Train a run in this process: the images of its training set, and its epochs."""
    with tempfile.TemporaryDirectory(prefix="tui-vae-check-") as folder:
        directory, _ = create_run(Path(folder), config)
        lock = RunLock(directory, "train")
        try:
            code = RunProcess(directory, lock, Inbox()).run(False, protocol.Resume())
        finally:
            lock.release()
        logged = LogTail(directory.events).read_all()
    errors = [f"{event.message} ({event.hint})" for event in logged if isinstance(event, ErrorEvent)]
    if code:
        raise RuntimeError(f"training ended with {code}: {errors}")
    for event in logged:
        if isinstance(event, WarningEvent):
            print(f"warning: {event.message} ({event.hint})")
    images = next(event.dataset.train for event in logged if isinstance(event, RunEvent))
    return images, [event for event in logged if isinstance(event, EpochEvent)]


def epochs(settings: Settings) -> Rows:
    """Whole epochs with their evaluation, and time to the figure."""
    from tui_vae.cli.bench_target import parse_target
    from tui_vae.cli.bench_until import train_until

    recipes: list[dict[str, Any]] = [{"preset": "adam", "batch-size": batch} for batch in settings.batches]
    for recipe in [*recipes, {"preset": "default"}]:
        config = settings.config(**recipe, epochs=3 if settings.quick else EPOCHS)
        images, found = trained(config)
        whole = [1000 * event.seconds for event in found]
        steps = [1000 * images / event.images_per_s for event in found if event.images_per_s]
        yield (f"an epoch with its evaluation, preset `{recipe['preset']}` at batch {config.batch_size}",
               f"median {statistics.median(whole[1:]):.1f} ms, of which steps {statistics.median(steps[1:]):.1f}; "
               f"least {min(whole):.1f}; the first {whole[0]:.0f}, the second {whole[1]:.0f}")  # fmt: skip
    quick = settings.config(preset="quick")
    ran = train_until(quick, parse_target(f"bits={'9' if settings.quick else TARGET}"))
    word = "reached" if ran.reached else f"not reached ({ran.value:.3f})"
    yield (f"preset `quick` to {TARGET} bits a pixel",
           f"{word} after {ran.epoch} epochs, {ran.seconds:.2f} s of training, {ran.wall:.1f} s in all")  # fmt: skip


def epoch_end(settings: Settings) -> Rows:
    """Where the time between two epochs' steps goes: its pieces, with a synchronization before and after each."""
    from torch.profiler import ProfilerActivity

    device, took = settings.device, dict[str, list[float]]()

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            wait(device)
            start = time.perf_counter()
            try:
                return method(*arguments, **more)
            finally:
                wait(device)
                took.setdefault(name, []).append(1000 * (time.perf_counter() - start))

        return call

    config = settings.config(**{"preset": "adam", "batch-size": 1024}, epochs=3 if settings.quick else EPOCHS)
    with ExitStack() as patched:
        for name, (owner, method) in PIECES.items():
            patched.enter_context(patch.object(owner, method, timed(name, getattr(owner, method))))
        trained(config)
    for name, each in took.items():
        later = each[1:] or each
        yield (f"end of an epoch: {name}",
               f"median {statistics.median(later):.2f} ms, most {max(later):.2f}, the first {each[0]:.2f}; "
               f"{len(each)} times")  # fmt: skip
    run = load_data_and_model(config)
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    for name, record in (("as it is", None), ("launched kernel by kernel", refuse)):
        evaluation = RepeatedEvaluation(
            run.model, (run.test, run.subset), run.test[:10], make_objective(config), 0, lambda what, why: None, record
        )
        for _ in range(3):
            evaluation(1.0)
        with torch.profiler.profile(activities=activities) as seen:
            start = time.perf_counter()
            for _ in range(5):
                evaluation(1.0)
            wait(device)
            wall = time.perf_counter() - start
        key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        busy = sum(getattr(each, key) for each in seen.key_averages()) / 1e6
        yield (f"both evaluations, {name}, under the profiler",
               f"{1000 * wall / 5:.2f} ms, of which kernels {1000 * busy / 5:.2f} ms")  # fmt: skip


def answers(settings: Settings) -> Rows:
    more = ["--train-limit", "2000"] if settings.quick else []
    command = [sys.executable, str(ROOT / "scripts/bench_answers.py"), "--epochs", "4" if settings.quick else "20",
               "--device", str(settings.device), *(["--data-dir", settings.data_dir] if settings.data_dir else []),
               *more]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    print(done.stdout, done.stderr[-2000:], sep="\n")
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) < 2:
        raise RuntimeError(f"bench_answers.py ended with {done.returncode}")
    yield "answers while training: median, 95th percentile, most (ms), questions", " ".join(lines[-2].split()[1:])
    yield "the same, what it costs", lines[-1]


def memory(settings: Settings) -> Rows:
    """Of a training of the default network in this process, its images on the device."""
    if settings.device.type != "cuda":
        yield "memory of the device", "none of its own"
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(settings.device)
    before = torch.cuda.memory_allocated(settings.device)
    candidate = bench.ours(settings.config())
    candidate.train(settings.seconds)
    peak = torch.cuda.max_memory_allocated(settings.device) - before
    reserved = torch.cuda.max_memory_reserved(settings.device)
    yield "memory of the device: allocated for a run, reserved", f"{peak / 2**20:.0f} MiB, {reserved / 2**20:.0f} MiB"


def profile(settings: Settings) -> Rows:
    """Where a step's time goes: kernels launched one by one, and the gaps between the kernels of a graph."""
    from torch.profiler import ProfilerActivity

    device, on_gpu = settings.device, settings.device.type == "cuda"
    config = settings.config(**{"precision": "bfloat16"})
    images = torch.randint(0, 256, (config.batch_size, 28, 28), dtype=torch.uint8, device=device)
    steps = 20
    for graph in (True, False):
        learner = Learner(config, build_model(config, (28, 28)), device, record=None if graph else launch_again)
        for _ in range(10):
            learner.step(images, 1e-4, 1.0)
        wait(device)
        with torch.profiler.profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
            start = time.perf_counter()
            for _ in range(steps):
                learner.step(images, 1e-4, 1.0)
            wait(device)
            wall = time.perf_counter() - start
        averages = seen.key_averages()
        key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        busy = sum(getattr(each, key) for each in averages) / 1e6
        count = sum(each.count for each in averages if getattr(each, key)) / steps
        print(averages.table(sort_by=key, row_limit=KERNELS_SHOWN, max_name_column_width=70))
        yield (f"a step of the default, bfloat16, {'as a graph' if graph else 'launched one by one'}",
               f"{1e6 * wall / steps:.0f} µs, kernels {1e6 * busy / steps:.0f} µs, {count:.0f} of them; with nothing "
               f"running {max(0.0, 1 - busy / wall):.0%}")  # fmt: skip


PARTS: tuple[Callable[[Settings], Rows], ...] = (
    machine, rates, comparison, epochs, epoch_end, memory, profile, answers, tests,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", help="the dataset's idx files; else where tui-vae looks for them")
    parser.add_argument("--out", type=Path, help="write the table there too")
    parser.add_argument("--quick", action="store_true", help="least work: does the script itself run?")
    parser.add_argument("--parts", default=",".join(part.__name__ for part in PARTS), help="which (%(default)s)")
    options = parser.parse_args()
    settings = Settings(torch.device(options.device), options.data_dir, options.quick)
    wanted = options.parts.split(",")
    rows: list[tuple[str, str]] = []
    failed = 0
    for part in (each for each in PARTS if each.__name__ in wanted):
        start = time.perf_counter()
        try:
            for row in part(settings):
                print(f"{row[0]}: {row[1]}", flush=True)
                rows.append(row)
        except Exception as error:  # the other parts are worth their minutes all the same
            traceback.print_exc()
            rows.append((part.__name__, f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:200]}"))
            failed += 1
        print(f"[{part.__name__}: {math.ceil(time.perf_counter() - start)} s]", flush=True)
    table = "\n".join(["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)])
    print(f"\n{table}")
    if options.out:
        options.out.write_text(table + "\n")
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
