"""How long the training is: images, repeats, batches, epochs, steps; and whether the guides would have it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan.cards import cards_of
from launcher.plan.document_schema import REHEARSAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.plan import Plan
    from launcher.plan.shapes import Table

GOOD_STEPS = 1000  # the guides' length for a LoRA at batch 1
MOST_STEPS = 2000  # more of them is needless, they say
SHIPPED = "presets/"  # how the source of a shipped preset's value begins: those lengths are meant


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """The arithmetic. An epoch shows every image as often as its repeats say."""

    images: int
    shown: int  # images of an epoch, with repeats
    batches: int
    batch_size: int  # of the first dataset
    accumulation: int
    cards: int
    total: int | None  # optimizer steps; None where only the trainer can tell

    @property
    def an_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.batches // (self.accumulation * self.cards))

    @property
    def epochs(self) -> float | None:
        return self.total / self.an_epoch if self.total and self.an_epoch else None

    @property
    def seen(self) -> float | None:
        """How often an image is seen in the whole training, in the mean."""
        return self.epochs * self.shown / self.images if self.epochs and self.images else None


def count(plan: Plan, tables: tuple[Table, ...]) -> Steps:
    """The arithmetic of a plan."""
    accumulation = plan.options.get("gradient_accumulation_steps")
    gpus = plan.machine.get("gpus")
    return Steps(
        images=sum(table.images for table in tables),
        shown=sum(table.shown for table in tables),
        batches=sum(table.batches for table in tables),
        batch_size=tables[0].batch_size if tables else 1,
        accumulation=int(str(accumulation.value)) if accumulation else 1,
        cards=max(1, len(cards_of(gpus.value))) if gpus else 1,
        total=plan.total_steps,
    )


def check_length(plan: Plan, steps: Steps) -> Iterator[Problem]:
    """Too long, too short, or too short to see all images."""
    total = steps.total
    if plan.trainer == REHEARSAL or total is None or not steps.an_epoch:
        return
    if total < steps.an_epoch:
        part = round(100 * total / steps.an_epoch)
        is_large = (
            steps.an_epoch > MOST_STEPS and steps.shown == steps.images
        )  # not all of it can be seen in a sensible length
        yield Problem(
            severity=Severity.NOTE if is_large else Severity.WARNING, what=f"the training ends after {part} % of the first epoch: not every image is seen",
            why=f"{_number(total)} steps, and an epoch has {_number(steps.an_epoch)}", fix=_fewer_repeats(plan, steps, total), where=_source(plan),
        )  # fmt: skip
    if total > MOST_STEPS:
        yield Problem(
            severity=Severity.NOTE, what=f"{_number(total)} steps are more than a LoRA needs",
            why=f"the guides train about {_number(GOOD_STEPS)}; over {_number(MOST_STEPS)} is needless, and the pictures themselves are learned by heart",
            fix=shorter(plan, steps), where=_source(plan),
        )  # fmt: skip
    pictures = total * steps.batch_size * steps.accumulation * steps.cards
    if pictures < GOOD_STEPS // 2 and not _source(plan).startswith(SHIPPED):
        yield Problem(
            severity=Severity.NOTE, what=f"only {_number(pictures)} pictures are seen in {_number(total)} {'step' if total == 1 else 'steps'}",
            why=f"the guides train about {_number(GOOD_STEPS)} steps with one picture each",
            fix=_longer(plan, steps), where=_source(plan),
        )  # fmt: skip


def shorter(plan: Plan, steps: Steps) -> str:
    """The words to type for the guides' length."""
    return _set(plan, steps, GOOD_STEPS)


def _longer(plan: Plan, steps: Steps) -> str:
    gathered = steps.batch_size * steps.accumulation * steps.cards
    return _set(plan, steps, max(1, GOOD_STEPS // gathered))


def _set(plan: Plan, steps: Steps, wanted: int) -> str:
    """In epochs where the plan counts epochs, and one of them is not too long itself."""
    if "max_train_epochs" not in plan.options:
        return f"--set max_train_steps={wanted}"
    epochs = max(1, round(wanted / steps.an_epoch))
    if epochs * steps.an_epoch <= 2 * wanted:
        return f"--set max_train_epochs={epochs}"
    return f"an epoch alone has {_number(steps.an_epoch)} steps: take fewer repeats, or count steps instead of epochs: --set max_train_steps={wanted}"


def _fewer_repeats(plan: Plan, steps: Steps, total: int) -> str:
    if steps.shown > steps.images:
        return f"fewer repeats (--set dataset.num_repeats=1, or --data DIR=1), or --set max_train_steps={steps.an_epoch}"
    if steps.an_epoch > MOST_STEPS:
        return "a LoRA needs no more than the best 15 to 100 of them; of all of them some are never shown"
    return (
        f"--set max_train_steps={steps.an_epoch}"
        if "max_train_epochs" not in plan.options
        else f"more than {total} steps"
    )


def _source(plan: Plan) -> str:
    for name in ("max_train_steps", "max_train_epochs"):
        if name in plan.options:
            return f"{plan.options[name].source} ({name})"
    return ""


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")
