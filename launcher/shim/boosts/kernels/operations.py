"""The elementary operations as Triton kernels. One that fails is torch's from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.kernels import casts, gates, groups, layers
from launcher.shim.boosts.ops import Ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CASTS = ("cast", "cast_into")
OTHERS = (
    "layer_norm", "add_layer_norm", "add", "layer_norm_backward", "geglu", "geglu_backward", "group_norm",
    "group_norm_backward",
)  # fmt: skip
LARGEST = 1 << 31  # elements: the kernels count in 32 bits


class TritonOps(Ops):
    """What a kernel cannot do (other types, other strides) torch does, call by call.

    Args:
        tell: of an operation that failed, gets its name and why.
    """

    name = "triton"

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self.given_up: list[str] = []

    def give_up(self, name: str, reason: str) -> None:
        """Use torch's own operation from now on, and say so."""
        if name not in self.given_up:
            self.leave_out(name)
            self._tell("kernels", f"{name} is torch's own from now on: {reason}")

    def leave_out(self, name: str) -> None:
        self.given_up.append(name)
        setattr(self, name, getattr(super(), name))

    def _failed(self, name: str, error: Exception) -> None:
        """Running out of memory is no fault of a kernel: it is raised."""
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise error
        first = (str(error).strip().splitlines() or [""])[0][:200]
        self.give_up(name, f"{type(error).__name__}: {first}")

    def cast(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        found = None
        try:
            found = casts.cast(weight, dtype)
        except Exception as error:  # noqa: BLE001  (Triton's, its compiler's and the driver's)
            self._failed("cast", error)
        return super().cast(weight, dtype) if found is None else found

    def cast_into(self, weight: Tensor, into: Tensor) -> Tensor:
        try:
            if casts.cast_into(weight, into):
                return into
        except Exception as error:  # noqa: BLE001
            self._failed("cast_into", error)
        return super().cast_into(weight, into)

    def layer_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = None
        try:
            if x.is_contiguous() and x.numel() < LARGEST:
                found = layers.layer_norm(x, None, weight, bias, eps)
        except Exception as error:  # noqa: BLE001
            self._failed("layer_norm", error)
        return super().layer_norm(x, weight, bias, eps) if found is None else found

    def add_layer_norm(
        self, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = None
        try:
            if _alike(x, y):
                found = layers.layer_norm(x, y, weight, bias, eps)
        except Exception as error:  # noqa: BLE001
            self._failed("add_layer_norm", error)
        return super().add_layer_norm(x, y, weight, bias, eps) if found is None else (y, *found)

    def add(self, x: Tensor, y: Tensor, y_bias: Tensor | None) -> Tensor:
        try:
            if y_bias is not None and _alike(x, y):  # without a bias torch's own is as fast
                return gates.add(x, y, y_bias)
        except Exception as error:  # noqa: BLE001
            self._failed("add", error)
        return super().add(x, y, y_bias)

    def layer_norm_backward(
        self,
        grad: Tensor,
        x: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor,
        residual: Tensor | None = None,
    ) -> Tensor:
        found = None
        try:
            if _alike(x, grad, is_typed=False) and (residual is None or residual.is_contiguous()):
                found = layers.layer_norm_backward(grad, x, mean, rstd, weight, residual)
        except Exception as error:  # noqa: BLE001
            self._failed("layer_norm_backward", error)
        return super().layer_norm_backward(grad, x, mean, rstd, weight, residual) if found is None else found

    def geglu(self, hidden: Tensor) -> Tensor:
        try:
            if hidden.dim() == 2 and hidden.is_contiguous() and hidden.numel() < LARGEST:
                return gates.geglu(hidden)
        except Exception as error:  # noqa: BLE001
            self._failed("geglu", error)
        return super().geglu(hidden)

    def geglu_backward(self, grad: Tensor, hidden: Tensor) -> Tensor:
        try:
            if hidden.is_contiguous() and grad.is_contiguous() and hidden.numel() < LARGEST:
                return gates.geglu_backward(grad, hidden)
        except Exception as error:  # noqa: BLE001
            self._failed("geglu_backward", error)
        return super().geglu_backward(grad, hidden)

    def group_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, groups_: int, eps: float, *, silu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = None
        try:
            found = groups.group_norm(x, weight, bias, groups_, eps, silu=silu)
        except Exception as error:  # noqa: BLE001
            self._failed("group_norm", error)
        return super().group_norm(x, weight, bias, groups_, eps, silu=silu) if found is None else found

    def group_norm_backward(
        self, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, groups_: int, *,
        silu: bool,
    ) -> Tensor:  # fmt: skip
        found = None
        try:
            found = groups.group_norm_backward(grad, x, mean, rstd, weight, bias, groups_, silu=silu)
        except Exception as error:  # noqa: BLE001
            self._failed("group_norm_backward", error)
        if found is None:
            return super().group_norm_backward(grad, x, mean, rstd, weight, bias, groups_, silu=silu)
        return found


def _alike(x: Tensor, other: Tensor, *, is_typed: bool = True) -> Any:
    return (
        x.is_contiguous()
        and other.is_contiguous()
        and (x.dtype == other.dtype or not is_typed)
        and x.numel() < LARGEST
    )
