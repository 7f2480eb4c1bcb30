"""Lets the encoder and decoder of a VAE (diffusers' AutoencoderKL) work strip by strip; see `rows`.

Only the two `forward`s of the instance are replaced; mid block (attention at an eighth of the size), quantisation,
sampling of the posterior, `.to()` and weights stay as they are. A structure that is not the known one is left alone.
"""

from __future__ import annotations

import functools
from typing import Any

from launcher.shim.memory import rows


def work_in_rows(part: Any) -> str | None:
    """Replace `forward` of an encoder or decoder; returns why not, where it does not apply."""
    is_encoder = hasattr(part, "down_blocks")
    reason = _obstacle(part, "down_blocks" if is_encoder else "up_blocks")
    if reason is None:
        part.forward = functools.partial(_forward, part, part.forward, encode if is_encoder else decode)
    return reason


def _forward(part: Any, stock: Any, ours: Any, sample: Any, *args: Any, **more: Any) -> Any:
    import torch

    unusual = any(value is not None for value in (*args, *more.values()))
    learns = torch.is_grad_enabled() and (
        sample.requires_grad or any(weight.requires_grad for weight in part.parameters())
    )
    if unusual or learns or torch.is_autocast_enabled():
        return stock(sample, *args, **more)
    with torch.no_grad():
        return ours(part, sample)


def encode(encoder: Any, sample: Any) -> Any:
    """What `Encoder.forward` computes."""
    source: rows.Source = rows.Convolved(sample, encoder.conv_in)
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            source = rows.residual(resnet, source, sample)
        for downsampler in block.downsamplers or ():
            source = rows.halved(downsampler.conv, source, sample)
    middle = rows.Kept(encoder.mid_block(source.kept))
    del source
    return rows.finish(encoder.conv_norm_out, encoder.conv_act, encoder.conv_out, middle, sample)


def decode(decoder: Any, sample: Any) -> Any:
    """What `Decoder.forward` computes."""
    sample = decoder.mid_block(decoder.conv_in(sample))
    source: rows.Source = rows.Kept(sample)
    sample = sample[:0]  # tells type and device, and does not keep the activation
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            source = rows.residual(resnet, source, sample)
        for upsampler in block.upsamplers or ():
            source = rows.doubled(upsampler.conv, rows.Kept(source.kept), sample)
    return rows.finish(decoder.conv_norm_out, decoder.conv_act, decoder.conv_out, source, sample)


def _obstacle(part: Any, blocks: str) -> str | None:
    """Why this encoder or decoder is not the known structure, or None."""
    for block in getattr(part, blocks):
        if getattr(block, "attentions", None):
            return "its blocks have attention"
        for resnet in block.resnets:
            reason = _resnet_obstacle(resnet)
            if reason is not None:
                return reason
        for resize in getattr(block, "downsamplers", None) or ():
            if not _is_convolution(resize.conv, stride=2, padding=0) or _value(resize, "padding") != 0:
                return "a downsampler is not the usual one"
        for resize in getattr(block, "upsamplers", None) or ():
            plain = _is_convolution(getattr(resize, "conv", None)) and not _value(
                resize, "use_conv_transpose"
            )
            if not plain or _value(resize, "norm") is not None:
                return "an upsampler is not the usual one"
    known = (
        _is_group_norm(part.conv_norm_out)
        and _is_convolution(part.conv_out)
        and _is_convolution(part.conv_in)
    )
    return None if known else "its first or last layers are not the usual ones"


def _resnet_obstacle(resnet: Any) -> str | None:
    if any(_value(resnet, name) is not None for name in ("time_emb_proj", "upsample", "downsample")):
        return "a residual block has a time embedding or resizes"
    if not (_is_group_norm(resnet.norm1) and _is_group_norm(resnet.norm2)):
        return "a residual block has another normalisation"
    if not (_is_convolution(resnet.conv1) and _is_convolution(resnet.conv2)) or resnet.dropout.p:
        return "a residual block has other convolutions or dropout"
    return None


def _value(module: Any, name: str) -> Any:
    return getattr(module, name, None)


def _is_group_norm(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.GroupNorm)


def _is_convolution(module: Any, *, stride: int = 1, padding: int = 1) -> bool:
    import torch

    return (
        isinstance(module, torch.nn.Conv2d)
        and module.kernel_size == (3, 3)
        and module.stride == (stride, stride)
        and module.padding == (padding, padding)
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
    )
