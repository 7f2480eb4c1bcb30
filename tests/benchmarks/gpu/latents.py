"""How far the latents of two caches are apart: each of the second beside the nearest of the first.

    TRAINER_PYTHON latents.py FOLDER FOLDER

File names do not matter (the launcher names caches by a fingerprint). Prints JSON.
"""

import json
import sys
from pathlib import Path


def load(folder):
    """All latents below a folder, as float32 arrays, by file."""
    import numpy as np

    found = {}
    for path in sorted(Path(folder).rglob("*.npz")):
        with np.load(path) as arrays:
            for key in arrays.files:
                if key.startswith("latents") and arrays[key].ndim == 3 and "flipped" not in key:
                    found[path.name] = arrays[key].astype("float32")
    return found


def compare(one, other):
    import numpy as np

    worst = relative = mean = 0.0
    bits = 0
    for value in other.values():
        same = [base for base in one.values() if base.shape == value.shape]
        nearest = min(same, key=lambda base: float(np.abs(base - value).max()), default=None)
        if nearest is None:
            continue
        off = np.abs(nearest - value)
        worst, mean = max(worst, float(off.max())), max(mean, float(off.mean()))
        relative = max(relative, float(np.linalg.norm(nearest - value) / np.linalg.norm(nearest)))
        bits += int((off == 0).all())
    return {"first": len(one), "second": len(other), "bit_equal": bits, "largest_difference": worst,
            "largest_mean_difference": mean, "largest_relative_norm": relative,
            "spread_of_first": float(np.std([v.std() for v in one.values()])) if one else None,
            "std_of_first": float(np.mean([v.std() for v in one.values()])) if one else None}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(compare(load(sys.argv[1]), load(sys.argv[2]))))
