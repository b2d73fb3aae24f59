"""The command line: one table of commands, each with the module that runs it, and the options of `config`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui_vae import __version__, config
from tui_vae.cli import argument_types
from tui_vae.cli.command_parser import Parser
from tui_vae.interrupts import raise_again
from tui_vae.runs.exports import EXPORTS
from tui_vae.runs.machines import add_machine_options

DESCRIPTION = "Train a variational autoencoder on a headless server: watch it, steer it, look inside it, in a terminal."
EPILOG = "Without a command: opens the app, on the living run if there is exactly one."

CONFIG = "TOML file with any of the options below, and with runs-dir"
DONE_JSON = "a JSON object on stdout: at which step, and the values in force"
NOT_OF_A_BENCHMARK = ("name", "devices", "checkpoint_every", "keep", "on_end", "log")
"""Options of a run that say what it leaves behind, or which processes train it."""

METAVARS = {
    "dataset": "NAME|PATH", "image_size": "PIXELS", "train_limit": "N", "test_limit": "N", "model": "NAME|MODULE:CLASS",
    "hidden": "WIDTHS", "kl_warmup": "EPOCHS", "kl_cycles": "N", "free_bits": "NATS", "epochs": "N", "patience": "N",
    "batch_size": "N", "threads": "N", "checkpoint_every": "SECONDS", "keep": "N|every:K", "on_end": "CMD",
    "log": "TRACKER,…",
}  # fmt: skip
"""What the help calls an option's value, where that is not the last word of its name."""

Add = Callable[..., Parser]
"""Adds a command: its name, its module in `cli`, what it does, and parsers whose options it takes too."""


def _common_options() -> Parser:
    parser = Parser(add_help=False)
    common = parser.common_options()
    common.add_argument("--runs-dir", metavar="DIR", default=argparse.SUPPRESS,
                        help="where runs are kept (TUI_VAE_RUNS, else ./checkpoints)")  # fmt: skip
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    return parser


def _app_options() -> Parser:
    parser = Parser(add_help=False)
    app = parser.add_argument_group("the app")
    app.add_argument("--color", choices=("auto", "truecolor", "256", "16", "none"), default=argparse.SUPPRESS,
                       help="the app's colours, where the terminal's own are guessed wrongly")  # fmt: skip
    app.add_argument("--theme", choices=("auto", "dark", "light"), default=argparse.SUPPRESS,
                     help="the app's colours for a dark or a light background; auto asks the terminal for its own "
                     "(the default, unless a theme was chosen in the app)")  # fmt: skip
    app.add_argument("--no-warm", dest="warm", action="store_false", default=argparse.SUPPRESS,
                     help="no trainer waits while the start screen or the form of a new run is open: it starts "
                     "training seconds sooner, and holds 0.6 GB")  # fmt: skip
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command. Without `--runs-dir`, the runs directory is that of `--config FILE`, if it gives one.

    Raises:
        UsageError: wrong usage, or a file that cannot be read.
    """
    options = make_parser(arguments).parse_args(arguments)
    options.words = list(arguments)
    file: Path | None = options.config
    if options.runs_dir is None and file is not None:
        options.runs_dir = config.read_runs_dir(file)
    return options


def make_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line, or as much of it as these arguments need.

    Parsing raises `UsageError` for wrong usage.
    """
    common, app = _common_options(), _app_options()
    parser = Parser("tui-vae", description=DESCRIPTION, epilog=EPILOG, parents=[_common_options(), _app_options()])
    parser.common_options().add_argument(
        "--version", action="version", version=f"tui-vae {__version__}", help="show the version"
    )
    # The parser has its own copies of the shared options: a command that shared them would overwrite with defaults what
    # stands before its name.
    parser.set_defaults(
        run=_lazily("attach", "open_app"),
        runs_dir=None,
        config=None,
        debug=False,
        color="auto",
        warm=True,
        theme=None,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser, prog=parser.prog)

    def add(name: str, module: str, summary: str, *more: Parser) -> Parser:
        command: Parser
        if arguments is not None and name not in arguments:
            command = commands.add_parser(name, help=summary, add_help=False)
            command.is_named = False
            return command
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                      parents=[common, *more])  # fmt: skip
        command.set_defaults(run=_lazily(module, name.replace("-", "_")), command=command)
        return command

    attach = add("attach", "attach", "open the app on a run, living or not; the newest by default", app)
    attach.add_argument("name", metavar="RUN", nargs="?")
    _add_trust(attach)
    _add_training(add)
    _add_lists(add)
    _add_keeping(add)
    _add_steering(add)
    _add_evaluate(add)
    _add_show(add)
    _add_export(add)
    _add_machine(add)
    _add_serve(add, app)
    return parser


