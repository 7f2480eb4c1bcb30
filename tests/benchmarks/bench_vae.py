"""The VAE of SDXL in rows, beside stock, diffusers' tiling and bfloat16: memory, time, and how far the results are apart.

    vendor/sd-scripts/1/venv/bin/python tests/benchmarks/bench_vae.py [--size 1024] [--device cuda] [--vae FILE]

Run by a training environment. Random weights of the real size unless --vae names a .safetensors of a diffusers VAE.
Prints a markdown table; errors are against stock float32 on the same device with the same setting of TF32.
"""

import argparse
import gc
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import torch  # noqa: E402
from diffusers import AutoencoderKL  # noqa: E402

from launcher.shim.memory.vae import work_in_rows  # noqa: E402

MIB = 1 << 20
WAYS = ("stock", "rows", "tiling", "bfloat16", "bfloat16 rows")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae", type=Path)
    options = parser.parse_args()
    image, latents = pictures(options.size)
    print(f"torch {torch.__version__}, {device_name(options.device)}, {options.size}x{options.size}\n")
    print(
        "| TF32 | what | way | peak allocated MiB | peak reserved MiB | ms | max error / max | rms error / rms |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tf32 in (True, False) if options.device != "cpu" else (False,):
        torch.backends.cudnn.allow_tf32 = tf32
        for what, given in (("encode", image), ("decode", latents)):
            exact = None
            for way in WAYS:
                result, row = measure(make(way, options), what, given, options.device)
                exact = result if exact is None else exact
                error, size = (result - exact).double(), exact.double()
                far = float(error.abs().max() / size.abs().max())
                mean = float(error.square().mean().sqrt() / size.square().mean().sqrt())
                print(
                    f"| {'on' if tf32 else 'off'} | {what} | {way} | {row} | {far:.1e} | {mean:.1e} |",
                    flush=True,
                )


def pictures(size):
    """A smooth picture with some noise, and latents of about the right spread."""
    chance = torch.Generator().manual_seed(1)
    coarse = torch.rand((1, 3, 16, 16), generator=chance) * 2 - 1
    image = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)
    image = (image + 0.05 * torch.randn(image.shape, generator=chance)).clamp(-1, 1)
    return image, torch.randn((1, 4, size // 8, size // 8), generator=chance) * 5


def make(way, options):
    torch.manual_seed(0)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        latent_channels=4, sample_size=512,
    )  # fmt: skip
    if options.vae:
        from safetensors.torch import load_file

        vae.load_state_dict(load_file(str(options.vae)))
    vae.eval().requires_grad_(False)
    if way.startswith("bfloat16"):
        vae.to(torch.bfloat16)
    if way.endswith("rows"):
        refused = [reason for reason in map(work_in_rows, (vae.encoder, vae.decoder)) if reason]
        assert not refused, refused
    if way == "tiling":
        vae.enable_tiling()
    return vae.to(options.device)


@torch.no_grad()
def measure(vae, what, given, device):
    def work():
        if what == "encode":
            return vae.encode(given.to(device, vae.dtype)).latent_dist.mean.float().cpu()
        return vae.decode(given.to(device, vae.dtype)).sample.float().cpu()

    if device == "cpu":
        start = time.perf_counter()
        result = work()
        return result, f"- | - | {(time.perf_counter() - start) * 1e3:.0f}"
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result = work()
    peak = torch.cuda.max_memory_allocated() / MIB, torch.cuda.max_memory_reserved() / MIB
    times = []
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return result, f"{peak[0]:.0f} | {peak[1]:.0f} | {min(times) * 1e3:.0f}"


def device_name(device):
    return torch.cuda.get_device_name() if device != "cpu" else "CPU"


if __name__ == "__main__":
    main()
