"""Transformer blocks at their real sizes on a card: stock beside the boosts `blocks` and `keep`, in one run.

    TRAINER_PYTHON tests/benchmarks/bench_blocks.py [--device cuda] [--blocks 4] [--rank 32] [--top 12]

Blocks of our own with upstream's computation (tests/boost_modules.py), fp8 weights, bf16 autocast, gradient
checkpointing, one picture of 1024 x 1024. Printed for each width: kernel time, launches and host time of one block's
forward and backward, and the most expensive kernels. Nothing is asserted.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_modules import Accelerator, make_context, make_stack  # noqa: E402  (the path comes first)

from launcher.shim.boosts import blocks, keep, starting  # noqa: E402
from launcher.shim.boosts.ops import Ops  # noqa: E402
from launcher.shim.boosts.scene import Machine, Scene  # noqa: E402

SIZES = ((1280, 20, 1024, 60), (640, 10, 4096, 10))  # width, heads, tokens, how many SDXL has
TEXT, WORDS = 2048, 77
WARMUP, PROFILED, TIMED = 4, 4, 10


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    device = torch.device(options.device, 0) if options.device == "cuda" else torch.device(options.device)
    print(torch.__version__, torch.cuda.get_device_name() if device.type == "cuda" else "cpu")
    totals = {}
    for size in SIZES:
        for row, (ms, launches) in measure(*size[:3], options=options, device=device).items():
            total = totals.setdefault(row, [0.0, 0.0])
            total[0] += ms * size[3]
            total[1] += launches * size[3]
    print("\nall 70 blocks of SDXL, from one of each: ms of kernels, launches")
    for row, (ms, launches) in totals.items():
        print(f"{row:28} {ms:8.1f} {launches:8.0f}   {ms / totals['stock'][0]:.3f} of stock")


def measure(width, heads, tokens, *, options, device):
    stack, loras = make_stack(
        width=width, text_width=TEXT, heads=heads, blocks=options.blocks, rank=options.rank, device=device
    )
    for name, param in stack.named_parameters():
        if ".norm" in name and device.type == "cuda":
            param.data = param.data.to(
                torch.float8_e4m3fn
            )  # CUDA's autocast takes them, as upstream stores them
    for block in stack:
        block.gradient_checkpointing = True
    scene = Scene(
        context=make_context(keep_mib=1 << 20), machine=Machine.of(device), accelerator=Accelerator(), unet=stack, network=loras,
        optimizer=None, dtype=torch.bfloat16, processes=1, ops=Ops(),
    )  # fmt: skip
    scene.tell = lambda name, reason: print(f"! {name}: {reason}")
    x = torch.randn(1, tokens, width, device=device).bfloat16()
    text = torch.randn(1, WORDS, TEXT, device=device)

    def step():
        for param in loras.parameters():
            param.grad = None
        hidden = x.detach().requires_grad_()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            for block in stack:
                hidden = block(hidden, context=text)
        hidden.backward(torch.ones_like(hidden))

    rows = {"stock": timed(step, options)}
    for name in ("torch", "triton"):
        if name == "triton":
            scene.ops = starting.choose_ops(scene)
        if scene.ops.name != name:
            continue
        print(f"{width} {name}: against {blocks.reason_against(scene)}, check {blocks.check(scene)}")
        scene.undo["blocks"] = blocks.install(scene)
        rows[f"blocks ({name})"] = timed(step, options)
        print(f"keep: check {keep.check(scene)}")
        scene.undo["keep"] = keep.install(scene)
        keeper = scene.shared["keeper"]
        keeper._budget = 9 * 2 * tokens * width * options.blocks
        rows[f"blocks, attention ({name})"] = timed(step, options)
        keeper._budget = 1 << 40
        keeper._forget()
        rows[f"blocks, all kept ({name})"] = timed(step, options, top=name == "triton" or options.top > 20)
        for boost in ("keep", "blocks"):
            scene.undo.pop(boost, lambda: None)()
    report(width, rows, options)
    return {row: (values["ms"], values["launches"]) for row, values in rows.items()}


def timed(step, options, *, top=False):
    """Kernel ms, launches and host ms of one block, and the peak of allocated memory above rest in MiB."""
    for _ in range(WARMUP):
        step()
    synchronize()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        rest = torch.cuda.memory_allocated()
    seconds = []
    for _ in range(TIMED):
        began = time.perf_counter()
        step()
        synchronize()
        seconds.append(time.perf_counter() - began)
    peak = (torch.cuda.max_memory_allocated() - rest) / 2**20 if torch.cuda.is_available() else 0.0
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as found:
        for _ in range(PROFILED):
            step()
        synchronize()
    kernels = [event for event in found.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    each = PROFILED * options.blocks
    if top:
        print_top(kernels, each, options.top)
    return {
        "ms": sum(event.time_range.elapsed_us() for event in kernels) / 1000 / each, "launches": len(kernels) / each,
        "host": statistics.median(seconds) * 1000 / options.blocks, "peak": peak,
    }  # fmt: skip


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def print_top(kernels, each, count):
    sums = {}
    for event in kernels:
        entry = sums.setdefault(event.name[:100], [0.0, 0])
        entry[0] += event.time_range.elapsed_us()
        entry[1] += 1
    for name, (us, times) in sorted(sums.items(), key=lambda item: -item[1][0])[:count]:
        print(f"  {us / each:8.1f} us  {times / each:6.2f} times  {name}")


def report(width, rows, options):
    print(f"\nwidth {width}, rank {options.rank}: one block, forward and backward")
    print(f"{'':28} {'kernel ms':>9} {'launches':>9} {'wall ms':>8} {'peak MiB':>9}")
    for row, values in rows.items():
        print(
            f"{row:28} {values['ms']:9.3f} {values['launches']:9.1f} {values['host']:8.2f} {values['peak']:9.0f}"
        )


if __name__ == "__main__":
    main()