def _add_training(add: Add) -> None:
    train = add("train", "train", "train a new run and follow it; Ctrl-C stops it after a checkpoint")
    train.add_argument("--config", metavar="FILE", type=Path, help=CONFIG)
    train.add_argument("--json", action="store_true", help="the epoch events on stdout as they come, nothing else")
    train.add_argument(
        "--detach",
        action="store_true",
        help="start in the background and print the run's name; with --json, an object of name and path",
    )
    train.add_argument(
        "--resume-if-exists", action="store_true",
        help="for jobs of batch systems: go on with the run of this --name where it is there; SIGTERM and SIGUSR1 stop "
        "it after a checkpoint with exit code 75, so that the job can come again",
    )  # fmt: skip
    train.add_argument("--after", metavar="RUN", help="begin when this run, and what waits behind it, trains no more")
    _add_options(train, tuple(config.options()))
    if train.is_named:
        add_machine_options(train.add_argument_group("several machines, as of torchrun"))

    sweep = add("sweep", "sweep.start", "train every combination of several values, side by side")
    sweep.epilog = (
        "Any option of train may have several values, with commas between them: --latent-dim 2,8,32 --beta 1,4. Where "
        "one value has commas itself, as --hidden 512,256, give the option again for each value. The runs' names begin "
        "with --name (sweep) and say what varies; given again, the command passes by those that "
        "are finished and goes on with the others. Ctrl-C stops all after a checkpoint; a hang-up leaves what is being "
        "trained training, and of --detach the whole sweep. A failed run does not end it. Where --seed has several "
        "values, the results are mean ± standard deviation over the seeds."
    )
    sweep.add_argument(
        "--jobs", metavar="N|auto", type=argument_types.jobs,
        help="how many at once; auto: on a CPU a run a core, with one thread each, or as many as have the --threads "
        "you give; on each GPU as many as fit into its memory and gain (auto)",
    )  # fmt: skip
    sweep.add_argument(
        "--on", metavar="ray[=ADDRESS]|slurm", type=argument_types.cluster,
        help="train on a cluster whose machines share the runs directory: on that of Ray at ADDRESS (RAY_ADDRESS, or "
        "the one that runs here), as long as this command goes on; or as a job array of Slurm (this machine)",
    )  # fmt: skip
    sweep.add_argument("--cpus", metavar="N", type=argument_types.share,
                       help="with --on: CPUs for each run, and its threads (--threads, or 1)")  # fmt: skip
    sweep.add_argument("--gpus", metavar="N", type=argument_types.share,
                       help="with --on: GPUs for each run; on Ray also a part of one, such as 0.25 (on Ray 1 if it has "
                       "any, on Slurm 0)")  # fmt: skip
    sweep.add_argument("--slurm", metavar="KEY[=VALUE]", type=argument_types.setting, action="append", default=[],
                       help="with --on slurm: an option of sbatch, such as partition=gpu or time=4:00:00; may be given "
                       "again for each")  # fmt: skip
    sweep.add_argument("--detach", action="store_true", help="run the sweep in the background; says how to follow it")
    sweep.add_argument("--config", metavar="FILE", type=Path, help=CONFIG)
    sweep.add_argument("--json", action="store_true", help="at the end a JSON array on stdout, nothing else there")
    _add_options(sweep, tuple(config.options()), several=True)


