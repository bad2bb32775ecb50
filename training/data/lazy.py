"""Samples read when they are looked at: for sets that are too large to keep decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fathom.geometry import RGB
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

    def pictures(self) -> Iterator[RGB]:
        """The pictures alone, as they are stored."""
        return (self.reader.read(id_).image for id_ in self.ids)


@dataclass(frozen=True, slots=True)
class Joined:
    """Several sets as one, in their order."""

    parts: Sequence[Lazily]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)
