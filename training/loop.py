"""The training loop: the only place where weights change. Knows no recipe or term by name."""

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from tqdm import tqdm

from fathom.errors import Code, FathomError
from training.average import WeightAverage
from training.board import Board
from training.checkpoint import Parts, Progress, resume_run, save_run
from training.contact_sheet import Row, write_contact_sheet
from training.data.nyu import NyuFolder
from training.data.sample import Batch, Sample
from training.evaluation import answered, evaluate, least_fitted, scored_student
from training.feed import feed
from training.losses import Term, check_used
from training.memory import keep_freed_memory
from training.parallel import ALONE, World, share_statistics
from training.recipes.recipe import Recipe
from training.settings import TrainSettings
from training.students.checkpoint import go_on_from, save_student, write_atomically
from training.students.encoder import load_imagenet
from training.students.student import Prediction, Student

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.jsonl"
SHEET_ROWS = 8
# What may change when a run is resumed: where it lives, how fast it goes, and how long it will be
# (time on a machine runs out; rates then follow the new length). Bits repeat if none of it does.
PATHS = {"data", "encoder_weights", "out", "teacher_weights", "teacher_cache", "unlabelled"}
PATHS |= {"auxiliary", "feature_teacher", "own_teacher", "sequence", "start_from"}
MAY_CHANGE = PATHS | {"resume", "threads", "epochs", "tensorboard"}


