"""The frozen weights multiplied as they are stored, in fp8, by tensor cores that can; never cast to 16 bits.

What comes in is rounded to fp8 too, with a scale that is a power of two and found at each call: three bits of mantissa,
so a product is about 2.7 % off. For gradients the weight is turned over first (the cores want both sides with the summed
dimension innermost), a byte read and a byte written for each number, which is less than the cast that it replaces.

How scales are given to the cores: one for the whole matrix, the way that works on all these cards. What comes in gets
one scale. A gradient, whose rows differ more, gets one a row; the rows of the product are multiplied by it afterwards,
which is exact in bf16 and moves about as many bytes as a second look at the gradient would. Hopper from torch 2.6 on takes scales by row itself;
elsewhere, or before, torch's kernel for that is absent (Windows, Blackwell for desktops), reads out of bounds
(pytorch#133334) or hangs (Ada, pytorch#177651).

torchao is not used: its layers quantise a weight of 16 bits at each call and give it a gradient, they take the place of
the Linear that the LoRA holds on to, and want torch.compile to be faster; it is in none of the locked environments.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.matmul import SHARED, Matmul, of
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

NAME = "fp8_matmul"
KIND = Kind.APPROXIMATE
ABOUT = "frozen weights multiplied in fp8"
MULTIPLE = 16  # of both sides of a weight, or the cores cannot
LEAST_ROWS = 256  # below, the launches of rounding cost more than the multiplication saves
BOUND = 0.05  # of the relative error: at the worst 2^-4, typically 0.027
# So many times its value, a product without its scales stays within the type's range.
UNITS = {torch.bfloat16: 1.0, torch.float16: 2.0**-8}


class Numbers:
    """Rounding to fp8 in torch's own functions; `kernels_fp8` does it in one or two passes."""

    def quantise(self, x: Tensor, *, by_row: bool) -> tuple[Tensor, Tensor]:
        """Of (rows, columns): a result with x = result * scale, nearly; the scale is fp32, (rows, 1) or ()."""
        wide = x.float()
        largest = wide.abs().amax(dim=1, keepdim=True) if by_row else wide.abs().amax()
        bits = (largest * (1 / torch.finfo(torch.float8_e4m3fn).max)).view(torch.int32)
        scale = ((bits + 0x7FFFFF) & 0x7F800000).clamp_min(0x0D800000).view(torch.float32)  # a power of two
        return (wide * (1 / scale)).to(torch.float8_e4m3fn), scale

    def turn(self, weight: Tensor) -> Tensor:
        """(rows, columns) -> (columns, rows), contiguous."""
        return weight.view(torch.uint8).t().contiguous().view(weight.dtype)


