from pathlib import Path

import numpy as np
import pytest

from export.pictures import Pictures, read_pictures
from fathom.errors import Code, FathomError
from fathom.geometry import PAD_RGB
from tests.export.conftest import write_photos


def test_frames_are_letterboxed_photos_and_nothing_else(pictures: Pictures) -> None:
    assert pictures.frames.shape == (2, 64, 96, 3)
    # 128x96 into 96x64 leaves columns on both sides: 85 of 96 are the photo's.
    assert (pictures.frames[~pictures.content] == PAD_RGB).all()
    assert pictures.content.sum() == 2 * 64 * 85


def test_a_large_folder_is_sampled_at_even_steps(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 6)
    every = read_pictures(folder, (64, 96)).frames
    np.testing.assert_array_equal(read_pictures(folder, (64, 96), 3).frames, every[[0, 2, 4]])


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        read_pictures(tmp_path, (64, 96))
    assert caught.value.code is Code.BAD_DATA
