"""METER-xxs written out: MobileNetV2 blocks, three small transformers, a decoder with skips.

Papa, Russo & Amerini, METER: a mobile vision transformer architecture for monocular depth
estimation, IEEE TCSVT 2023. Module names are those of the published weights (MIT), which load as
they are. Knows no picture: normalised input (N, 3, 192, 256), output (N, 1, 48, 64) in centimetres.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS, HEAD_DIM, PATCH = 4, 8, 2


class Separable(nn.Module):
    """The published block of that name: a full 3x3 (its group count is 1), then a 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.pointwise = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


def wide(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Separable(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU())


def narrow(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Inverted(nn.Module):
    """MobileNetV2's block with expansion 2 and plain ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        hidden = 2 * inputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class Attention(nn.Module):
    """Among the pixels of one position in the patch grid: (N, positions, pixels, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_DIM
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        batch, positions, pixels, _ = x.shape
        split = self.to_qkv(x).view(batch, positions, pixels, 3, HEADS, HEAD_DIM)
        q, k, v = split.permute(3, 0, 1, 4, 2, 5)
        seen = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(seen.transpose(2, 3).flatten(3))
        return out


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        # Identities stand where the published code has dropout, whose places the names count.
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Identity(), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


class PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fn(self.norm(x))
        return x + y


class Transformer(nn.Module):
    """One layer; the published list of layers has one entry."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        layer = [PreNorm(dim, Attention(dim)), PreNorm(dim, FeedForward(dim, hidden))]
        self.layers = nn.ModuleList([nn.Sequential(*layer)])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers[0](x)
        return y


class MobileViT(nn.Module):
    """Convolve, attend among equal places of all 2x2 patches, join with the input."""

    def __init__(self, channels: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = wide(channels, channels)
        self.conv2 = narrow(channels, dim)
        self.transformer = Transformer(dim, hidden)
        self.conv3 = narrow(dim, channels)
        self.conv4 = wide(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        local = self.conv2(self.conv1(x))
        height, width = local.shape[2:]
        tokens = functional.pixel_unshuffle(local, PATCH)  # (N, dim * 4, h, w), dim first
        tokens = tokens.reshape(len(x), local.shape[1], PATCH * PATCH, -1).permute(0, 2, 3, 1)
        mixed = self.transformer(tokens).permute(0, 3, 1, 2)
        mixed = mixed.flatten(1, 2).reshape(len(x), -1, height // PATCH, width // PATCH)
        seen = self.conv3(functional.pixel_shuffle(mixed, PATCH))
        y: Tensor = self.conv4(torch.cat([seen, x], 1))
        return y


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = wide(3, 16, stride=2)
        shapes = ((16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 24, 1), (24, 48, 2), (48, 64, 2))
        self.mv2 = nn.ModuleList(Inverted(*shape) for shape in (*shapes, (64, 80, 2)))
        self.mvit = nn.ModuleList(
            [MobileViT(48, 64, 128), MobileViT(64, 80, 320), MobileViT(80, 96, 384)]
        )
        self.conv2 = narrow(80, 160)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Feature maps at strides 4, 8, 16 (before attention) and 32."""
        at_4 = self.mv2[1](self.mv2[0](self.conv1(x)))
        at_8 = self.mv2[4](self.mv2[3](self.mv2[2](at_4)))
        at_16 = self.mv2[5](self.mvit[0](at_8))
        at_32 = self.conv2(self.mvit[2](self.mv2[6](self.mvit[1](at_16))))
        return at_4, at_8, at_16, at_32


class Up(nn.Module):
    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(
            inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False
        )
        self.end_up_layer = nn.Sequential(Separable(outputs + skip, outputs), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y: Tensor = self.end_up_layer(torch.cat([self.conv2d_transpose(x), skip], 1))
        return y


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d_in = nn.Conv2d(160, 64, 1, bias=False)
        self.ups_block_1 = Up(64, 64, 32)
        self.ups_block_2 = Up(32, 48, 16)
        self.ups_block_3 = Up(16, 24, 8)
        self.conv2d_out = nn.Conv2d(8, 1, 3, padding=1, bias=False)


class MeterXxs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def forward(self, x: Tensor) -> Tensor:
        at_4, at_8, at_16, at_32 = self.encoder(x)
        y = self.decoder.ups_block_1(self.decoder.conv2d_in(at_32), at_16)
        y = self.decoder.ups_block_3(self.decoder.ups_block_2(y, at_8), at_4)
        depth_cm: Tensor = self.decoder.conv2d_out(y)
        return depth_cm
