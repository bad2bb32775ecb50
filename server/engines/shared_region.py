"""Memory that another process on this machine can map, and that nothing is left of when both go."""

import mmap
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux


class SharedRegion:
    """A region of memory under a name that only this user's processes can open.

    Its name is in the folder for as long as the `with` lasts: whoever maps it meanwhile keeps it,
    and a process that is killed leaves nothing behind.

    raises  OSError if there is not so much memory to share
    """

    def __init__(self, region_bytes: int) -> None:
        self.name = f"fathom-{secrets.token_hex(8)}"
        self.region_bytes = region_bytes
        descriptor = os.open(_FOLDER / self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Taken now: a region that is only promised kills whoever writes where there is none.
            os.posix_fallocate(descriptor, 0, region_bytes)
            self._memory = mmap.mmap(descriptor, region_bytes)
        except OSError:
            (_FOLDER / self.name).unlink()
            raise
        finally:
            os.close(descriptor)

    @property
    def key(self) -> str:
        """What `shm_open` takes."""
        return f"/{self.name}"

    def array(self, shape: tuple[int, ...], dtype: Any, offset_bytes: int) -> NDArray[Any]:
        """An array over part of the region; the memory lives as long as the array does."""
        return np.ndarray(shape, dtype, self._memory, offset_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        (_FOLDER / self.name).unlink(missing_ok=True)
