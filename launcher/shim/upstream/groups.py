"""Names for the optimizer's parameter groups, from the LoRA modules whose weights they hold: unet, te1, te2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIXES = {"lora_unet": "unet", "lora_te1": "te1", "lora_te2": "te2", "lora_te": "te"}


def group_names(groups: Iterable[dict[str, Any]], network: Any) -> list[str]:
    """A name for each group; a second one of the same kind (LoRA+, block rates) gets a number."""
    kinds = {id(weight): _kind(name) for name, weight in network.named_parameters()}
    names: list[str] = []
    for group in groups:
        held = {kinds.get(id(weight), "") for weight in group["params"]} - {""}
        name = held.pop() if len(held) == 1 else "te" if held and held <= {"te1", "te2"} else "network"
        again = sum(1 for other in names if other.split(" ")[0] == name)
        names.append(f"{name} {again + 1}" if again else name)
    return names


def learning_rates(groups: Iterable[dict[str, Any]], names: Iterable[str]) -> dict[str, float]:
    """Rates as they act: Prodigy and D-Adaptation keep their own factor `d` beside `lr`."""
    return {
        name: float(group["lr"]) * float(group.get("d", 1.0))
        for name, group in zip(names, groups, strict=False)
    }


def _kind(name: str) -> str:
    module = next((part for part in name.split(".") if part.startswith("lora_")), "")
    return PREFIXES.get("_".join(module.split("_")[:2]), "")