class Scaled(Matmul):
    """In fp8 where the shapes allow it; what fails is done the stock way and turns the boost off."""

    can_add = False

    def __init__(self, scene: Scene, *, by_row: bool) -> None:
        super().__init__(scene.ops)
        self.scene = scene
        self.by_row = by_row
        self.numbers: Any = Numbers()
        if scene.machine.has_triton and scene.ops.name != "torch":
            from launcher.shim.boosts import kernels_fp8

            self.numbers = kernels_fp8
        self._filled: dict[tuple[float, tuple[int, ...]], Tensor] = {}

    def takes(self, x: Tensor, weight: Tensor) -> bool:
        return (
            weight.dtype == torch.float8_e4m3fn and x.dtype in {torch.bfloat16, torch.float16}
            and x.shape[0] >= LEAST_ROWS and not weight.shape[0] % MULTIPLE and not weight.shape[1] % MULTIPLE
            and weight.is_contiguous() and not weight.data_ptr() % MULTIPLE
        )  # fmt: skip

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        stock = partial(super().forward, x, weight, bias)
        return self._or_stock(self.scaled_forward, stock, x, weight, bias)

    def input_gradient(self, grad: Tensor, weight: Tensor) -> Tensor:
        stock = partial(super().input_gradient, grad, weight)
        return self._or_stock(self.scaled_gradient, stock, grad, weight)

    def _or_stock(
        self, scaled: Callable[..., Tensor], stock: Callable[[], Tensor], x: Tensor, *more: Any
    ) -> Tensor:
        if not self.takes(x, more[0]):
            return stock()
        try:
            return scaled(x, *more)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (fails open, like `Scene.guarded`)
            self.scene.turn_off(NAME, error)
        return stock()

    def scaled_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """As `forward`, and raises what torch raises."""
        found, scale = self.numbers.quantise(x.contiguous(), by_row=self.by_row)
        bias = None if bias is None else bias.to(x.dtype)
        return self._multiply(found, scale, weight, bias, x.dtype, is_fast=True)

    def scaled_gradient(self, grad: Tensor, weight: Tensor) -> Tensor:
        """As `input_gradient`, and raises what torch raises."""
        found, scale = self.numbers.quantise(grad.contiguous(), by_row=True)
        turned = self.numbers.turn(weight)
        if self.by_row:
            return self._multiply(found, scale, turned, None, grad.dtype, is_fast=False)
        unit = UNITS[grad.dtype]
        product = self._multiply(found, self._full(unit, (), grad), turned, None, grad.dtype, is_fast=False)
        # a power of two: exact in bf16, whose exponents are those of fp32
        return product.mul_(scale.to(grad.dtype) if unit == 1 else scale / unit)

    def _multiply(
        self, x: Tensor, scale: Tensor, weight: Tensor, bias: Tensor | None, dtype: Any, *, is_fast: bool
    ) -> Tensor:
        """`is_fast`: sums kept in fewer bits, as torchao has it for outputs and not for gradients."""
        one = self._full(1.0, (1, weight.shape[0]) if self.by_row else (), x)  # weights are what is stored
        found = torch._scaled_mm(  # noqa: SLF001  (torch's only name for it in these versions; keywords fit all of them)
            x, weight.t(), bias=bias, out_dtype=dtype, scale_a=scale, scale_b=one, use_fast_accum=is_fast
        )
        return found[0] if isinstance(found, tuple) else found  # a tuple up to torch 2.4

    def _full(self, value: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
        if (value, shape) not in self._filled:
            self._filled[value, shape] = torch.full(shape, value, dtype=torch.float32, device=like.device)
        return self._filled[value, shape]


def reason_against(scene: Scene) -> str | None:
    machine = scene.machine
    if machine.capability < (8, 9):
        return "the card has no tensor cores for fp8 (they begin with RTX 40)"
    if not hasattr(torch, "_scaled_mm"):
        return "this torch cannot multiply fp8"
    if scene.dtype not in {torch.bfloat16, torch.float16}:
        return "the training does not compute in 16 bits"
    if all(weight.dtype != torch.float8_e4m3fn for weight in scene.unet.parameters()):
        return "the base weights are not stored in fp8 (e4m3)"
    if not scene.is_on("lora") and scene.switches["boost_blocks"] == "off":
        return "neither lora nor blocks is used, which would multiply by it"
    return None


def check(scene: Scene) -> str | None:
    """Both products, with an odd number of rows; by row first where that is to be trusted."""
    machine = scene.machine
    trusted = machine.capability == (9, 0) and machine.torch >= (2, 6) and scene.dtype == torch.bfloat16
    reasons = []
    for by_row in (True, False) if trusted else (False,):
        try:
            reason = _differs(scene, Scaled(scene, by_row=by_row))
        except Exception as error:  # noqa: BLE001  (each version refuses in its own words)
            reason = f"{type(error).__name__}: {error}"
        if reason is None:
            scene.shared[f"{NAME}.by_row"] = by_row
            return None
        reasons.append(reason)
    return "; ".join(reasons)


def _differs(scene: Scene, scaled: Scaled) -> str | None:
    random = partial(torch.randn, generator=scene.generator(), device=scene.machine.device)
    x, grad = random((LEAST_ROWS + 44, 320)).to(scene.dtype), random((LEAST_ROWS + 44, 192)).to(scene.dtype)
    weight, bias = (random((192, 320)) / 16).to(torch.float8_e4m3fn), random(192).to(scene.dtype)
    wide = weight.float()
    found = {
        "output": (scaled.scaled_forward(x, weight, bias), x.float() @ wide.t() + bias.float()),
        "gradient": (scaled.scaled_gradient(grad, weight), grad.float() @ wide),
    }
    for what, (ours, right) in found.items():
        error = relative_error(ours, right)
        if not error <= BOUND:
            return f"{what}: {error:.1%} from fp32"
    return None


def install(scene: Scene) -> Callable[[], None]:
    before = of(scene)
    scene.shared[SHARED] = Scaled(scene, by_row=scene.shared.get(f"{NAME}.by_row", False))

    def undo() -> None:
        scene.shared[SHARED] = before

    return undo
