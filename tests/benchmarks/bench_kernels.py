"""Elementary operations on a card at the sizes of SDXL: torch's beside the Triton kernels.

    TRAINER_PYTHON tests/benchmarks/bench_kernels.py [--dtype bfloat16] [--only cast] [--json FILE]
    TRITON_INTERPRET=1 TRAINER_PYTHON tests/benchmarks/bench_kernels.py --device cpu     (does it run: tiny sizes)

A row: microseconds on the card (median; the cache is flushed before each call, and the flush hides the host's part),
GB/s of what must be read and written at least, microseconds of the host for a call, the largest error over the largest
value of fp64's result, and whether two calls gave the same bits. Nothing is asserted.
"""

import argparse
import json
import statistics
import sys
import time
import types
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from launcher.shim.boosts.kernels import choose  # noqa: E402  (the path comes first)
from launcher.shim.boosts.ops import Ops  # noqa: E402
from launcher.shim.boosts.scene import Machine  # noqa: E402

CASTS = (
    (1280, 1280),
    (640, 640),
    (5120, 1280),
    (10240, 1280),
    (1280, 2048),
    (1280, 2560, 3, 3),
    (320, 320, 3, 3),
)
ROWS = ((4096, 640), (1024, 1280))  # one picture of 1024 x 1024
IMAGES = ((320, 128), (640, 128), (960, 128), (640, 64), (1280, 64), (1920, 64), (1280, 32), (2560, 32))
TIMED, HOST = 30, 100
GROUPS, EPS = 32, 1e-5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--only", default="", help="operations whose name has this in it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bench = Bench(options)
    rows = [row for case in cases(bench) if options.only in case[0] for row in bench.rows(*case)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


class Bench:
    def __init__(self, options):
        self.device = torch.device(options.device, 0) if options.device == "cuda" else torch.device("cpu")
        self.is_card = options.device == "cuda"
        self.dtype, self.batch = getattr(torch, options.dtype), options.batch
        self.flush = torch.empty(256 << 20, dtype=torch.uint8, device=self.device) if self.is_card else None
        machine = Machine.of(self.device)
        scene = types.SimpleNamespace(
            machine=machine, dtype=self.dtype, generator=lambda: torch.Generator(self.device).manual_seed(0),
            tell=lambda name, reason: print(f"! {name}: {reason}"),
        )  # fmt: skip
        began = time.perf_counter()
        self.triton = choose(scene)
        print(
            f"{machine.name}, torch {torch.__version__}: choose() took {time.perf_counter() - began:.1f} s, "
            f"left to torch: {self.triton.given_up or 'nothing'}"
        )
        print(
            f"{'operation':22}{'sizes':22}{'ops':8}{'us':>9}{'GB/s':>8}{'host us':>9}{'error':>10}  same twice"
        )

    def random(self, *shape):
        return torch.randn(*shape, device=self.device).to(self.dtype)

    def rows(self, name, sizes, call, moved, exact):
        """`call(ops)` -> tensors; `moved`: bytes; `exact()` -> the first of them in fp64, or None."""
        right = exact() if exact else None
        found = []
        for ops in (Ops(), self.triton):
            first, second = listed(call(ops)), listed(call(ops))
            same = all(
                torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, second, strict=True)
            )
            error = 0.0
            if right is not None:
                error = float((first[0].double() - right).abs().max() / right.abs().max())
            us, host = self.timed(partial(call, ops))
            row = {
                "operation": name, "sizes": sizes, "ops": ops.name, "us": us, "gb_s": moved / us / 1e3, "host_us": host,
                "error": error, "same": same,
            }  # fmt: skip
            print(
                f"{name:22}{sizes:22}{ops.name:8}{us:9.1f}{row['gb_s']:8.0f}{host:9.1f}{error:10.2e}  {same}",
                flush=True,
            )
            found.append(row)
        return found

    def timed(self, call):
        if not self.is_card:
            began = time.perf_counter()
            call()
            return ((time.perf_counter() - began) * 1e6,) * 2
        took = []
        for _ in range(TIMED):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.flush.zero_()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            took.append(start.elapsed_time(end) * 1e3)
        began = time.perf_counter()
        for _ in range(HOST):
            call()
        host = (time.perf_counter() - began) / HOST * 1e6
        torch.cuda.synchronize()
        return statistics.median(took), host


def cases(bench):
    yield from cast_cases(bench)
    rows = ROWS if bench.is_card else ((4, 640),)
    for count, columns in rows:
        yield from row_cases(bench, count * bench.batch, columns)
    images = IMAGES if bench.is_card else ((64, 6),)
    for channels, side in images:
        for last in (False, True):
            yield from image_cases(bench, channels, side, last=last)


