"""The students that the suites run over, small enough to make by the dozen."""

from typing import get_args

import torch
from torch import nn

from training.students.spec import DecoderName, EncoderName, HeadName, StudentSpec
from training.students.student import Student

SIZE = (64, 96)
SHIPPED: tuple[EncoderName, ...] = ("mobilenet-v2", "resnet18")
DECODERS: tuple[DecoderName, ...] = get_args(DecoderName)
HEADS: tuple[HeadName, ...] = get_args(HeadName)


def spec(
    encoder: EncoderName = "mobilenet-v2",
    decoder: DecoderName = "slim",
    head: HeadName = "metric",
    *,
    classes: bool = False,
) -> StudentSpec:
    return StudentSpec(
        height_px=SIZE[0],
        width_px=SIZE[1],
        encoder=encoder,
        decoder=decoder,
        head=head,
        classes=13 if classes else 0,
    )


ALL = tuple(
    spec(encoder, decoder, head, classes=classes)
    for encoder in SHIPPED
    for decoder in DECODERS
    for head in HEADS
    for classes in (False, True)
)


def name_of(one: StudentSpec) -> str:
    return "-".join((one.encoder, one.decoder, one.head, *(["classes"] if one.classes else [])))


def lively(one: StudentSpec) -> Student:
    """A student with random weights whose answers differ from place to place, in eval mode.

    Fresh weights make every logit nearly the same, which would hide most mistakes.
    """
    torch.manual_seed(0)
    student = Student(one).train()
    with torch.no_grad():
        student(frames(4))  # BatchNorm statistics of these very frames
        *_, last = (m for m in student.decoder.modules() if isinstance(m, nn.Conv2d))
        last.weight.mul_(10)
        student.eval()
        if student.segmentation is not None:  # no class ahead of the others everywhere
            logits = student.segmentation(student(frames(4)).features)
            bias = student.segmentation.predict.bias
            assert bias is not None
            bias.sub_(logits.mean((0, 2, 3)))
    return student


def frames(count: int) -> torch.Tensor:
    """(count, H, W, 3) uint8: coarse colours, no two pictures alike."""
    generator = torch.Generator().manual_seed(count)
    coarse = torch.rand((count, 3, 5, 7), generator=generator) * 255
    fine = nn.functional.interpolate(coarse, SIZE, mode="bicubic")
    return fine.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()
