"""What a run or an evaluation is told from outside: flags, then FATHOM_TRAINING_* variables.

Knows what each setting means and its limits, not what is done with it.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from training.evaluation import PROTOCOLS
from training.recipes import RECIPES

CONFIG = SettingsConfigDict(
    frozen=True,
    extra="forbid",
    env_prefix="FATHOM_TRAINING_",
    cli_kebab_case=True,
    cli_implicit_flags=True,
    cli_hide_none_type=True,
    cli_avoid_json=True,
)


class TrainSettings(BaseSettings):
    """Fit a student by a recipe and keep the weights that do best on pictures it was not fitted on.

    python -m training --recipe supervised --data nyuv2 --encoder-weights mnv2.safetensors --out run
    """

    model_config = CONFIG

    recipe: str = Field("supervised", description=f"one of: {', '.join(RECIPES)}")
    data: Path = Field(description="NYU folder, see training/data/nyu.py for its form")
    encoder_weights: Path | None = Field(
        None, description="safetensors with torchvision's MobileNetV2 keys; none: random weights"
    )
    out: Path = Field(description="folder for checkpoints, metrics and contact sheets")
    resume: bool = Field(
        default=False, description="go on from OUT/last.safetensors, to the same end"
    )
    fit_part: str = Field("train_fit", description="list of pictures to fit on")
    val_part: str = Field("val", description="list of pictures to choose the best weights by")
    epochs: int = Field(60, ge=1, description="times every picture is seen")
    batch_size: int = Field(8, ge=2, description="pictures a step; BatchNorm needs two")
    encoder_lr: float = Field(3e-4, gt=0, description="peak rate of pretrained layers")
    decoder_lr: float = Field(1e-3, gt=0, description="peak rate of fresh layers")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's, on matrices only")
    clip_norm: float = Field(5.0, gt=0, description="largest gradient norm of a step")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="share of the average kept a step")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of coarsest decoder channels")
    precision: Literal["bf16", "f32"] = Field("bf16", description="of the forward pass")
    threads: int = Field(2, ge=1, description="torch threads; more than cores only hurts")
    seed: int = Field(0, ge=0, description="decides weights, order and augmentation")

    @model_validator(mode="after")
    def _known_recipe(self) -> Self:
        if self.recipe not in RECIPES:
            raise ValueError(f"no recipe {self.recipe}; there are {', '.join(RECIPES)}")
        return self

    def with_preset(self) -> Self:
        """These settings, with the recipe's own wherever nothing was said."""
        preset = RECIPES[self.recipe].preset
        unsaid = {key: value for key, value in preset.items() if key not in self.model_fields_set}
        return self.model_copy(update=unsaid)


class EvalSettings(BaseSettings):
    """Score a checkpoint under a named protocol; prints a table and writes JSON.

    python -m training eval --checkpoint run/best.safetensors --data nyuv2 --split val
    """

    model_config = CONFIG

    checkpoint: Path = Field(description="student made by training")
    data: Path = Field(description="NYU folder")
    split: str = Field("val", description="list of pictures; test is for weights that ship, once")
    protocol: str = Field("nyu-eigen", description=f"one of: {', '.join(PROTOCOLS)}")
    report: Path | None = Field(
        None, description="JSON file to write; none: beside the checkpoint, named after the split"
    )
    threads: int = Field(2, ge=1, description="torch threads")

    @model_validator(mode="after")
    def _known_protocol(self) -> Self:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"no protocol {self.protocol}; there are {', '.join(PROTOCOLS)}")
        return self
