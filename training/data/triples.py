"""Frames of a video with both neighbours, for learning depth from motion. Knows no network.

The camera has to be known, for a moved pixel is looked up by it: its focal length, its centre in
the middle. All three frames are recoloured and mirrored alike, or they would not look alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Camera, FocalLength, Intrinsics, Letterbox, resize_map
from training.data.augment import Policy, recolour
from training.data.sample import Batch, Sample
from training.students.spec import StudentSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A letterboxed picture (H, W, 3) uint8 RGB.

    refined  (H, W) float32, depth refined from patches as the student would say it; or None
    """

    image: RGB
    refined: F32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """A video in memory, of network size, and the camera in pixels of that size."""

    frames: Sequence[Frame]
    camera: Intrinsics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triple:
    """Frames in order of time, (3, H, W, 3) uint8, what is known of the middle, and the camera."""

    frames: RGB
    refined: F32 | None
    camera: Intrinsics


def load_clip(samples: Iterable[Sample], spec: StudentSpec, camera: Camera | None = None) -> Clip:
    """Every frame, letterboxed as in service.

    samples  in order of time, of one size and one camera
    camera   None: as the first sample says
    """
    frames: list[Frame] = []
    seen: Intrinsics | None = None
    for sample in samples:
        height, width = size = (sample.image.shape[0], sample.image.shape[1])
        box = Letterbox(size, (spec.height_px, spec.width_px))
        down, across = box.scale
        told = (camera or FocalLength(sample.focal_px)).for_size(size)
        cx, cy = box.to_network((width - 1) / 2, (height - 1) / 2)
        seen = seen or Intrinsics(told.fx * across, told.fy * down, cx, cy)
        refined = None
        if sample.refined is not None:
            # Metres of the camera become the student's, as `collate` does it.
            factor = np.float32(spec.focal_px / (sample.focal_px * across))
            refined = np.full(box.network_size, np.nan, np.float32)
            refined[box.content] = resize_map(sample.refined, box.content_size) * factor
        frames.append(Frame(image=box.embed(sample.image), refined=refined))
    if seen is None:
        raise AssertionError("a reader has pictures")
    return Clip(frames=frames, camera=seen)


class Triples:
    """Endless epochs of frames with the ones `apart` before and after them, in batches.

    Which and how they look follows from (seed, epoch, place) alone.
    """

    def __init__(
        self, clips: Sequence[Clip], batch_size: int, policy: Policy, seed: int, *, apart: int = 1
    ) -> None:
        self.clips, self.batch_size, self.policy = clips, batch_size, policy
        self.seed, self.apart = seed, apart
        self.middles = [
            (clip, number) for clip in clips for number in range(apart, len(clip.frames) - apart)
        ]
        if len(self.middles) < batch_size:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"at least one batch of {batch_size} frames with both neighbours",
                got=f"{len(self.middles)}",
                repair="give a longer video or a smaller --batch-size",
            )

    def __len__(self) -> int:
        return len(self.middles) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch; the same ones whenever it is asked for."""
        order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.middles))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield stack([self.view(epoch, int(place)) for place in chosen])

    def view(self, epoch: int, place: int) -> Triple:
        """How three frames look in this epoch."""
        rng = np.random.default_rng((self.seed, epoch, place + 1))
        clip, number = self.middles[place]
        three = [clip.frames[number + step] for step in (-self.apart, 0, self.apart)]
        frames = np.stack([frame.image for frame in three])
        # One exposure and white balance for all three: as one tall picture.
        tall = recolour(frames.reshape(-1, *frames.shape[2:]), self.policy, rng)
        triple = Triple(
            frames=tall.reshape(frames.shape), refined=three[1].refined, camera=clip.camera
        )
        return mirrored(triple) if rng.random() < self.policy.flip else triple


def mirrored(triple: Triple) -> Triple:
    """Left for right; the camera's centre goes along."""
    camera = triple.camera
    cx = triple.frames.shape[2] - 1 - camera.cx
    return replace(
        triple,
        frames=np.ascontiguousarray(triple.frames[:, :, ::-1]),
        refined=None if triple.refined is None else np.ascontiguousarray(triple.refined[:, ::-1]),
        camera=Intrinsics(camera.fx, camera.fy, cx, camera.cy),
    )


def stack(triples: Sequence[Triple]) -> Batch:
    """A batch without depth: there is nothing but motion to learn from."""
    frames = torch.from_numpy(np.stack([triple.frames for triple in triples]))
    cameras = [(c.fx, c.fy, c.cx, c.cy) for c in (triple.camera for triple in triples)]
    refined = [triple.refined for triple in triples if triple.refined is not None]
    shape = frames[:, 1].shape[:3]
    return Batch(
        frames=frames[:, 1].contiguous(),
        depth_m=torch.zeros(shape),
        valid=torch.zeros(shape, dtype=torch.bool),
        refined=torch.from_numpy(np.stack(refined)) if len(refined) == len(triples) else None,
        neighbours=frames[:, [0, 2]],
        camera=torch.tensor(cameras),
    )
