"""Upstream's moving average of the loss, that goes on after a resume as if there had been none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def loss_recorder(
    base: type, *, saved: dict[str, Any] | None, first_epoch: int, offset: int, on_add: Callable[[], None]
) -> Any:
    """A recorder of upstream's class `base` (`add`, `moving_average`).

    Args:
        base: upstream's LossRecorder; it averages over the last loss at each place of an epoch.
        saved: what `snapshot` gave when the state was written; None for a fresh training.
        first_epoch: epoch (from 0) in which this process starts.
        offset: batches of that epoch that were trained before; upstream's loop counts from 0 again.
        on_add: called after each loss.
    """

    class Recorder(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            if saved:
                self.loss_list = [float(loss) for loss in saved["losses"]]
                self.loss_total = float(saved["total"])

        def add(self, *, epoch: int, step: int, loss: float) -> None:
            place = step + offset if epoch == first_epoch else step
            missing = (
                place - len(self.loss_list) + (epoch > 0)
            )  # a state without its losses: upstream would fail
            self.loss_list += [0.0] * max(missing, 0)
            super().add(epoch=epoch, step=place, loss=loss)
            on_add()

    return Recorder()


def snapshot(recorder: Any, pending: tuple[int, int, float] | None) -> dict[str, Any]:
    """What to save. `pending`: epoch, place and loss of a micro-batch that upstream will only add after the save."""
    losses, total = list(recorder.loss_list), float(recorder.loss_total)
    if pending is not None:
        epoch, place, loss = pending
        if epoch == 0 or place >= len(losses):
            losses.append(loss)
        else:
            total -= losses[place]
            losses[place] = loss
        total += loss
    return {"losses": losses, "total": total}
