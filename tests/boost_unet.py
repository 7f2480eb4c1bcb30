"""A small U-Net of our own with the class and attribute names of upstream's, and a LoRA that hangs on it like upstream's.

For probes that run inside a training environment. Two levels; reentrant checkpoints as upstream has.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)
from torch.utils.checkpoint import checkpoint

from tests.boost_modules import BasicTransformerBlock

# two channels a group at least: with one, what is added to a whole channel would be normed away, and its gradient zero
CHANNELS, CONTEXT, EMB = 64, 24, 64


def seeded(seed):
    return torch.Generator().manual_seed(seed)


class Unit(nn.Module):
    """Checkpointed as upstream's blocks are."""

    gradient_checkpointing = False

    def forward(self, *given, **named):
        if self.training and self.gradient_checkpointing:
            return checkpoint(self.forward_body, *given, *named.values(), use_reentrant=True)
        return self.forward_body(*given, **named)


class ResnetBlock2D(Unit):
    def __init__(self, inside, outside):
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, inside), nn.SiLU(), nn.Conv2d(inside, outside, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(EMB, outside))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outside), nn.SiLU(), nn.Identity(), nn.Conv2d(outside, outside, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward_body(self, x, emb):
        h = self.in_layers(x)
        h = h + self.emb_layers(emb).type(h.dtype).unsqueeze(-1).unsqueeze(-1)
        return self.skip_connection(x) + self.out_layers(h)


class Downsample2D(Unit):
    def __init__(self, channels):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward_body(self, x):
        return self.op(x)


class Upsample2D(Unit):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward_body(self, x, output_size=None):
        wide = F.interpolate(x.float(), size=output_size, scale_factor=None if output_size else 2.0)
        return self.conv(wide.to(x.dtype))


class Transformer2DModel(nn.Module):
    use_linear_projection = True
    gradient_checkpointing = False

    def __init__(self, width, count):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(width, CONTEXT, 2) for _ in range(count)
        )

    def forward(self, hidden_states, encoder_hidden_states=None, timestep=None):
        n, c, h, w = hidden_states.shape
        x = self.proj_in(self.norm(hidden_states).permute(0, 2, 3, 1).reshape(n, h * w, c))
        for block in self.transformer_blocks:
            x = block(x, context=encoder_hidden_states, timestep=timestep)
        x = self.proj_out(x).reshape(n, h, w, c).permute(0, 3, 1, 2).contiguous()
        return x + hidden_states


class SdxlUNet2DConditionModel(nn.Module):
    def __init__(self):
        super().__init__()
        one, two = CHANNELS, 2 * CHANNELS
        self.time_embed = nn.Sequential(nn.Linear(8, EMB), nn.SiLU(), nn.Linear(EMB, EMB))
        self.label_emb = nn.Sequential(nn.Sequential(nn.Linear(12, EMB), nn.SiLU(), nn.Linear(EMB, EMB)))
        self.input_blocks = nn.ModuleList([
            nn.Sequential(nn.Conv2d(4, one, 3, padding=1)),
            nn.ModuleList([ResnetBlock2D(one, one)]),
            nn.Sequential(Downsample2D(one)),
            nn.ModuleList([ResnetBlock2D(one, two), Transformer2DModel(two, 2)]),
        ])  # fmt: skip
        self.middle_block = nn.ModuleList(
            [ResnetBlock2D(two, two), Transformer2DModel(two, 1), ResnetBlock2D(two, two)]
        )
        self.output_blocks = nn.ModuleList([
            nn.ModuleList([ResnetBlock2D(two + two, two), Transformer2DModel(two, 1)]),
            nn.ModuleList([ResnetBlock2D(two + one, two), Upsample2D(two)]),
            nn.ModuleList([ResnetBlock2D(two + one, one)]),
            nn.ModuleList([ResnetBlock2D(one + one, one)]),
        ])  # fmt: skip
        self.out = nn.ModuleList([nn.GroupNorm(32, one), nn.SiLU(), nn.Conv2d(one, 4, 3, padding=1)])

    def set_gradient_checkpointing(self, value):
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = value

    def forward(self, x, timesteps=None, context=None, y=None):
        wave = timesteps[:, None].float() * torch.arange(8, device=x.device) / 100
        emb = self.time_embed(wave.sin().to(x.dtype)) + self.label_emb(y)
        h, kept = x, []
        for layers in self.input_blocks:
            h = self.call(layers, h, emb, context)
            kept.append(h)
        h = self.call(self.middle_block, h, emb, context)
        for layers in self.output_blocks:
            h = self.call(layers, torch.cat([h, kept.pop()], dim=1), emb, context)
        return self.call(self.out, h.type(x.dtype), emb, context)

    @staticmethod
    def call(layers, x, emb, context):
        for layer in layers:
            more = {"ResnetBlock2D": (emb,), "Transformer2DModel": (context,)}.get(type(layer).__name__, ())
            x = layer(x, *more)
        return x


class LoRAModule(nn.Module):
    """As it is found hanging on a layer: a bound forward in the place of the layer's."""

    def __init__(self, layer, rank, seed):
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            self.lora_down = nn.Conv2d(
                layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, bias=False
            )
            self.lora_up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            self.lora_down = nn.Linear(layer.in_features, rank, bias=False)
            self.lora_up = nn.Linear(rank, layer.out_features, bias=False)
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=seeded(seed)) * 0.1)
        self.multiplier, self.scale = 1.0, 0.5
        self.org_forward, layer.forward = layer.forward, self.forward

    def forward(self, x):
        return self.org_forward(x) + self.lora_up(self.lora_down(x)) * self.multiplier * self.scale


def make(dtype=torch.float32, seed=0):
    """Frozen, in training mode, with checkpoints; norms that are not 1 and 0."""
    torch.manual_seed(seed)
    unet = SdxlUNet2DConditionModel().requires_grad_(requires_grad=False)
    for name, weight in unet.named_parameters():
        if weight.dim() == 1:
            nn.init.normal_(weight, mean=float("norm" in name or ".0.weight" in name), std=0.2)
    unet.to(dtype).train().set_gradient_checkpointing(value=True)
    return unet


def hang(unet, wanted):
    """A LoRA on each Linear or Conv2d that `wanted(name, layer)` takes; in a ModuleList."""
    layers = [
        (name, layer)
        for name, layer in unet.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and wanted(name, layer)
    ]
    return nn.ModuleList(LoRAModule(layer, 2, place) for place, (_, layer) in enumerate(layers))


def inside_transformers(name, layer):
    return isinstance(layer, nn.Linear) and ("transformer_blocks" in name or "proj_" in name)
