"""Which file of a model an engine reads. Knows targets by name, and no engine."""

from collections.abc import Sequence

from fathom.card import Card, ModelFile
from fathom.errors import Code, FathomError

# What only lies beside a file that is opened: OpenVINO's weights beside its network.
_BESIDE = (".bin",)


def choose_file(card: Card, targets: Sequence[str], *, int8: bool = False) -> ModelFile:
    """The card's first file for the first of these targets that it has any for.

    int8    take a quantised file; else one that is not
    raises  BAD_MODEL if there is none
    """
    for target in targets:
        for file in card.files:
            fits = file.target == target and (file.precision == "int8") == int8
            if fits and not file.path.endswith(_BESIDE):
                return file
    raise FathomError(
        Code.BAD_MODEL,
        expected=f"a card with {'an int8' if int8 else 'a'} file for {' or '.join(targets)}",
        got=", ".join(f"{file.target} {file.precision}" for file in card.files) or "no files",
        repair="export the model for it, or take another engine or precision",
    )
