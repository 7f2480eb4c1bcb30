"""On PYTHONPATH of a measured training process: caps the card's memory, marks phases, times steps, counts kernels.

Changes libraries only after their normal import and wraps what it changes, so that a trainer's files, and the shim's
view of them, stay as they are. Inactive in every process that is not the training itself.
"""

import os
import sys


def is_training():
    """Not in `accelerate launch`, the training's parent, nor in any helper process."""
    words = sys.orig_argv
    if "accelerate.commands.launch" in words or not os.environ.get("BENCH_MARKS"):
        return False
    return any(word.endswith("sdxl_train_network.py") for word in words)


if is_training():
    import bench_probe

    bench_probe.arm()
