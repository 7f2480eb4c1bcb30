"""Draws the held-out configurations of the forecast, before anything is fitted: `python draw.py > heldout.txt`.

Combinations by chance of everything that moves memory; one seed, no second draw. Lines are rows of `bench_gpu.py`.
"""

import random

SEED, COUNT = 20261124, 20
DIMS = (4, 8, 16, 24, 32, 48, 64, 96, 128)
CONVS = (0, 0, 0, 4, 8, 16, 32)
SIDES = (512, 640, 768, 896, 1024, 1152)
BATCHES = (1, 1, 1, 2, 3, 4)
OPTIMIZERS = ("AdamW8bit", "AdamW8bit", "AdamW8bit", "AdamW", "Lion8bit", "SGDNesterov8bit", "Adafactor")
PRECISIONS = ("", "", "", "fp8_base=false", "mixed_precision=fp16", "full_bf16=true")
ENCODERS = ("cached", "cached", "cached", "resident", "trained")
OFFLOADS = (0, 0, 0, 512, 1536)
ADAFACTOR = ':optimizer_args=["scale_parameter=False","relative_step=False","warmup_init=False"]:lr_scheduler=constant'
UNCACHED = ":cache_text_encoder_outputs=false:cache_text_encoder_outputs_to_disk=false"
TRAINED = f"{UNCACHED}:network_train_unet_only=false:text_encoder_lr=[1e-5]"


def row(chance):
    dim, conv, side, batch = (chance.choice(choices) for choices in (DIMS, CONVS, SIDES, BATCHES))
    optimizer, precision, encoders, offload = (
        chance.choice(choices) for choices in (OPTIMIZERS, PRECISIONS, ENCODERS, OFFLOADS)
    )
    is_checkpointed, has_attention, is_expandable = (chance.random() < share for share in (0.75, 0.85, 0.75))
    word = f"launcher:steps=5:network_dim={dim}:network_alpha={dim / 2}:resolution={side},{side}"
    word += f":min_bucket_reso=256:train_batch_size={batch}:optimizer_type={optimizer}"
    word += f':network_args=["conv_dim={conv}","conv_alpha=1"]' if conv else ""
    word += ADAFACTOR if optimizer == "Adafactor" else ""
    word += f":{precision}" if precision else ""
    word += {"cached": "", "resident": UNCACHED, "trained": TRAINED}[encoders]
    word += f":launcher.offload_mib={offload}" if offload else ""
    word += "" if is_checkpointed or side * side * batch > 1024 * 1024 else ":gradient_checkpointing=false"
    word += "" if has_attention or side > 896 else ":sdpa=false"
    return word + ("" if is_expandable else ":launcher.allocator=stock")


if __name__ == "__main__":
    chance = random.Random(SEED)
    print("\n".join(row(chance) for _ in range(COUNT)))
