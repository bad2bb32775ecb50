"""Samples read when they are looked at: for sets that are too large to keep decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from training.data.reader import Reader
from training.data.sample import Sample


@dataclass(frozen=True, slots=True)
class Lazily:
    """ids of a reader as samples; `finish` is done to each, every time."""

    reader: Reader
    ids: Sequence[str]
    finish: Callable[[Sample], Sample]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.finish(self.reader.read(self.ids[index]))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))
