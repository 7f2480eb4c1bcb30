"""Sizes: the same classes, key names, blocks and class names as SDXL, a two-hundredth of the width.

What SDXL's parts agree on still agrees: context = hidden sizes of both text encoders, adm = pooled + 6 * 256.
"""

TE1, TE2 = 32, 64
CHANNELS = 32  # group norms have 32 groups; attention heads are 64 wide, one at the second level
CONTEXT = TE1 + TE2
TE1_LAYERS = 12  # the trainer takes the output of layer 11
TE2_LAYERS = 3


def unet(module):
    module.MODEL_CHANNELS = CHANNELS
    module.TIME_EMBED_DIM = CHANNELS * 4
    module.CONTEXT_DIM = CONTEXT
    module.ADM_IN_CHANNELS = TE2 + 6 * 256
    whole = module.Transformer2DModel.__init__

    def init(self, *args, **more):
        more.update(num_transformer_layers=1, cross_attention_dim=CONTEXT)
        whole(self, *args, **more)

    module.Transformer2DModel.__init__ = init


def text_encoders(module):
    whole = module.CLIPTextConfig

    def config(**values):
        is_first = values["hidden_size"] == 768
        size = TE1 if is_first else TE2
        values.update(
            hidden_size=size, intermediate_size=size * 2, num_attention_heads=2, projection_dim=size,
            num_hidden_layers=TE1_LAYERS if is_first else TE2_LAYERS,
        )  # fmt: skip
        return whole(**values)

    module.CLIPTextConfig = config


def vae(module):
    module.VAE_PARAMS_CH = 32
    module.VAE_PARAMS_CH_MULT = [1, 1, 1, 1]
    module.VAE_PARAMS_NUM_RES_BLOCKS = 1


AFTER = {
    "library.sdxl_original_unet": unet,
    "library.sdxl_model_util": text_encoders,
    "library.model_util": vae,
}