def _add_lists(add: Add) -> None:
    ls = add("ls", "ls", "list the runs with their newest figures")
    ls.add_argument("--json", action="store_true", help="a JSON array on stdout")

    verify = add("verify", "verify", "check every file of a run, or of all runs; it only reads")
    verify.add_argument("name", metavar="RUN", nargs="?")
    verify.add_argument("--json", action="store_true", help="a JSON array on stdout")

    log = add("log", "manage", "print what has happened to a run")
    log.add_argument("name", metavar="RUN")
    log.add_argument("-f", dest="follow", action="store_true", help="go on with what happens next, until training ends")
    log.add_argument("--json", action="store_true", help="the same events as JSON objects on stdout, one a line")

    compare = add("compare", "compare", "put runs side by side: their figures, and the settings in which they differ")
    compare.add_argument("names", metavar="RUN", nargs="+")
    compare.add_argument("--json", action="store_true", help="a JSON array on stdout")
    compare.add_argument("--out", metavar="FILE", type=argument_types.place,
                         help="also write, as FILE ends, every epoch of all of them in one table (CSV, Parquet, JSON "
                         "lines: .jsonl), their curves (PNG, SVG, PDF), or a page (HTML, Markdown: .md)")  # fmt: skip
    compare.add_argument("--force", action="store_true", help="replace a file that is there already")


def _add_keeping(add: Add) -> None:
    rm = add("rm", "manage", "delete runs with everything in them")
    rm.add_argument("names", metavar="RUN", nargs="+")
    rm.add_argument("--force", action="store_true", help="delete without asking")
    rename = add("rename", "manage", "give a run another name")
    rename.add_argument("name", metavar="RUN")
    rename.add_argument("to", metavar="NAME")
    note = add("note", "manage", "print a run's note, or keep another one")
    note.add_argument("name", metavar="RUN")
    note.add_argument("text", metavar="TEXT", nargs="?", help="a line of text; an empty one removes the note")
    tag = add("tag", "manage", "print a run's tags and group, or keep others")
    tag.add_argument("name", metavar="RUN")
    tag.add_argument("tags", metavar="WORD|@GROUP", nargs="*", help="'' for none")
    clone = add("clone", "manage", "copy a run with everything in it, to train it on in another way")
    clone.add_argument("name", metavar="RUN")
    clone.add_argument("to", metavar="NAME")


def _add_steering(add: Add) -> None:
    for name, summary in (
        ("pause", "pause a run, after a checkpoint"),
        ("resume", "go on with a paused, stopped, finished or crashed run"),
        ("stop", "stop a run, after a checkpoint of that very step"),
        ("checkpoint", "write a checkpoint of a running run now"),
    ):
        command = add(name, "control", summary)
        command.add_argument("name", metavar="RUN")
        command.add_argument("--json", action="store_true", help=DONE_JSON)
        if name == "resume":
            _add_trust(command)
            command.add_argument(
                "--epochs",
                metavar="N",
                type=argument_types.checked("epochs"),
                default=0,
                help="train so many epochs more than planned, over which the schedule runs anew",
            )
            command.add_argument("--from", dest="from_epoch", metavar="EPOCH",
                                 type=argument_types.counted(config.MAX_EPOCHS),
                                 help="go back to a kept epoch (train --keep) and on from there; what the run was "
                                 "until now becomes a run of its own")  # fmt: skip
            command.add_argument("--lr-factor", metavar="F", type=argument_types.factor,
                                 help="multiply the learning rate by this from the next step on: 0.1 after a "
                                 "divergence")  # fmt: skip
            command.add_argument("--devices", metavar="N|auto", type=argument_types.checked("devices"),
                                 help="train it on so many devices of this machine from now on")  # fmt: skip

    change = add("set", "control", "change the learning rate or β of a living run")
    change.add_argument("name", metavar="RUN")
    change.add_argument("changes", metavar="lr=X|muon-lr=X|beta=X", nargs="+",
                        help="the new learning rate, Muon's, or β; each scales the rest of its schedule")  # fmt: skip
    change.add_argument("--json", action="store_true", help=DONE_JSON)
    change.set_defaults(run=_lazily("control", "set_values"))


