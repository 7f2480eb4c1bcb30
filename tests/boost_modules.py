"""Small modules of our own with the names that upstream's have, for what boosts are tested and timed on without a checkout.

The computation is what library/sdxl_original_unet.py and networks/lora.py describe: pre-norm transformer block with
self-attention, attention to the text and a GEGLU feed-forward; LoRA as `layer(x) + up(down(x)) * multiplier * scale`.
"""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)
from torch.utils.checkpoint import checkpoint


class Attention(nn.Module):
    def __init__(self, width, text_width, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(text_width, width, bias=False)
        self.to_v = nn.Linear(text_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x, context=None):
        text = x if context is None else context
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(text), self.to_v(text))
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class GatedUnit(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.ModuleList([GatedUnit(width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class BasicTransformerBlock(nn.Module):
    def __init__(self, width, text_width, heads):
        super().__init__()
        self.gradient_checkpointing = False
        self.attn1 = Attention(width, width, heads)
        self.attn2 = Attention(width, text_width, heads)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward_body(self, hidden_states, context=None, timestep=None):  # noqa: ARG002  (upstream's names)
        hidden_states = self.attn1(self.norm1(hidden_states)) + hidden_states
        hidden_states = self.attn2(self.norm2(hidden_states), context=context) + hidden_states
        return self.ff(self.norm3(hidden_states)) + hidden_states

    def forward(self, hidden_states, context=None, timestep=None):
        if self.training and self.gradient_checkpointing:
            return checkpoint(self.forward_body, hidden_states, context, timestep, use_reentrant=True)
        return self.forward_body(hidden_states, context, timestep)


class LoRAModule(nn.Module):
    def __init__(self, layer, rank, alpha, dropout=None):
        super().__init__()
        self.lora_down = nn.Linear(layer.in_features, rank, bias=False)
        self.lora_up = nn.Linear(rank, layer.out_features, bias=False)
        self.multiplier, self.scale = 1.0, alpha / rank
        self.dropout, self.rank_dropout, self.module_dropout = dropout, None, None
        self.layer = [layer]  # hidden from torch: not a part of this module

    def apply_to(self):
        (layer,) = self.layer
        self.org_forward = layer.forward
        layer.forward = self.forward

    def forward(self, x):
        low = self.lora_down(x)
        if self.dropout and self.training:
            low = F.dropout(low, p=self.dropout)
        return self.org_forward(x) + self.lora_up(low) * self.multiplier * self.scale


def make_stack(
    *, width, text_width, heads, blocks, rank, seed=0, device="cpu", stored=torch.float8_e4m3fn, up_std=0.02
):
    """Frozen blocks in a stored type with LoRA on every layer: (stack, LoRA modules). Norms stay fp32 (CPU autocast)."""
    torch.manual_seed(seed)
    stack = nn.ModuleList(BasicTransformerBlock(width, text_width, heads) for _ in range(blocks))
    stack.requires_grad_(False)
    for name, param in stack.named_parameters():
        if ".norm" not in name:
            param.data = param.data.to(stored)
    loras = nn.ModuleList(
        LoRAModule(layer, rank, rank / 2) for layer in stack.modules() if type(layer) is nn.Linear
    )
    for lora in loras:
        lora.apply_to()
        nn.init.normal_(lora.lora_up.weight, std=up_std)
    return stack.to(device).train(), loras.to(device)


class Accelerator:
    """What `blocks` asks of accelerate, and what it does with the hooks at a save."""

    mixed_precision = "bf16"

    def __init__(self):
        self._before_saving = []

    def register_save_state_pre_hook(self, hook):
        self._before_saving.append(hook)

    def state_of(self, network):
        weights = [network.state_dict()]
        for hook in self._before_saving:
            hook([network], weights, "")
        return weights[0]


def make_context(**switches):
    """What boosts ask of the shim, with what was told to a person in `told`."""
    told = []
    return SimpleNamespace(switches=switches, warn=told.append, told=told)
