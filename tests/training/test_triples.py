"""Frames with their neighbours: which they are, how they look, and the camera that goes along."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fathom.errors import FathomError
from fathom.geometry import FieldOfView, Intrinsics
from training.data.augment import Policy
from training.data.forms import FORMS, recognise
from training.data.made_video import MadeVideo
from training.data.reader import ALL
from training.data.triples import Clip, Frame, Triples, load_clip, mirrored
from training.students.spec import StudentSpec

SPEC = StudentSpec(height_px=64, width_px=96, focal_px=80.0)
AS_IT_IS = Policy(flip=0.0, blur=0.0, jpeg=0.0)


def numbered(count: int) -> Clip:
    """Frames whose brightness is ten times their number."""
    frames = [Frame(image=np.full((64, 96, 3), 10 * n, np.uint8)) for n in range(count)]
    return Clip(frames=frames, camera=Intrinsics(80, 80, 47.5, 31.5))


def test_every_frame_with_both_neighbours_comes_once_an_epoch() -> None:
    triples = Triples([numbered(9), numbered(5)], 2, AS_IT_IS, 0, apart=2)
    assert [n for _, n in triples.middles] == [2, 3, 4, 5, 6, 2] and len(triples) == 3
    batches = list(triples.epoch(0))
    assert [len(batch.frames) for batch in batches] == [2, 2, 2]
    again = list(triples.epoch(0))
    assert all((a.frames == b.frames).all() for a, b in zip(batches, again, strict=True))


def test_neighbours_are_in_order_of_time_and_exposed_alike() -> None:
    batch = next(Triples([numbered(9)], 5, AS_IT_IS, 0).epoch(0))
    assert batch.neighbours is not None and batch.camera is not None
    assert batch.neighbours.shape == (5, 2, 64, 96, 3) and batch.camera.shape == (5, 4)
    means = [each.float().mean((1, 2, 3)) for each in (batch.neighbours[:, 0], batch.frames)]
    assert (means[0] < means[1]).all()
    assert (means[1] < batch.neighbours[:, 1].float().mean((1, 2, 3))).all()
    assert not batch.valid.any()


def test_too_few_frames_for_a_batch() -> None:
    with pytest.raises(FathomError, match="one batch of 4 frames with both neighbours; got 3"):
        Triples([numbered(5)], 4, AS_IT_IS, 0)


def test_a_mirrored_camera_has_its_centre_on_the_other_side() -> None:
    clip = replace(numbered(3), camera=Intrinsics(80, 80, 40.0, 31.5))
    triple = Triples([clip], 1, AS_IT_IS, 0).view(0, 0)
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None], (3, 64, 96, 3))
    triple = replace(triple, frames=ramp, refined=ramp[0, ..., 0].astype(np.float32))
    other = mirrored(triple)
    assert other.camera.cx == 95 - 40 and other.frames[1, 0, 0, 0] == 95
    assert other.refined is not None and other.refined[0, 0] == 95
    twice = mirrored(other)
    assert twice.camera == triple.camera and np.array_equal(twice.frames, triple.frames)


def test_the_camera_is_that_of_the_letterboxed_picture() -> None:
    """4:3 of 48x64 meets 64x96 at 4/3: 64 by 85, and 5 columns of padding to the left."""
    video = MadeVideo(1, (48, 64))
    clip = load_clip((video.read(id_) for id_ in video.ids(ALL)), SPEC)
    assert clip.camera.fy == pytest.approx(0.81 * 64 * 4 / 3)
    assert clip.camera.cx == pytest.approx(5 + 42) and clip.camera.cy == pytest.approx(31.5)
    told = load_clip([video.read("000000")], SPEC, FieldOfView(90.0))
    assert told.camera.fy == pytest.approx(32 * 4 / 3)


def test_refined_depth_becomes_the_students_own() -> None:
    """A camera of half the student's focal length sees everything twice as far."""
    sample = MadeVideo(1, (64, 96)).read("000000")
    sample = replace(sample, focal_px=40.0, refined=np.full((64, 96), 3.0, np.float32))
    frame = load_clip([sample], SPEC).frames[0]
    assert frame.refined is not None and frame.refined == pytest.approx(6.0)


def test_a_made_video_moves_as_it_says() -> None:
    video = MadeVideo(8, (24, 32), seed=2)
    whole = np.vstack([video.transform(0, 7), [0, 0, 0, 1]])
    steps = np.eye(4)
    for n in range(7):
        steps = np.vstack([video.transform(n, n + 1), [0, 0, 0, 1]]) @ steps
    assert steps == pytest.approx(whole)
    assert 0.005 < np.linalg.norm(video.transform(0, 1)[:, 3]) < 0.15
    assert np.array_equal(
        video.read("000003").image, MadeVideo(8, (24, 32), 2).read("000003").image
    )


def test_a_video_file_and_a_folder_of_frames_are_read(tmp_path: Path) -> None:
    video = MadeVideo(4, (48, 64))
    images = [video.read(id_).image for id_ in video.ids(ALL)]
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    (tmp_path / "frames").mkdir()
    for number, image in enumerate(images):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(tmp_path / "frames" / f"{number:04d}.png"), image[..., ::-1])
    writer.release()
    for path in (tmp_path / "v.avi", tmp_path / "frames"):
        reader = FORMS[recognise(path)].open(path)
        clip = load_clip((reader.read(id_) for id_ in reader.ids(ALL)), SPEC)
        assert len(Triples([clip], 2, AS_IT_IS, 0)) == 1
        inside = clip.frames[2].image[:, 8:88].astype(int)
        expected = load_clip([video.read("000002")], SPEC).frames[0].image[:, 8:88]
        assert np.abs(inside - expected).mean() < 8
