"""The training loop: epochs of steps, requests answered between steps, and evaluation and checkpoints after epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import astuple
from itertools import accumulate

from msgspec import UNSET, UnsetType

from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import BEST, LAST, RunDirectory
from tui_vae.runs.previews import is_due
from tui_vae.runs.write_errors import Unwritable, unwritable
from tui_vae.trainer.batches import EpochOrders, batches
from tui_vae.trainer.best_weights import BestWeights
from tui_vae.trainer.checkpoint_keeper import CheckpointKeeper
from tui_vae.trainer.checkpoints import save_checkpoint
from tui_vae.trainer.crew import Order
from tui_vae.trainer.diagnose_epochs import Diverged, SymptomReporter, diverged
from tui_vae.trainer.epoch_events import EpochEvents
from tui_vae.trainer.gauges import Gauges
from tui_vae.trainer.hyperparameters import Hyperparameters
from tui_vae.trainer.inference import Inference
from tui_vae.trainer.learner import Means
from tui_vae.trainer.preview_writer import PreviewWriter
from tui_vae.trainer.run_setup import TrainingSetup, logged_metrics, run_event
from tui_vae.trainer.server import Inbox, Ticket
from tui_vae.trainer.step_events import StepEvents
from tui_vae.trainer.timers import CheckpointTimer, Stopwatch
from tui_vae.trainer.waiting import refused, what_then


class Stopped(Exception):
    """A request has stopped the training. Its checkpoint is written."""


class Training:
    """Trains one run from where its `progress` stands to the last planned epoch.

    Everything happens on the calling thread, which owns the device. It answers requests after every step and between
    the batches of an evaluation. While no checkpoint can be written, training pauses, and tries again.

    announce_trouble: told why training waits, and the empty string once it goes on.
    """

    def __init__(
        self, directory: RunDirectory, log: ev.EventLog, inbox: Inbox, setup: TrainingSetup,
        announce_trouble: Callable[[str], None] = lambda reason: None,
    ) -> None:  # fmt: skip
        run, learner, progress, self._crew = setup
        self._directory, self._log, self._inbox = directory, log, inbox
        self._run, self._learner, self._progress = run, learner, progress
        self._epoch_events = EpochEvents(log, run.dataset)
        self._hyperparameters = Hyperparameters(run, progress)
        learner.set_muon_ratio(self._hyperparameters.muon_ratio)
        self._inference = Inference(run, where=lambda: (progress.epoch, progress.step), state=lambda: self._state)
        self._state: ev.RunState = "training"
        self._checkpoint_timer = CheckpointTimer(run.config.checkpoint_every)
        self._epoch_time, self._step_time = Stopwatch(progress.epoch_seconds), Stopwatch()
        gauges = Gauges(log, learner)
        self._step_events = StepEvents(log, run, progress, self._hyperparameters, self._step_time, gauges)
        self._epoch_began_at, self._epoch_images = 0.0, 0
        self._newest_lr: float | UnsetType = UNSET
        self._epoch_means = Means.from_list(progress.epoch_means)
        self._symptoms = SymptomReporter(directory, log, run, progress)
        self._best = BestWeights(learner, progress, run.config.best_by)
        self._announce_trouble = announce_trouble
        self._trouble: Unwritable | None = None  # why training waits
        self._reason_logged = self._why_finished = ""
        self._wanted: protocol.AnyRequest | None = None  # a stop or pause that came while no checkpoint was possible
        self._previews = PreviewWriter(directory, log)
        self._keeper = CheckpointKeeper(directory, log, run.config.keep, run.steps_per_epoch)
        self._orders = EpochOrders(run.config.seed, run.train, run.device)
        self._evaluation = run.repeated_evaluation(lambda what, why: log.write(ev.WarningEvent(message=what, hint=why)))

    def run(self, first: protocol.Set | None = None) -> ev.RunState:
        """Train to the last planned epoch or until a request stops it. Return the final state, which is logged.

        `first`: what to change before the first step.
        """
        self._enter("training")
        if first is not None:
            self._answer(Ticket(first, lambda reply: None))
        self._keeper.complete(self._progress)
        try:
            while self._progress.evaluated < self._progress.planned_epochs:
                self._epoch_time.start()
                self._train_epoch()
                self._end_epoch()
                if self._progress.finished:
                    self._checkpoint_at_last()  # a request that comes meanwhile may plan more epochs
        except Stopped:
            self._enter("stopped")
            return "stopped"
        self._enter("finished", self._why_finished)
        return "finished"

    def _train_epoch(self) -> None:
        """Make the steps of the epoch under way that are not done yet."""
        run, progress = self._run, self._progress
        size, count = run.config.batch_size, len(run.train)
        order = self._orders.take(progress.evaluated)
        first = progress.step - progress.evaluated * run.steps_per_epoch
        self._step_time.start()
        self._epoch_began_at, self._epoch_images = self._step_time.seconds, 0
        ranks = self._crew.ranks
        for batch, images in enumerate(
            batches(run.train, order[first * size :], size, run.device, run.read_ahead, ranks), first
        ):
            self._newest_lr = lr = self._hyperparameters.lr
            beta, together = self._hyperparameters.beta, min(size, count - batch * size)
            self._crew.give(Order(progress.evaluated, batch, lr, beta, self._hyperparameters.muon_ratio))
            self._learner.step(images, lr, beta, together)
            progress.step += 1
            self._epoch_images += together
            if self._step_events.is_due:
                self._write_step_event()
                if self._checkpoint_timer.due(at_epoch_end=False):
                    self._try_checkpoint()
            self._answer_requests()
        self._collect_means()  # waits for the device, so that the time of the steps is all in
        self._step_time.stop()

    def _collect_means(self) -> None:
        means = self._learner.take_means()
        self._step_events.add(means)
        self._epoch_means += means

    def _write_step_event(self) -> None:
        self._collect_means()
        self._step_events.write()
        self._previews.log_if_written()

    def _end_epoch(self) -> None:
        run, progress = self._run, self._progress
        # Full β, not the warm-up's, so that the losses of different epochs can be compared and the lowest is the best.
        # It is read once, since a request may change it meanwhile.
        beta = progress.beta
        (test, test_statistics), (train, train_statistics) = self._evaluation(
            beta, self._answer_requests, self._prepare_next_epoch
        )
        self._inference.store(test_statistics, train_statistics)
        progress.evaluated += 1
        if progress.evaluated in accumulate(progress.segments) and run.config.schedule != "constant":
            progress.lr_scale = 1.0  # it scaled the schedule that ends here; the next stretch begins a new one
        trained = self._step_time.seconds - self._epoch_began_at
        means, reports_legacy = self._epoch_means, run.config.reports_legacy
        legacy = means.legacy(run.steps_per_epoch, self._hyperparameters.beta) if reports_legacy else UNSET
        event = ev.EpochEvent(
            epoch=progress.evaluated, step=progress.step, seconds=self._epoch_time.seconds,
            images_per_s=self._epoch_images / trained if self._epoch_images else None,
            train=logged_metrics(train), test=logged_metrics(test), beta=beta, lr=self._newest_lr, legacy=legacy,
        )  # fmt: skip
        self._epoch_events.write(event, test_statistics, is_last=progress.finished)
        self._epoch_time = Stopwatch()
        self._epoch_time.start()
        self._epoch_means = Means()
        self._best.epoch_ended(test)
        self._end_where_nothing_is_gained()
        if not math.isfinite(test.loss) and not self._learner.is_finite():
            self._checkpoint_at_last()  # writes the best weights, if they are not written yet, then raises Diverged
        self._symptoms.epoch_ended(event)
        self._preview()
        if self._checkpoint_timer.due(at_epoch_end=True) or self._keeper.due(progress, self._checkpoint_timer):
            self._try_checkpoint()

    def _prepare_next_epoch(self) -> None:
        following = self._progress.evaluated + 1
        if following < self._progress.planned_epochs:
            self._orders.prepare(following)

    def _end_where_nothing_is_gained(self) -> None:
        """Plan no more epochs where the run's patience is at its end."""
        progress, patience = self._progress, self._run.config.patience
        if 0 < patience <= progress.since_best and not progress.finished:
            since = f"test {self._run.config.best_by} since epoch {progress.evaluated - progress.since_best}"
            self._why_finished = f"no lower {since}, and its patience is {patience} epochs"
            progress.plan_no_more(has_schedule=self._run.config.schedule != "constant")
            self._log.write(run_event(self._directory, self._run, progress, self._learner.kernels))

    def _preview(self) -> None:
        epoch = self._progress.evaluated
        if is_due(epoch) or epoch == self._progress.planned_epochs:
            self._previews.write(epoch, self._inference.shown(self._evaluation.reconstructed))

    def _checkpoint(self) -> None:
        """Write a checkpoint of this very step.

        Raises:
            Unwritable: it could not be written; the checkpoint before it stays.
            Diverged: its weights are not finite; the checkpoint before it stays.
        """
        self._previews.finish()
        started = time.monotonic()
        self._collect_means()
        run, progress = self._run, self._progress
        progress.epoch_seconds = self._epoch_time.seconds
        progress.epoch_means = list(astuple(self._epoch_means))
        progress.diagnosis = self._symptoms.state()
        try:
            progress.log_size = self._log.size()
            # The best weights first: the best loss that a checkpoint names is then always that of best.safetensors.
            if self._best.unwritten is not None:
                then, weights = self._best.unwritten
                save_checkpoint(self._directory.files.best, then, weights)
                self._log_checkpoint(BEST, then.evaluated, then.step)
                self._best.unwritten = None
            if not self._learner.is_finite():
                epoch = -(-progress.step // run.steps_per_epoch)
                raise diverged(self._directory, run, epoch)
            save_checkpoint(self._directory.files.last, progress, self._learner.tensors())
            self._log_checkpoint(LAST, self._progress.epoch, progress.step)
            self._keeper.keep_epoch_end(progress)
        except OSError as error:
            raise unwritable("a checkpoint", error, self._directory.path) from None
        finally:
            self._checkpoint_timer.wrote(time.monotonic() - started)

    def _try_checkpoint(self) -> None:
        """Write a checkpoint, or pause until one can be written.

        Raises:
            Diverged: the weights are not finite.
        """
        try:
            self._checkpoint()
        except Unwritable as error:
            self._wait_because_of(error)

    def _checkpoint_at_last(self) -> None:
        """Write a checkpoint, and wait for as long as that takes, so that no trained weights are given up.

        Raises:
            Diverged: the weights are not finite.
            Stopped: a request stops the training.
        """
        self._try_checkpoint()
        if self._trouble:
            self._answer_requests()

    def _wait_because_of(self, error: Unwritable) -> None:
        """Pause until a checkpoint can be written; say why, and what happens then, where that has not been said."""
        self._checkpoint_timer.failed()
        if self._trouble is None and self._state == "paused":
            self._wanted = protocol.Pause()  # by a request; it stays so
        known, self._trouble = self._trouble, error
        why = f"{error.message}; {error.hint}; {what_then(self._wanted)}"
        if known is None or why != self._reason_logged:
            self._enter("paused", why)
        if known is None or known.message != error.message:
            self._announce_trouble(error.message)
            self._log.write(ev.WarningEvent(message=error.message, hint=error.hint))
        self._reason_logged = why

    def _retry_checkpoint(self) -> None:
        """Try again to write a checkpoint. Where that succeeds do what was requested meanwhile, else train.

        Raises:
            Diverged: the weights are not finite.
            Stopped: a request has stopped the training.
        """
        self._log.pay()
        try:
            self._checkpoint()
        except Unwritable as error:
            self._wait_because_of(error)
            return
        wanted, self._wanted = self._wanted, None
        self._end_trouble()
        match wanted:
            case protocol.Stop():
                self._log_control("stop")
                raise Stopped
            case protocol.Pause():
                self._log_control("pause")
                self._enter("paused")
            case _:
                self._enter("training")

    def _end_trouble(self) -> None:
        self._trouble = None
        self._announce_trouble("")

    def _log_checkpoint(self, file: str, epoch: int, step: int) -> None:
        self._log.write(ev.CheckpointEvent(epoch=epoch, step=step, file=file, best=file == BEST))

    def _enter(self, state: ev.RunState, reason: str = "") -> None:
        self._state = state
        self._previews.finish()
        self._epoch_events.before(state)
        self._symptoms.before(state)
        self._log.write(ev.StateEvent(state=state, reason=reason))

    def _answer_requests(self) -> None:
        """Answer the requests that have come. While paused, stay here and answer until a request resumes or stops.

        Raises:
            Stopped: a request stops the training.
        """
        for ticket in self._inbox.pending():
            self._answer(ticket)
        if self._inference.busy:
            self._inference.advance()
        if self._state == "paused":
            running = [watch for watch in (self._epoch_time, self._step_time) if watch.running]
            for watch in running:
                watch.stop()
            while self._state == "paused":
                if waiting := self._inbox.wait(0.0 if self._inference.busy else 1.0):
                    self._answer(waiting)
                self._inference.advance()
                if self._trouble and self._checkpoint_timer.retry_due:
                    self._retry_checkpoint()
            for watch in running:
                watch.start()

    def _answer(self, ticket: Ticket) -> None:
        try:
            match ticket.request:
                case protocol.Pause():
                    if self._state != "paused" or self._trouble:
                        self._flush_steps()
                        self._checkpoint()
                        self._end_trouble()
                        self._log_control("pause")
                        self._enter("paused")
                case protocol.Resume(epochs=more, lr_factor=factor):
                    if more:
                        self._plan(more)
                    if factor is not None:
                        self._answer(Ticket(protocol.Set(lr_factor=factor), lambda reply: None))
                    if self._state == "paused":
                        self._checkpoint_before_going_on()
                        self._log_control("resume")
                        self._enter("training")
                case protocol.Stop():
                    self._flush_steps()
                    self._checkpoint()
                    self._log_control("stop")
                    ticket.answer(self._hyperparameters.in_force())
                    raise Stopped
                case protocol.Checkpoint():
                    self._checkpoint()
                    self._log_control("checkpoint")
                case protocol.Set():
                    for change in self._hyperparameters.apply(ticket.request):
                        self._log_control(change.command, change.after, change.before)
                    self._learner.set_muon_ratio(self._hyperparameters.muon_ratio)
                case _:
                    self._inference.take(ticket)
                    return
            ticket.answer(self._hyperparameters.in_force())
        except Diverged as error:
            ticket.refuse(error)
            raise
        except Unwritable as error:
            self._wanted, refusal = refused(ticket.request, self._wanted, error)
            ticket.refuse(refusal)
            self._wait_because_of(error)
        except UserError as error:
            ticket.refuse(error)

    def _checkpoint_before_going_on(self) -> None:
        """Where training waits for a checkpoint, write it first.

        Raises:
            Unwritable: that still fails.
        """
        if self._trouble:
            self._checkpoint()
            self._wanted = None
            self._end_trouble()

    def _plan(self, more: int) -> None:
        """Plan `more` epochs, and write that into the checkpoint before it is confirmed, so that no crash loses it.

        Raises:
            UserError: the checkpoint could not be written, and nothing has changed.
        """
        self._progress.plan_more(more)
        try:
            self._checkpoint()
        except UserError:
            self._progress.segments.pop()
            raise
        self._log.write(run_event(self._directory, self._run, self._progress, self._learner.kernels))

    def _flush_steps(self) -> None:
        """Write the event of the steps since the one before, if it is time for it."""
        if self._step_events.is_due:
            self._write_step_event()

    def _log_control(self, command: str, value: float | None = None, before: float | UnsetType = UNSET) -> None:
        epoch, step = self._progress.epoch, self._progress.step
        self._log.write(ev.ControlEvent(command=command, value=value, epoch=epoch, step=step, before=before))