def _add_evaluate(add: Add) -> None:
    evaluate = add("eval", "evaluate", "compute a run's test metrics afresh, and more about it if asked")
    evaluate.set_defaults(run=_lazily("evaluate", "evaluate"))
    _add_run_and_checkpoint(evaluate)
    evaluate.add_argument(
        "--iwae",
        metavar="K",
        type=argument_types.counted(argument_types.MOST_DRAWS),
        help="the importance-weighted bound on ln p(x) from K draws an image (Burda et al. 2016)",
    )
    evaluate.add_argument(
        "--split-kl",
        action="store_true",
        help="the KL in three parts: mutual information of index and code, total correlation, dimension-wise KL "
        "(Hoffman & Johnson 2016; Chen et al. 2018)",
    )
    evaluate.add_argument(
        "--frechet",
        action="store_true",
        help="the classifier Fréchet distance of samples from the test set: FID's formula, on the "
        "features of a small classifier (of other images than FashionMNIST trained first), not of Inception",
    )
    evaluate.add_argument(
        "--samples",
        metavar="N",
        type=argument_types.counted(argument_types.MOST_DRAWS, least=2),
        help="how many samples it is taken of (as many as there are test images)",
    )
    evaluate.add_argument(
        "--probe",
        action="store_true",
        help="what μ knows of the classes: logistic regression, nearest neighbours, clusters, "
        "outliers (needs scikit-learn)",
    )
    evaluate.add_argument("--json", action="store_true", help="a JSON object on stdout")


def _add_show(add: Add) -> None:
    show = add("show", "show", "print originals beside reconstructions, or samples, as half blocks")
    _add_run_and_checkpoint(show)
    show.add_argument("--images", metavar="N", type=argument_types.count, default=8, help="how many (8)")
    show.add_argument(
        "--index", dest="indices", metavar="I,J", type=argument_types.indices, help="these test images, by number"
    )
    show.add_argument("--class", dest="label", metavar="NAME", help="only images, or samples, of this class")
    show.add_argument("--worst", action="store_true", help="those with the largest error first")
    show.add_argument("--samples", action="store_true",
                      help="decoded samples from the Gaussian fitted to the encoder's z instead")  # fmt: skip


def _add_export(add: Add) -> None:
    export = add("export", "export", "write a run's figures, images or decoder to a file")
    _add_run_and_checkpoint(export)
    export.add_argument("--what", metavar="WHAT", required=True, choices=tuple(each.what for each in EXPORTS),
                        help="; ".join(f"{each.what} → {each.about}" for each in EXPORTS))  # fmt: skip
    export.add_argument("--out", metavar="FILE", required=True, type=argument_types.place,
                        help="where to; its ending decides the format where WHAT has several")  # fmt: skip
    export.add_argument("--force", action="store_true", help="replace a file that is there already")
    export.add_argument("--json", action="store_true", help="where and how large, as a JSON object on stdout")
    of_samples = export.add_argument_group("of samples")
    of_samples.add_argument("--images", metavar="N", type=argument_types.count, help="how many (64)")
    of_samples.add_argument("--class", dest="label", metavar="NAME",
                            help="from the Gaussian fitted to the training images of this class")  # fmt: skip
    of_samples.add_argument("--prior", action="store_true",
                            help="from the prior N(0, I), not from the Gaussian fitted to the encoder's z")  # fmt: skip
    of_samples.add_argument("--seed", metavar="S", type=argument_types.checked("seed"), help="seed of the draw (0)")


