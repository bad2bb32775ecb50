"""The batch sizes for which an engine that captures graphs has one."""


def graph_sizes(largest: int) -> list[int]:
    """Powers of two and the largest; a batch in between is padded to the next."""
    powers = [2**k for k in range(largest.bit_length())]
    return sorted({size for size in powers if size < largest} | {largest})
