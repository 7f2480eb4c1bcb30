"""Which trainer this is: by what its files hold, never by what a folder is called.

Only code that was read and tested is edited and patched. The hashes (SHA-256, Unix line ends) are those of the pinned
commits: kohya-ss/sd-scripts v0.10.1 (ae72efb9) and v0.9.1 (8f4ee8fc), KohakuBlueleaf/sd-scripts fp8-experiments (100f852b).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KNOWN: dict[str, dict[str, str]] = {
    "v0.10.1": {
        "train_network.py": "802e0a57a19ed8c89b989f6af404825b34a334f3ab6178db0873b74d7d7ab68c",
        "sdxl_train_network.py": "6f018d2b63734fc50bd7588f69f65e1febfed8e90071193631da2eabf82f8641",
        "library/train_util.py": "a9b23be6e6e1d2724248fa4110051a1d8be740cf8ff513421987ea203968eef0",
        "library/config_util.py": "e137c8dd7ddc5fe50b5b28d165993015b91ecd00039e4ddbd17062407c04804d",
        "library/custom_train_functions.py": "309943ccea7bb051b3f01d919d1cafece3c2d1d53d425cd4fcc7ea6ed76a6ce9",
        "library/sdxl_train_util.py": "efe7b43639f724099ebbcf148641d4a77a68ec41988e8817f3d9452b58300302",
        "library/sdxl_model_util.py": "51f36c722e981c3b8f195cdc9b62a9853fff334ab93741454b3ec5861c607400",
        "library/sdxl_original_unet.py": "cb97b67b2cef4542b813c16718801ebfd981bbe91ed122145ad86e4d8a0f041e",
        "library/sdxl_lpw_stable_diffusion.py": "92d4ad04717caab1b7c0693d87de16b2c4479f6c9ec60e5675ed498d8aec6d82",
        "library/strategy_base.py": "8e2f8a6b4c8b927ddb33da30ed670365080e8ce9835f2f723108424c31576607",
        "library/strategy_sd.py": "4d86d156fbf76227485ab40a7883eaa12922da57180194d1c34bc322466d5060",
        "library/strategy_sdxl.py": "41564b69fbd3814a14cff7deab94071459b80eb04365eb23620f56fdc8281a4a",
        "networks/lora.py": "1c9150d50e523aa03192f3f3c48a51efd967e23541ba39777fe3c6390d02807e",
    },
    "v0.9.1": {
        "train_network.py": "c251a3a7eea29ff5b2b892e5d92e27d9c375848d12b2f5ca5caa833e31e58619",
        "sdxl_train_network.py": "8254ae2f0471ac593db04d9f140e8ee167c1e79ae6e668470cc23bedc87e001b",
        "library/train_util.py": "e2dd950d1cb26f57eb39c06e2d33f76b4f2269359e8485494cddbe6396021e7b",
        "library/config_util.py": "0dfafabb19745d922bb137b732e5af19a0bf70f9e96a621d66ad7fd87e7f6261",
        "library/custom_train_functions.py": "1055c5515ef73a2937601483329801159f86e46e44ae1390bb34d3c5fd5da3b4",
        "library/sdxl_train_util.py": "e506e334d76f565892969f188534f38b8a1afaf275f82411e0df90253ed7ed3a",
        "library/sdxl_model_util.py": "43b412df4c67a4bf428644ee86ca3f78b796af9d60a0367fd65b92027e615db2",
        "library/sdxl_original_unet.py": "571b40b33aacc5616a5ceae33d5a5544c84c74da695d8a0d170d0677be716924",
        "library/sdxl_lpw_stable_diffusion.py": "8979ae1e5a1eb1be9b278ee9f7e84116dbfb420e2840c3fd362815b1adfae96e",
        "networks/lora.py": "1c9150d50e523aa03192f3f3c48a51efd967e23541ba39777fe3c6390d02807e",
    },
    "fp8-fork": {
        "train_network.py": "9d75d2ddbf158f6b89748f377b29c3b11194f0b1ad51a50865a8873973e1436c",
        "sdxl_train_network.py": "4582dba77524fd44e38fda126185a0dc1d21b13436ab7dc11d9c0b8c65e4a545",
        "library/train_util.py": "70f7c93e97209ee21083be8a5df170ee99a3889923b8286d83afc9993285e684",
        "library/config_util.py": "025edf53cf7da4f29ff2f380945a2f3d18c2d3073eb4cdf558ad3f51d52e54c6",
        "library/custom_train_functions.py": "7db678b8bb3466435506d4275a0c49dfc38f98f3b33de176a59075e108287c4f",
        "library/sdxl_train_util.py": "bdbc53dfdd7f8ef5b338b83ca87b030eed7351edcf3091f25255d9699dc68015",
        "library/sdxl_model_util.py": "3d19b7211f0e4f05145a78c576042c1877bf59b25593cddf9358f9a6388d80b3",
        "library/sdxl_original_unet.py": "e55d2329459062ff37c54adcf64d85943d5954b36d62a1714e28c02be7de16cd",
        "library/sdxl_lpw_stable_diffusion.py": "246c1c02aeb3a94d368d2155b2b986c2177d004f8a52a28d3c168204f8ab176d",
        "networks/lora.py": "e6f976637c8915142bd64100e1b387f644f5b8048543df9d4d7a1aed56c8938d",
    },
}

COMMITS = {
    "v0.10.1": "ae72efb92babe89ff8e70f057e42db68440e8d61",
    "v0.9.1": "8f4ee8fc343b047965cd8976fca65c3a35b7593a",
    "fp8-fork": "100f852b5858462070831d4135fee7b7080de592",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """`version` is a key of KNOWN, or None: then `differing` names the files that are not those of the nearest one."""

    version: str | None
    differing: tuple[str, ...] = ()


def recognise(code: Path) -> Recognised:
    """Compare a folder with what is known."""
    best: tuple[str, ...] | None = None
    for version, hashes in KNOWN.items():
        differing = tuple(name for name, known in hashes.items() if _hash(code / name) != known)
        if not differing:
            return Recognised(version=version)
        if best is None or len(differing) < len(best):
            best = differing
    return Recognised(version=None, differing=best or ())


def _hash(path: Path) -> str:
    """Empty for a file that cannot be read. Line ends do not count: git may have changed them on Windows."""
    try:
        raw = path.read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(raw.replace(b"\r\n", b"\n")).hexdigest()
