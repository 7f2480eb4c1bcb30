"""Rules about what is learned: optimizer, schedule, noise, network. See `rules`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from launcher.trainers import FORK, FULL_TRAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.errors import Problem
    from launcher.preset.values import Rule, Values

# What upstream looks for with `import` and the locks do not bring (vendor/locks); somebody may have added it by hand.
MISSING = {
    FULL_TRAINER: frozenset({"dadaptation", "wandb", "lycoris-lora"}),
    FORK: frozenset({"dadaptation", "wandb", "lycoris-lora", "lion-pytorch", "prodigyopt"}),
}
PACKAGES = {"lion": "lion-pytorch", "prodigy": "prodigyopt"}
FORK_SCHEDULERS = frozenset({
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "piecewise_constant",
    "adafactor",
})  # fmt: skip
BLOCK_LISTS = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
# networks/lora.py: 1 + 9 + 3 + 9 + 1 blocks of SDXL; the fork counts those of Stable Diffusion 1
BLOCK_COUNT, FORK_BLOCK_COUNT = 23, 25
NUMBERS = re.compile(r"\s*[-+.\deE]+\s*(?:,\s*[-+.\deE]+\s*)*")
OWN_NETWORKS = ("networks.lora", "networks.lora_fa", "networks.dylora", "networks.oft")


def _schedule(values: Values) -> Iterator[Problem]:
    """Source: train_util.get_scheduler_fix and get_optimizer."""
    scheduler, optimizer = values["lr_scheduler"], _optimizer(values)
    if optimizer.endswith("schedulefree"):
        return
    is_relative = _is_relative_adafactor(values)
    has_warmup = values.number("lr_warmup_steps") > 0
    if has_warmup and is_relative:
        yield values.problem(
            "lr_warmup_steps", "Adafactor with relative_step takes no lr_warmup_steps",
            'write lr_warmup_steps = 0, or optimizer_args = ["relative_step=False", "scale_parameter=False", "warmup_init=False"]',
            why="with relative_step, its default, Adafactor finds the learning rate itself and brings its own schedule",
        )  # fmt: skip
    elif has_warmup and (scheduler in {"constant", "adafactor"} or values.is_on("lr_scheduler_type")):
        name = values["lr_scheduler_type"] or scheduler
        yield values.problem(
            "lr_warmup_steps", f"lr_scheduler {name} takes no lr_warmup_steps",
            'write lr_scheduler = "constant_with_warmup", or lr_warmup_steps = 0',
        )  # fmt: skip
    if scheduler == "adafactor" and optimizer != "adafactor":
        yield values.problem(
            "lr_scheduler",
            "the scheduler adafactor needs the optimizer Adafactor",
            'write lr_scheduler = "constant"',
        )
    elif scheduler == "adafactor" and not is_relative:
        yield values.problem(
            "lr_scheduler", "the scheduler adafactor needs Adafactor with relative_step",
            'write lr_scheduler = "constant_with_warmup", or take relative_step=False out of optimizer_args',
        )  # fmt: skip
    yield from _schedule_needs(values, scheduler)


def _schedule_needs(values: Values, scheduler: str) -> Iterator[Problem]:
    if scheduler == "cosine_with_min_lr" and values["lr_scheduler_min_lr_ratio"] is None:
        yield values.problem(
            "lr_scheduler",
            "lr_scheduler cosine_with_min_lr needs lr_scheduler_min_lr_ratio",
            "add lr_scheduler_min_lr_ratio = 0.1",
        )
    if scheduler == "piecewise_constant" and "step_rules" not in values.words("lr_scheduler_args"):
        yield values.problem(
            "lr_scheduler", "lr_scheduler piecewise_constant needs step_rules in lr_scheduler_args",
            """add lr_scheduler_args = ["step_rules='1:500,0.1'"]""",
        )  # fmt: skip
    if values.is_fork and scheduler not in FORK_SCHEDULERS and not values.is_on("lr_scheduler_type"):
        yield values.problem(
            "lr_scheduler", f"{FORK} does not know lr_scheduler {scheduler}", 'write lr_scheduler = "cosine"'
        )


def _optimizer(values: Values) -> str:
    return str(values["optimizer_type"] or "AdamW").lower()


def _is_relative_adafactor(values: Values) -> bool:
    """Adafactor that finds its own learning rate: its default, and what warmup_init brings back."""
    if _optimizer(values) != "adafactor":
        return False
    words = values.words("optimizer_args")
    return words.get("relative_step", "True") != "False" or words.get("warmup_init", "False") == "True"


def _optimizers(values: Values) -> Iterator[Problem]:
    """Source: train_util.get_optimizer."""
    optimizer, shown = _optimizer(values), values["optimizer_type"]
    if values.is_on("fused_backward_pass"):
        yield from _fused(values, optimizer)
    if optimizer.endswith("schedulefree"):
        if values.is_fork:
            yield values.problem(
                "optimizer_type", f"{FORK} does not know the optimizer {shown}", 'write optimizer_type = "AdamW8bit"'
            )  # fmt: skip
        elif values["lr_scheduler"] != "constant" or values.is_on("lr_warmup_steps"):
            yield values.warning(
                "lr_scheduler" if values["lr_scheduler"] != "constant" else "lr_warmup_steps",
                f"lr_scheduler and lr_warmup_steps have no effect with {shown}", 'write lr_scheduler = "constant"',
                why='it needs no schedule; a warm-up is said by optimizer_args = ["warmup_steps=100"]',
            )  # fmt: skip
    package = "dadaptation" if optimizer.startswith("dadapt") else PACKAGES.get(optimizer, "")
    yield from _lacking(values, package, "optimizer_type", 'write optimizer_type = "AdamW8bit"')


def _fused(values: Values, optimizer: str) -> Iterator[Problem]:
    name = "fused_backward_pass"
    if optimizer != "adafactor":
        yield values.problem(name, f"{name} needs the optimizer Adafactor", f"remove {name}")
    elif values.number("gradient_accumulation_steps") > 1:
        yield values.problem(
            name, f"{name} does not go with gradient_accumulation_steps", "remove one of the two"
        )
    else:
        yield values.warning(
            name, f"{name} changes nothing for a LoRA", f"remove {name}",
            why="sdxl_train_network.py checks the option, but never uses it",
        )  # fmt: skip


def _lacking(values: Values, package: str, name: str, fix: str) -> Iterator[Problem]:
    if package and package in MISSING.get(values.trainer, ()):
        yield values.warning(
            name, f"{name} = {values[name]} needs the package {package}, which {values.trainer} does not bring", fix,
            why="the training would end with an ImportError once the model has been loaded",
        )  # fmt: skip


def _lists(values: Values) -> Iterator[Problem]:
    """Lists of `key=value` words: upstream splits each at the `=` and reads some values as Python."""
    for name in ("optimizer_args", "lr_scheduler_args", "network_args"):
        given = values[name]
        for word in given if isinstance(given, list) else []:
            key, equals, text = str(word).partition("=")
            if not equals or not key.strip() or ("=" in text and name != "network_args"):
                yield values.problem(
                    name, f"{name}: {str(word)[:60]!r} is not a setting", f'write {name} = ["key=value"]'
                )
            elif name != "network_args" and not _is_python(text):
                yield values.problem(
                    name, f"{name}: the value of {key} cannot be read: {text[:60]!r}",
                    f"""write numbers as they are, texts in quotes: {name} = ["{key}='{text[:20]}'"]""",
                )  # fmt: skip


def _is_python(text: str) -> bool:
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return False
    return True


def _tracking(values: Values) -> Iterator[Problem]:
    if values["log_with"] in {"wandb", "all"}:
        yield from _lacking(values, "wandb", "log_with", 'write log_with = "tensorboard", or remove the line')


def _noise(values: Values) -> Iterator[Problem]:
    if values.is_on("adaptive_noise_scale") and values["noise_offset"] is None:
        yield values.problem(
            "adaptive_noise_scale", "adaptive_noise_scale needs noise_offset", "add noise_offset = 0.0357"
        )
    if values.is_on("scale_v_pred_loss_like_noise_pred") and not values.is_on("v_parameterization"):
        yield values.problem(
            "scale_v_pred_loss_like_noise_pred", "scale_v_pred_loss_like_noise_pred needs v_parameterization",
            "add v_parameterization = true if the base model is a v-prediction model, else remove the line",
        )  # fmt: skip
    if values.is_on("v_pred_like_loss") and values.is_on("v_parameterization"):
        yield values.problem(
            "v_pred_like_loss",
            "v_pred_like_loss does not go with v_parameterization",
            "remove one of the two",
        )
    low, high = values["min_timestep"], values["max_timestep"]
    if isinstance(low, int) and isinstance(high, int) and low >= high:
        yield values.problem(
            "min_timestep",
            f"min_timestep {low} is not below max_timestep {high}",
            "write a smaller min_timestep",
        )


def _predictions(values: Values) -> Iterator[Problem]:
    if values.is_on("zero_terminal_snr") and not values.is_on("v_parameterization"):
        yield values.warning(
            "zero_terminal_snr", "zero_terminal_snr is meant for v-prediction models", "remove zero_terminal_snr",
            why="at the last noise level there is no picture left: only v-prediction learns something there",
        )  # fmt: skip
    if values.is_on("clip_skip"):
        yield values.warning("clip_skip", "clip_skip has no effect on SDXL", "remove clip_skip")
    if values.is_fork and values.is_on("weighted_captions"):
        yield values.problem(
            "weighted_captions", f"{FORK} knows no weighted_captions for SDXL",
            f"remove weighted_captions, or train with {FULL_TRAINER}",
        )  # fmt: skip
    if values.is_fork and values.is_on("v_parameterization"):
        yield values.warning(
            "v_parameterization", f"{FORK} does not expect v-prediction models of SDXL",
            f"train with {FULL_TRAINER} if the base model is one, else remove the line",
        )  # fmt: skip


def _network(values: Values) -> Iterator[Problem]:
    if values.is_on("network_train_unet_only") and values.is_on("network_train_text_encoder_only"):
        yield values.problem(
            "network_train_text_encoder_only", "network_train_text_encoder_only excludes network_train_unet_only",
            "remove one of the two",
        )  # fmt: skip
    if values.is_on("v2"):
        yield values.problem("v2", "v2 belongs to Stable Diffusion 2; this is SDXL", "remove v2")
    if values["save_model_as"] in {"ckpt", "pt"}:
        yield values.problem(
            "save_model_as", "LoRAs are saved as safetensors only", "remove the line",
            why="the other formats can carry programs",
        )  # fmt: skip
    module = str(values["network_module"] or "")
    if module.startswith("lycoris"):
        yield from _lacking(
            values, "lycoris-lora", "network_module", 'write network_module = "networks.lora"'
        )
    elif module.startswith("networks.") and module not in OWN_NETWORKS:
        yield values.problem(
            "network_module", f"network_module {module} does not train LoRAs for SDXL",
            'write network_module = "networks.lora"',
        )  # fmt: skip
    rates = values["text_encoder_lr"]
    if isinstance(rates, list) and len(rates) > 2:
        yield values.problem(
            "text_encoder_lr", f"text_encoder_lr has {len(rates)} values; SDXL has two text encoders",
            "write one value for both, or two",
        )  # fmt: skip


def _blocks(values: Values) -> Iterator[Problem]:
    """Source: networks/lora.py get_block_dims_and_alphas."""
    count = FORK_BLOCK_COUNT if values.is_fork else BLOCK_COUNT
    for key, text in values.words("network_args").items():
        if key in BLOCK_LISTS and (not NUMBERS.fullmatch(text) or text.count(",") + 1 != count):
            yield values.problem(
                "network_args", f"network_args: {key} needs {count} numbers, not {text.count(',') + 1 if text.strip() else 0}",
                f"write one for each block, parted by commas, or remove {key}",
            )  # fmt: skip


RULES: tuple[Rule, ...] = (
    _schedule, _optimizers, _lists, _tracking, _noise, _predictions, _network, _blocks,
)  # fmt: skip