def _add_serve(add: Add, app: Parser) -> None:
    serve = add("serve", "serve.command", "show the app in a browser, to whoever has the address that it prints", app)
    serve.add_argument("--host", metavar="ADDRESS", default="127.0.0.1",
                       help="where to listen (127.0.0.1: only this machine, and who comes by ssh -L)")  # fmt: skip
    port = argument_types.counted(65535, least=0)
    serve.add_argument("--port", metavar="N", type=port, help="0: any free one (8000, else any free one)")


def _add_machine(add: Add) -> None:
    bench = add("bench", "bench", "how fast this machine trains, against the ordinary way and the bare matrix products")
    bench.add_argument("--json", action="store_true", help="a JSON object on stdout")
    bench.add_argument(
        "--rounds", metavar="N", type=argument_types.count, default=5, help="how often each takes its turn (5)"
    )
    bench.add_argument("--seconds", metavar="S", type=argument_types.count, default=3, help="seconds a turn (3)")
    bench.add_argument("--until", metavar="bits=X|mse=X", type=argument_types.target,
                       help="also train until the test images' bits a pixel, or their mse, are that low")  # fmt: skip
    _add_options(bench, tuple(name for name in config.options() if name not in NOT_OF_A_BENCHMARK))

    doctor = add("doctor", "doctor", "check devices, terminal, datasets and folders, and say what to do")
    doctor.add_argument("--json", action="store_true", help="a JSON object on stdout")

    completion = add("completion", "completion", "print what has a shell complete commands, options and runs")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="eval its output where the shell starts")

    data = add("data", "data", "say what a data set is, or which can be found, and where")
    data.add_argument("data", metavar="NAME|PATH", nargs="?", help="a known set, or a file or folder of images")
    data.add_argument("--json", action="store_true", help="a JSON object on stdout")
    data.add_argument("--download", metavar="NAME", choices=config.NAMED_SETS,
                      help=f"fetch a known set into the cache: {', '.join(config.NAMED_SETS)}")  # fmt: skip
    _add_options(data, ("data_dir", "image_size", "channels", "test_share"))


def _lazily(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        run_command = getattr(importlib.import_module(f"tui_vae.cli.{module}"), function)
        raise_again()  # from here on there may be something to be left in order
        code: int = run_command(options)
        return code

    return run


def _add_trust(command: argparse.ArgumentParser) -> None:
    command.add_argument("--trust", action="store_true", help="allow the code that the run brings as its model")


def _add_run_and_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="RUN")
    _add_trust(command)
    command.add_argument("--checkpoint", metavar="best|last|EPOCH", type=argument_types.checkpoint_name,
                         help="which weights: best, last, or of a kept epoch (last, else best)")  # fmt: skip


def _add_options(command: Parser, names: tuple[str, ...], several: bool = False) -> None:
    """With `several`, an option may be given repeatedly; its values are gathered in a list of tuples."""
    if not command.is_named:
        return
    defaults = config.RunConfig()
    groups: dict[str, Any] = {}
    for name in names:
        option = config.options()[name]
        group = groups.get(option.group) or groups.setdefault(option.group, command.add_argument_group(option.group))
        default = config.text_of(name, getattr(defaults, name))
        words = METAVARS.get(name) or name.rsplit("_", 1)[-1].upper()
        words = f"{{{','.join(option.choices)}}}" if option.choices else words
        group.add_argument(
            f"--{config.option_name(name)}", dest=f"{'values' if several else 'option'}_{name}", metavar=words,
            type=(argument_types.several_checked if several else argument_types.checked)(name),
            action="append" if several else "store",
            default=argparse.SUPPRESS, help=f"{option.help} ({default})".replace("%", "%%"),
        )  # fmt: skip


def given_options(options: argparse.Namespace) -> dict[str, Any]:
    """The training options given on the command line, by their names in `config`."""
    return {name.removeprefix("option_"): value for name, value in vars(options).items() if name.startswith("option_")}
