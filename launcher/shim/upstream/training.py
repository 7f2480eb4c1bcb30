"""One training of upstream's, as its parts see it: what the edited source calls, and what is known while it runs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from launcher.shim.upstream import rng
from launcher.shim.upstream.average import loss_recorder, snapshot
from launcher.shim.upstream.groups import group_names, learning_rates
from launcher.shim.upstream.order import EpochSampler, OrderedDataset, first

if TYPE_CHECKING:
    import argparse

    from launcher.shim.crew import Crew
    from launcher.shim.hooks import Hooks
    from launcher.shim.upstream.resumed import Resumed


class Training:
    """Holds what upstream's `train()` keeps in local variables.

    The methods `dataloader`, `position` and `loss_recorder` are called by the edited source (see `edits`), the others
    by what wraps the accelerator.
    """

    def __init__(self, version: str, hooks: Hooks, crew: Crew, *, is_exact: bool = True) -> None:
        self.version = version
        self.is_exact = is_exact  # the source is edited; else upstream counts and shuffles in its own way
        self.crew = crew
        self.args: argparse.Namespace
        self.accelerator: Any = None
        self.resumed: Resumed | None = None
        self.recorder_base: type = object
        self.batches = 0  # of an epoch, for each process
        self.accumulation = 1
        self._hooks = hooks
        self._sampler: EpochSampler | None = None
        self._images = 0
        self._micro = 0  # micro-batches begun, through all resumes
        self._first_micro = 0
        self._losses: list[Any] = []  # of the micro-batches of the step under way, as tensors
        self._pending: Any = None  # loss that upstream's recorder has not seen yet
        self._random: Any = None
        self._recorder: Any = None
        self._names: list[str] | None = None
        self._offset: int | None = None

    # What the edited source calls

    def dataloader(self, dataset: Any, *, shuffle: bool, collate_fn: Any, **more: Any) -> Any:
        """Upstream's training DataLoader with our order; it draws from a generator of its own, never from noise's."""
        import torch

        del shuffle  # by the sampler
        self.accumulation = max(1, int(self.args.gradient_accumulation_steps))
        self._images = int(getattr(dataset, "num_train_images", 0))
        seed = int(self.args.seed)
        self._sampler = EpochSampler(
            count=len(dataset), seed=seed, epoch=lambda: int(collate_fn.current_epoch.value),
            shards=self.accelerator.num_processes, accumulation=self.accumulation,
        )  # fmt: skip
        generator = torch.Generator()
        generator.manual_seed(seed)
        return torch.utils.data.DataLoader(
            OrderedDataset(dataset, seed),
            sampler=self._sampler,
            collate_fn=first,
            generator=generator,
            **more,
        )

    def position(self, epochs: int, batches: int) -> tuple[int, int]:
        """The epoch to start in (from 0), and the steps done. Nothing is left to do where the state is of the last step."""
        self.batches = batches
        step = self.resumed.step if self.resumed else 0
        start, rest = divmod(step, self.steps_per_epoch)
        if step >= self.args.max_train_steps:
            start, rest = epochs, 0
        elif self._sampler:
            self._sampler.resume_at(start + 1, rest * self.accumulation)
        self._micro = self._first_micro = start * batches + rest * self.accumulation
        self._hooks.tell_totals({
            "total_steps": int(self.args.max_train_steps), "steps_per_epoch": self.steps_per_epoch, "epochs": epochs,
            "images": self._images,
        })  # fmt: skip
        if self.resumed:
            self._hooks.pace.restore(self.resumed.step_losses)
            for difference in self.resumed.differences(self.settings()):
                self._hooks.warn(
                    f"this is not the training that the state was saved in ({difference}): it goes on, but not exactly as it would have"
                )
        self._hooks.phases.enter("train_loop")
        return start, step

    def loss_recorder(self) -> Any:
        saved = self.resumed.average if self.resumed else None
        epoch, offset = divmod(self._first_micro, self.batches)
        self._recorder = loss_recorder(
            self.recorder_base, saved=saved, first_epoch=epoch, offset=offset, on_add=self._loss_recorded
        )
        return self._recorder

    # What the wrapped accelerator calls

    def begin_micro_batch(self) -> None:
        """Right before the first thing in a micro-batch that chance decides."""
        self.settle_random()
        if self._micro == self._first_micro and self.resumed:
            self.resumed.restore_rng()
        if self.crew.size > 1:
            rng.reseed(int(self.args.seed), self.crew.rank, self._micro)
        self._micro += 1

    def add_loss(self, loss: Any) -> None:
        """Kept as a tensor: asking for its number now would make the card wait."""
        self._pending = loss.detach()
        self._losses.append(self._pending)
        self._random = random.getstate()

    def settle_random(self) -> None:
        """Undo what was drawn from python's generator since the last loss: rich, which prints the log, draws with each line."""
        if self._random is not None:
            random.setstate(self._random)

    # Without the edits upstream counts in its own way, and nobody tells how much there is

    def note_start(self) -> None:
        """At the first micro-batch: by then upstream has settled how much it will train."""
        if self.batches:
            return
        loader = self.accelerator._dataloaders[0]  # noqa: SLF001  (accelerate has no public name)
        self.batches = len(loader)
        self.accumulation = max(1, int(self.args.gradient_accumulation_steps))
        before, total = self._hooks.saver.step, int(self.args.max_train_steps)
        is_anew = before > 0 and self.version == "fp8-fork"
        self._hooks.tell_totals({
            "total_steps": total + (before if is_anew else 0), "steps_per_epoch": self.steps_per_epoch,
            "epochs": -(-total // self.steps_per_epoch),
            "images": int(getattr(getattr(loader, "dataset", None), "num_train_images", 0)),
        })  # fmt: skip
        if before:
            self._hooks.total_steps = None  # where stock ends a resumed training it alone knows (facts 2.2)
        if is_anew:
            self._hooks.warn(f"exact_resume is off: this trainer knows nothing of the {before} steps before, trains {total} more, and its files count from 0")  # fmt: skip
        self._hooks.phases.enter("train_loop")

    def step_of(self, own: int) -> int:
        """The absolute step; `own` is upstream's count, asked for after each step."""
        if self._offset is None:
            self._offset = self._hooks.saver.step + 1 - own
        return own + self._offset

    # What the hooks ask for

    def take_losses(self) -> list[float]:
        losses, self._losses = [float(loss) for loss in self._losses], []
        return losses

    def learning_rates(self) -> dict[str, float]:
        if not self.accelerator._optimizers:  # noqa: SLF001  (accelerate has no public name for them)
            return {}
        groups = self.accelerator._optimizers[0].param_groups  # noqa: SLF001
        if self._names is None:
            self._names = group_names(groups, self.network)
        return learning_rates(groups, self._names)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, -(-self.batches // self.accumulation))

    def settings(self) -> dict[str, object]:
        """What must be the same for a resume to be exact; a state's manifest says it."""
        return {
            "processes": self.accelerator.num_processes, "accumulation": self.accumulation,
            "steps_per_epoch": self.steps_per_epoch, "total_steps": int(self.args.max_train_steps),
            "seed": int(self.args.seed),
        }  # fmt: skip

    @property
    def network(self) -> Any:
        """The LoRA among the prepared models."""
        models = map(unwrapped, self.accelerator._models)  # noqa: SLF001
        return next((model for model in models if is_network(model)), None)

    def epoch_of(self, step: int) -> int:
        """From 1."""
        return max(step - 1, 0) // self.steps_per_epoch + 1

    def average(self) -> dict[str, Any]:
        """What the recorder needs to go on, with the micro-batch that upstream adds only after the save."""
        if self._recorder is None:
            return {"losses": [], "total": 0.0}
        epoch, place = divmod(self._micro - 1, self.batches)
        pending = None if self._pending is None else (epoch, place, float(self._pending))
        return snapshot(self._recorder, pending)

    def _loss_recorded(self) -> None:
        self._pending = None


def unwrapped(model: Any) -> Any:
    """The model inside DistributedDataParallel."""
    return getattr(model, "module", model)


def is_network(model: Any) -> bool:
    """LoRA networks of any kind can do both; no other model of upstream's can."""
    return hasattr(model, "apply_to") and hasattr(model, "save_weights")