def cast_cases(bench):
    for shape in CASTS if bench.is_card else ((8, 16),):
        weight = (torch.randn(shape, device=bench.device) / 30).to(torch.float8_e4m3fn)
        exact = weight.double
        sizes = "x".join(map(str, shape))
        yield "cast", sizes, lambda ops, w=weight: ops.cast(w, bench.dtype), 3 * weight.numel(), exact
        into = torch.empty_like(weight, dtype=bench.dtype)
        yield (
            "cast_into",
            sizes,
            lambda ops, w=weight, i=into: ops.cast_into(w, i),
            3 * weight.numel(),
            exact,
        )


def row_cases(bench, count, columns):
    x, y, grad = (bench.random(count, columns) for _ in range(3))
    hidden, y_bias = bench.random(count, 8 * columns), bench.random(columns)
    inner = bench.random(count, 4 * columns)
    weight, bias = (torch.randn(columns, device=bench.device) for _ in range(2))
    _, mean, rstd = Ops().layer_norm(x, weight, bias, EPS)
    wide = [one.double() for one in (x, y, grad, y_bias, weight, bias)]
    norm = partial(torch.nn.functional.layer_norm, normalized_shape=(columns,), eps=EPS)
    sizes, size = f"{count}x{columns}", 2 * x.numel()

    def gradient():
        with torch.enable_grad():
            asked = wide[0].clone().requires_grad_()
            found = norm(asked, weight=wide[4], bias=wide[5])
        return torch.autograd.grad(found, asked, wide[2])[0] + wide[1]

    def gate_gradient():
        with torch.enable_grad():
            asked = hidden.double().requires_grad_()
            found = gated(asked)
        return torch.autograd.grad(found, asked, inner.double())[0]

    yield (
        "layer_norm", sizes, lambda ops: ops.layer_norm(x, weight, bias, EPS), 2 * size,
        lambda: norm(wide[0], weight=wide[4], bias=wide[5]),
    )  # fmt: skip
    yield (
        "add_layer_norm", sizes, lambda ops: ops.add_layer_norm(x, y.clone(), weight, bias, EPS), 6 * size,
        lambda: wide[0] + wide[1],
    )  # fmt: skip
    yield "layer_norm_backward", sizes, lambda ops: ops.layer_norm_backward(grad, x, mean, rstd, weight, y), 4 * size, gradient  # fmt: skip
    yield "add", sizes, lambda ops: ops.add(x, y.clone(), y_bias), 5 * size, lambda: wide[0] + (wide[1] + wide[3])  # fmt: skip
    yield "geglu", sizes, lambda ops: ops.geglu(hidden), 12 * size, lambda: gated(hidden.double())
    yield "geglu_backward", sizes, lambda ops: ops.geglu_backward(inner, hidden), 20 * size, gate_gradient


def gated(hidden):
    value, gate = hidden.chunk(2, dim=-1)
    return value * torch.nn.functional.gelu(gate)


def image_cases(bench, channels, side, *, last):
    layout = torch.channels_last if last else torch.contiguous_format
    shape = (bench.batch, channels, side, side)
    x, grad = (bench.random(*shape).contiguous(memory_format=layout) for _ in range(2))
    weight, bias = (torch.randn(channels, device=bench.device) for _ in range(2))
    _, mean, rstd = Ops().group_norm(x, weight, bias, GROUPS, EPS, silu=True)
    sizes = f"{'x'.join(map(str, shape))} {'last' if last else ''}"

    def forward(value):
        normed = torch.nn.functional.group_norm(value, GROUPS, weight.double(), bias.double(), EPS)
        return torch.nn.functional.silu(normed)

    def gradient():
        with torch.enable_grad():
            asked = x.double().requires_grad_()
            found = forward(asked)
        return torch.autograd.grad(found, asked, grad.double())[0]

    yield (
        "group_norm", sizes, lambda ops: ops.group_norm(x, weight, bias, GROUPS, EPS, silu=True), 6 * x.numel(),
        lambda: forward(x.double()),
    )  # fmt: skip
    yield (
        "group_norm_backward", sizes,
        lambda ops: ops.group_norm_backward(grad, x, mean, rstd, weight, bias, GROUPS, silu=True), 10 * x.numel(), gradient,
    )  # fmt: skip


def listed(found):
    return list(found) if isinstance(found, (list, tuple)) else [found]


if __name__ == "__main__":
    with torch.no_grad():
        main()
