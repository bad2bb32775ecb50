"""Learn depth from the motion of made-up videos, whose depth and motion are exactly known.

    python -m benchmarks.self_supervision --encoder-weights mnv2.safetensors

What recipe `self-supervised` trains, a student and a pose network, on videos of a few rooms. Says
how far the loss falls, AbsRel of depth after each picture was given the median of its truth (beside
a flat wall at that median, the least there is to beat), and how the found motion agrees with the
true one: mean cosine between shifts, and correlation per axis. Figures are of the videos fitted on,
for what is asked is whether motion leads to depth at all.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from benchmarks.results import FOLDER, write_result
from fathom.geometry import F32
from training.data.augment import Policy
from training.data.made_video import MadeVideo
from training.data.reader import ALL
from training.data.triples import Clip, Triples, load_clip
from training.recipes.self_supervised import SELF_SUPERVISED, WithMotion
from training.students.encoder import load_imagenet
from training.students.spec import StudentSpec
from training.students.student import Student

SIZE, FRAMES, APART, BATCH = (64, 96), 48, 4, 6
SPEC = StudentSpec(
    height_px=SIZE[0], width_px=SIZE[1], focal_px=0.81 * SIZE[1], dropout=0.0, metric_scale=False
)


class Told:
    """What the companion may look at."""

    epochs, feature_teacher = 1, None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder-weights", type=Path, help="MobileNetV2; none: random weights")
    parser.add_argument("--rooms", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=FOLDER / "self_supervision.json")
    options = parser.parse_args(argv)
    load_before = os.getloadavg()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    videos = [MadeVideo(FRAMES, SIZE, seed=room) for room in range(options.rooms)]
    clips = [load_clip((v.read(id_) for id_ in v.ids(ALL)), SPEC) for v in videos]
    student = Student(SPEC)
    if options.encoder_weights:
        load_imagenet(student.encoder, options.encoder_weights)
    companion = WithMotion(Told(), student)
    before = figures(student, companion.learns, videos, clips)
    losses = fit(student, companion, clips, options.steps)
    after = figures(student, companion.learns, videos, clips)
    tenth = max(1, len(losses) // 10)
    said = {
        "loss": {"first tenth": mean(losses[:tenth]), "last tenth": mean(losses[-tenth:])},
        "before": before,
        "after": after,
    }
    print(json.dumps(said, indent=1))
    write_result(options.json, said, load_before)
    return 0


def fit(student: Student, companion: WithMotion, clips: Sequence[Clip], steps: int) -> list[float]:
    """The recipe's terms and rates, in float32, without an average of weights."""
    encoder = list(student.encoder.parameters())
    fresh = [*student.decoder.parameters(), *companion.learns.parameters()]
    optimizer = torch.optim.AdamW([{"params": encoder}, {"params": fresh}], weight_decay=0.01)
    peaks = [float(SELF_SUPERVISED.preset[name]) for name in ("encoder_lr", "decoder_lr")]
    triples = Triples(clips, BATCH, Policy(), 0, apart=APART)
    losses: list[float] = []
    with tqdm(total=steps, unit="step", mininterval=5.0) as bar:
        while len(losses) < steps:
            for batch in triples.epoch(len(losses)):
                done = len(losses) / steps
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * SELF_SUPERVISED.learning_rate(done)
                prediction, known = companion(student, batch, done)
                terms = [t.weight(done) * t(prediction, known).value for t in SELF_SUPERVISED.terms]
                loss = torch.stack(terms).sum()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_([*encoder, *fresh], 5.0)
                optimizer.step()
                losses.append(float(loss.detach()))
                bar.update()
                if len(losses) == steps:
                    break
    return losses


@torch.no_grad()
def figures(
    student: Student, pose: nn.Module, videos: Sequence[MadeVideo], clips: Sequence[Clip]
) -> Mapping[str, object]:
    """Of every sixth frame's depth, and of the motion between frames `APART` apart."""
    student.eval()
    errors, flat, found, true = [], [], [], []
    for video, clip in zip(videos, clips, strict=True):
        frames = torch.from_numpy(np.stack([frame.image for frame in clip.frames]))
        numbers = range(0, FRAMES, 6)
        depth = student(frames[list(numbers)]).depth_m.numpy()
        for answer, number in zip(depth, numbers, strict=True):
            truth_m = video.read(f"{number:06d}").depth_m
            errors.append(abs_rel(answer, truth_m))
            flat.append(abs_rel(np.ones_like(truth_m), truth_m))
        found.append(pose(frames[:-APART], frames[APART:])[:, 3:])
        steps = [video.transform(n, n + APART)[:, 3] for n in range(FRAMES - APART)]
        true.append(torch.tensor(np.stack(steps), dtype=torch.float32))
    student.train()
    shifts, truth = torch.cat(found), torch.cat(true)
    return {
        "abs_rel, median-scaled": mean(errors),
        "abs_rel of a flat wall": mean(flat),
        "cosine of shifts": float(functional.cosine_similarity(shifts, truth).mean()),
        "correlation of shifts, x y z": [
            round(correlation(shifts[:, axis], truth[:, axis]), 3) for axis in range(3)
        ],
    }


def abs_rel(answer: F32, truth_m: F32) -> float:
    scaled = answer * np.median(truth_m) / np.median(answer)
    return float((np.abs(scaled - truth_m) / truth_m).mean())


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    sys.exit(main())
