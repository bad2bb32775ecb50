"""A run's figures and sheets for TensorBoard, an optional extra. Knows no loop."""

from collections.abc import Mapping
from pathlib import Path

from fathom.errors import Code, FathomError
from training.data.pictures import read_image


class Board:
    """Event files in a folder; a resumed run goes on after `epochs`, what came later is dropped.

    raises  BAD_SETTING if TensorBoard is not installed
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise FathomError(
                Code.BAD_SETTING,
                expected="TensorBoard installed, for --tensorboard",
                got=str(error),
                repair="pip install 'fathom-depth[tensorboard]', or leave the flag out",
            ) from error
        self.writer = SummaryWriter(folder, purge_step=epochs)

    def note(self, epoch: int, figures: Mapping[str, object], sheet: Path) -> None:
        """Every number of an epoch by its name, those of the validation under val/."""
        for name, value in figures.items():
            inner = value if isinstance(value, Mapping) else {}
            for key, number in {
                name: value,
                **{f"{name}/{k}": v for k, v in inner.items()},
            }.items():
                if isinstance(number, int | float):
                    self.writer.add_scalar(key, number, epoch)
        picture = read_image(sheet)
        self.writer.add_image("sheet", picture, epoch, dataformats="HWC")
        self.writer.flush()