class Tally:
    """What an epoch's terms said and used, by name."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.values = {term.name: 0.0 for term in terms}
        self.elements = {term.name: 0 for term in terms}
        self.gradient_norm = 0.0
        self.steps = 0

    def add(self, name: str, value: float, elements: int) -> None:
        self.values[name] += value
        self.elements[name] += elements

    def end_step(self, gradient_norm: float) -> None:
        self.gradient_norm += gradient_norm
        self.steps += 1

    def means(self) -> dict[str, float]:
        sums = {**self.values, "gradient_norm": self.gradient_norm}
        return {name: total / max(self.steps, 1) for name, total in sums.items()}


def train(settings: TrainSettings, recipe: Recipe, world: World = ALONE) -> Path:
    """Fit to the last epoch; after each, validate, note and save, so that a kill costs one epoch.

    world    the processes among which each batch is divided; the first one writes
    returns  the file of the averaged weights with the best delta1 on the validation pictures, or of
             the last ones
    raises   BAD_SETTING, BAD_DATA, BAD_MODEL
    """
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    folder = NyuFolder(settings.data)
    student = make_student(settings)
    companion = recipe.companion(settings, student)
    if world.size > 1:
        share_statistics(student)
        share_statistics(companion.learns)
    optimizer = make_optimizer(student, companion.learns, settings)
    average = WeightAverage(student, settings.ema_decay)
    parts = Parts(
        student=student,
        average=average.student,
        companion=companion.learns,
        optimizer=optimizer,
    )
    learning = [*student.parameters(), *companion.learns.parameters()]
    with world.first_alone():
        progress = start_or_resume(settings, parts, world)
        loader = feed(settings, recipe, folder, student.spec)
    shown = [folder.read(id_) for id_ in spread(folder.ids(settings.val_part), SHEET_ROWS)]
    steps_in_all = settings.epochs * len(loader)
    wanted = settings.tensorboard and world.first
    board = Board(settings.out / "board", progress.epochs) if wanted else None

    with progress_bar(progress.epochs * len(loader), steps_in_all, world) as bar:
        for epoch in range(progress.epochs, settings.epochs):
            began_s = time.monotonic()
            world.draw_apart(settings.seed, epoch)
            tally = Tally(recipe.terms)
            for step, batch in enumerate(loader.epoch(epoch), start=epoch * len(loader)):
                done, count = step / steps_in_all, len(batch.frames)
                set_rates(optimizer, recipe.learning_rate(done))
                with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
                    answer = companion(student, world.share(batch, count), done)
                loss = total(recipe.terms, world.whole(answer, count), done, tally)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                world.sum_gradients(learning)
                norm = float(nn.utils.clip_grad_norm_(learning, settings.clip_norm))
                refuse_nonfinite(norm, epoch, tally)
                optimizer.step()
                average.update(student, step)
                tally.end_step(norm)
                bar.update()
            check_used(tally.elements)
            fit_s = time.monotonic() - began_s
            if not world.first:
                continue
            progress = finish_epoch(settings, average.student, folder, progress, tally, fit_s)
            sheet = settings.out / "sheets" / f"{epoch:03d}.png"
            draw(sheet, average.student, shown)
            if board is not None:
                board.note(epoch, last_line(settings.out / METRICS), sheet)
            # Last: an epoch is done once everything about it is on disk.
            save_run(settings.out / LAST, parts, progress, what_it_computes(settings))
            bar.set_postfix(epoch=epoch, best=f"{progress.best_delta1:.4f}")
    return settings.out / BEST


def total(
    terms: Sequence[Term], answer: tuple[Prediction, Batch], done: float, tally: Tally
) -> Tensor:
    """The weighted sum of what the terms say about an answer."""
    loss = torch.zeros(())
    for term in terms:
        value, elements = term(*answer)
        loss = loss + term.weight(done) * value
        tally.add(term.name, float(value.detach()), elements)
    return loss


def progress_bar(done: int, in_all: int, world: World) -> "tqdm[NoReturn]":
    """Time left on a screen; in a log file one line a minute."""
    quiet_s = 0.5 if sys.stderr.isatty() else 60.0
    hidden = not world.first
    return tqdm(total=in_all, initial=done, unit="step", mininterval=quiet_s, disable=hidden)


def make_student(settings: TrainSettings) -> Student:
    """A student with fresh decoder, in the memory order CPU convolutions like (6 % of a step)."""
    student = Student(settings.spec)
    if settings.encoder_weights:
        load_imagenet(student.encoder, settings.encoder_weights)
    if settings.start_from:
        go_on_from(settings.start_from, student)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return student.train()


def make_optimizer(student: Student, beside: nn.Module, settings: TrainSettings) -> AdamW:
    """Two peak rates; decay on matrices only, for a shrunken bias or norm regularises nothing."""
    encoder = list(student.encoder.parameters())
    known = set(encoder)
    fresh = [p for p in (*student.parameters(), *beside.parameters()) if p not in known]
    groups = [
        {
            "params": [p for p in part if p.requires_grad and (p.ndim > 1) is is_matrix],
            "peak_lr": lr,
            "weight_decay": settings.weight_decay if is_matrix else 0.0,
        }
        for part, lr in ((encoder, settings.encoder_lr), (fresh, settings.decoder_lr))
        for is_matrix in (True, False)
    ]
    return AdamW(groups)


def set_rates(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def start_or_resume(settings: TrainSettings, parts: Parts, world: World) -> Progress:
    """An empty run folder, or the state of the run in it and its metrics up to that state."""
    last = settings.out / LAST
    (settings.out / "sheets").mkdir(parents=True, exist_ok=True)
    if settings.resume:
        progress = resume_run(last, parts, what_it_computes(settings), unsaid())
        if not world.first:
            return progress
        kept = (settings.out / METRICS).read_text().splitlines(keepends=True)[: progress.epochs]
        write_atomically(settings.out / METRICS, "".join(kept).encode())
        return progress
    if last.exists():
        raise FathomError(
            Code.BAD_SETTING,
            expected="a folder for a new run",
            got=f"{settings.out}, which holds one",
            repair="add --resume to go on with it, or give another --out",
        )
    return Progress()


def finish_epoch(
    settings: TrainSettings,
    student: Student,
    folder: NyuFolder,
    progress: Progress,
    tally: Tally,
    fit_s: float,
) -> Progress:
    """Validate the averaged student, keep it if it is the one to keep, and note the epoch."""
    epoch = progress.epochs
    scored = scored_student(student)
    report = evaluate(scored, folder, settings.val_part, least_fitted(scored))
    val = asdict(report.mean)
    progress = replace(progress, epochs=epoch + 1)
    if report.mean.delta1 > progress.best_delta1 or settings.keep == "last":
        progress = replace(progress, best_epoch=epoch, best_delta1=report.mean.delta1)
        notes = {"settings": settings.model_dump(mode="json"), "epoch": epoch, "val": val}
        save_student(settings.out / BEST, student.spec, student.state_dict(), notes)
    line = {"epoch": epoch, "of": settings.epochs, "fit_s": round(fit_s, 1), **tally.means()}
    with (settings.out / METRICS).open("a") as file:
        file.write(json.dumps({**line, "val": val}) + "\n")
    return progress


def draw(path: Path, student: Student, shown: Sequence[Sample]) -> None:
    """What the student says about some pictures."""
    scored = scored_student(student)
    scoring = least_fitted(scored)
    write_contact_sheet(path, [Row(s, answered(scored, s, scoring)[0]) for s in shown])


def last_line(path: Path) -> Mapping[str, object]:
    """The figures of the newest epoch."""
    figures: Mapping[str, object] = json.loads(path.read_text().splitlines()[-1])
    return figures


def refuse_nonfinite(norm: float, epoch: int, tally: Tally) -> None:
    if not math.isfinite(norm):
        raise FathomError(
            Code.BAD_SETTING,
            expected="finite gradients",
            got=f"a norm of {norm} in epoch {epoch} after {tally.steps} steps, sums {tally.values}",
            repair="resume with lower rates; the last good state is on disk",
        )


def what_it_computes(settings: TrainSettings) -> Mapping[str, object]:
    """The settings that decide every number of a run."""
    return {key: v for key, v in settings.model_dump(mode="json").items() if key not in MAY_CHANGE}


def unsaid() -> Mapping[str, object]:
    """What a setting was in runs from before it existed: its default."""
    return {name: field.default for name, field in TrainSettings.model_fields.items()}


def spread(ids: Sequence[str], count: int) -> Sequence[str]:
    """About `count` ids at even distance: neighbours mostly show the same room."""
    return ids[:: max(1, len(ids) // count)][:count]
