"""What a run or an evaluation is told. Knows what each setting means, not what is done with it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import CliPositionalArg

from training.data.forms import FORMS
from training.data.reader import ALL
from training.evaluation import PROTOCOLS
from training.flags import FlagSettings
from training.recipes import RECIPES, compose
from training.students.spec import ClassCount, DecoderName, EncoderName, HeadName, StudentSpec
from training.teachers.choice import TEACHERS


class TrainSettings(FlagSettings):
    """Fit a student by a recipe and keep the weights that do best on pictures it was not fitted on.

    python -m training --recipe supervised --data nyuv2 --encoder-weights mnv2.safetensors --out run
    """

    recipe: str = Field(
        "supervised", description=f"one of: {', '.join(RECIPES)}; or several, as in a+b"
    )
    data: Path = Field(description="NYU folder, see training/data/nyu.py for its form")
    encoder_weights: Path | None = Field(
        None, description="safetensors with torchvision's keys of --encoder; none: random weights"
    )
    start_from: Path | None = Field(
        None, description="checkpoint of ours to go on from; what it lacks starts fresh"
    )
    encoder: EncoderName = Field("mobilenet-v2", description="from pixels to feature maps")
    decoder: DecoderName = Field(
        "slim", description="from feature maps to logits; the others are for comparison"
    )
    head: HeadName = Field(
        "metric", description="metres, metres over bins, or inverse depth up to scale and shift"
    )
    classes: Annotated[ClassCount, BeforeValidator(int)] = Field(
        0, description="13: a segmentation head too, for a term that needs it"
    )
    attention: int = Field(
        0, ge=0, description="stripes in which an encoder's channels attend to each other; 0: not"
    )
    detail: bool = Field(
        default=False, description="a base from half the picture, detail from all of it"
    )
    metric_scale: bool = Field(
        default=True, description="depth is metres; off: up to one factor, and so it is scored"
    )
    out: Path = Field(description="folder for checkpoints, metrics and contact sheets")
    resume: bool = Field(default=False, description="go on from OUT/last.safetensors")
    fit_part: str = Field("train_fit", description="list of pictures to fit on")
    val_part: str = Field("val", description="list of pictures to choose the best weights by")
    keep: Literal["best", "last"] = Field(
        "best", description="epoch whose weights stay; last where VAL_PART was fitted on too"
    )
    teacher: str | None = Field(
        None, description=f"one of: {', '.join(TEACHERS)}; none: no teacher"
    )
    teacher_weights: Path | None = Field(
        None, description="folder with the published teachers' files, or the file of own and onnx"
    )
    teacher_cache: Path | None = Field(
        None,
        description="folder for its answers, which runs may share; none: OUT/taught",
    )
    own_teacher: Path | None = Field(
        None, description="checkpoint of ours, asked about patches beside --teacher"
    )
    sequence: Path | None = Field(
        None, description="video or frames in order, for recipes that learn from motion"
    )
    hfov_deg: float | None = Field(
        None, gt=0, lt=180, description="its camera's horizontal field of view; none: as it says"
    )
    frames_apart: int = Field(1, ge=1, description="frames to either neighbour; more if it is slow")
    unlabelled: Path | None = Field(
        None, description="folder of pictures without depth for the teacher, taken as 4:3"
    )
    unlabelled_scale: Literal["free", "teacher"] = Field(
        "free", description="take shape alone from the teacher there, or its metres too"
    )
    auxiliary: Path | None = Field(
        None, description="another data set of any known form, whose depth is used too"
    )
    labelled: bool = Field(
        default=True, description="fit on FIT_PART; off: on unlabelled pictures alone"
    )
    feature_teacher: Path | None = Field(
        None, description="checkpoint of ours whose decoder and its maps spatial-kd takes over"
    )
    labels_weight: float | None = Field(
        None, gt=0, description="of the term that names classes; none: the recipe's, 0.1"
    )
    lambda_kd: float | None = Field(
        None, ge=0, le=1, description="share of the loss towards the teacher; none: no teacher"
    )
    unlabelled_per_labelled: float | None = Field(
        None,
        gt=0,
        description="unlabelled or auxiliary pictures for each labelled one, beside the batch",
    )
    epochs: int = Field(60, ge=1, description="times every picture is seen")
    schedule: Literal["one-cycle", "poly"] | None = Field(
        None, description="of the rates; none: the recipe's own"
    )
    batch_size: int = Field(8, ge=2, description="pictures a step; BatchNorm needs two")
    encoder_lr: float = Field(3e-4, gt=0, description="peak rate of pretrained layers")
    decoder_lr: float = Field(1e-3, gt=0, description="peak rate of fresh layers")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's, on matrices only")
    clip_norm: float = Field(5.0, gt=0, description="largest gradient norm of a step")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="share of the average kept a step")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of coarsest decoder channels")
    precision: Literal["bf16", "f32"] = Field("bf16", description="of the forward pass")
    tensorboard: bool = Field(
        default=False,
        description="write OUT/board too; needs pip install 'fathom-depth[tensorboard]'",
    )
    threads: int = Field(2, ge=1, description="torch threads; more than cores only hurts")
    seed: int = Field(0, ge=0, description="decides weights, order and augmentation")

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, name: str) -> str:
        if not set(name.split("+")) <= RECIPES.keys():
            raise ValueError(f"one of {', '.join(RECIPES)}, or several joined by +")
        return name

    @property
    def spec(self) -> StudentSpec:
        """The student that these settings ask for."""
        spec = StudentSpec(
            dropout=self.dropout,
            encoder=self.encoder,
            decoder=self.decoder,
            head=self.head,
            classes=self.classes,
            attention=self.attention,
            detail=self.detail,
            metric_scale=self.metric_scale,
        )
        # A network that sees pictures at half size gets twice as large ones: it is to see the same.
        return spec.enlarged(2) if self.decoder == "reference-002" else spec

    def with_preset(self) -> Self:
        """These settings, with the recipe's own wherever nothing was said."""
        preset = compose(self.recipe).preset
        unsaid = {key: value for key, value in preset.items() if key not in self.model_fields_set}
        return self.model_copy(update=unsaid)


