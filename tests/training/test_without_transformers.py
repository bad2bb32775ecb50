"""What a teacher of `transformers` says where the extra is not installed."""

import sys
from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from training.teachers.choice import open_teacher


@pytest.mark.parametrize("missing", ["transformers", "PIL"])
def test_the_extra_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # makes importing it fail
    with pytest.raises(FathomError, match=r"fathom-depth\[teachers\]") as caught:
        open_teacher("transformers", tmp_path)
    assert caught.value.code is Code.BAD_SETTING
