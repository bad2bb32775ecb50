"""What the C allocator does with memory that a frame gave back: keep it for the next one.

glibc hands freed blocks of 128 KiB and more back to the kernel, and the next frame's message, which
is as large, meets fresh pages again: where nothing else is in hand, putting a map of 160 KiB into a
message takes 30 times as long. What is kept is bounded; whole photos still go back.
"""

import ctypes

# Of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8

# A camera's raw picture and its depth at full size lie below this; a 12-megapixel photo does not.
_KEPT_BLOCK_BYTES = 4 * 2**20
# Free memory at the end of an arena that stays; more goes back.
_KEPT_BYTES = 16 * 2**20
# Threads share so many arenas: each keeps what it once needed.
_ARENAS = 4


def keep_freed_memory() -> bool:
    """Ask the allocator of this process to keep freed blocks of a frame's size.

    For a program's first line, not for libraries: it holds for everything in the process.

    returns  False where the allocator is not glibc's, and nothing was changed
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = {
        _MMAP_THRESHOLD: _KEPT_BLOCK_BYTES,
        _TRIM_THRESHOLD: _KEPT_BYTES,
        _TOP_PAD: _KEPT_BLOCK_BYTES,
        _ARENA_MAX: _ARENAS,
    }
    accepted = [mallopt(name, value) for name, value in settings.items()]
    return all(accepted)