class EvalSettings(FlagSettings):
    """Score a checkpoint, a model or a teacher under a named protocol, or check what it promises.

    python -m training eval --checkpoint run/best.safetensors --data nyuv2 --split val
    python -m training eval --model indoor-mnv2 --data nyuv2 --check border
    python -m training eval --teacher meter --teacher-weights weights --data nyuv2 --flip
    """

    checkpoint: Path | None = Field(None, description="student made by training")
    model: str | None = Field(None, description="model of the repository, run from its file")
    model_repository: Path = Field(Path("model_repository"), description="folder of models")
    precision: Literal["bf16", "f32"] = Field(
        "bf16", description="of a model's file; bf16 is served where the processor has it"
    )
    teacher: str | None = Field(None, description=f"one of: {', '.join(TEACHERS)}")
    teacher_weights: Path | None = Field(
        None, description="folder or file of the teacher, as in training"
    )
    data: Path = Field(description="data set: a folder, or a .mat file")
    form: str | None = Field(None, description=f"one of: {', '.join(FORMS)}; none: look and see")
    split: str = Field("val", description="list of pictures; test is for weights that ship, once")
    protocol: str = Field("nyu-eigen", description=f"one of: {', '.join(PROTOCOLS)}")
    align: Literal["raw", "median", "affine"] = Field(
        "raw", description="what is fitted to the truth; any fit is in the name of the figures"
    )
    flip: bool = Field(default=False, description="average with the mirrored picture's answer")
    check: Literal["border", "focal"] | None = Field(
        None, description="a promise to check instead of scoring; exit status 1 if it is broken"
    )
    report: Path | None = Field(
        None,
        description="JSON file to write, with a sheet of the worst pictures beside it; none: beside"
        " the checkpoint, named after split and protocol, and nothing for a model or a teacher",
    )
    threads: int = Field(2, ge=1, description="torch threads")

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(f"one of {', '.join(PROTOCOLS)}")
        return name

    @field_validator("form")
    @classmethod
    def _known_form(cls, name: str | None) -> str | None:
        if name is not None and name not in FORMS:
            raise ValueError(f"one of {', '.join(FORMS)}")
        return name


class CentreSettings(FlagSettings):
    """Make a student's middle error on the pictures it was fitted on zero.

    python -m training centre --checkpoint run/best.safetensors --data nyuv2 --out run/centred
    """

    checkpoint: Path = Field(description="student made by training")
    data: Path = Field(description="data set that it was fitted on")
    part: str = Field("train_fit", description="list of pictures that it was fitted on")
    out: Path = Field(description="file to write")


class CheckSettings(FlagSettings):
    """Say in plain words what is right and wrong with a data set.

    python -m training check-data nyuv2 --part val
    """

    folder: CliPositionalArg[Path] = Field(description="data set: a folder, a .mat file or a video")
    form: str | None = Field(None, description=f"one of: {', '.join(FORMS)}; none: look and see")
    part: str = Field(
        ALL, description="list of pictures to look at; all, where a form has no lists"
    )
    like: Path | None = Field(None, description="another data set, to compare the scale of scenes")

    @field_validator("form")
    @classmethod
    def _known_form(cls, name: str | None) -> str | None:
        if name is not None and name not in FORMS:
            raise ValueError(f"one of {', '.join(FORMS)}")
        return name


class AblationSettings(FlagSettings):
    """Train what a plan lists, or take runs that are there, and tell all of them in one report.

    python -m training ablation --plan plan.toml --out runs --report ablation.json
    python -m training ablation runs/supervised-s0 runs/supervised-s1 --report ablation.json
    """

    folders: CliPositionalArg[list[Path]] = Field([], description="runs that are there")
    plan: Path | None = Field(None, description="TOML, see training/ablation.py for its form")
    out: Path = Field(Path("runs"), description="folder for the folders of the plan's runs")
    report: Path = Field(description="JSON file to write; a table goes beside it")
