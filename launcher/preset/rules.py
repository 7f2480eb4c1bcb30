"""Combinations of options that cannot work, or do not what they seem to; every rule is one sentence and one remedy.

The rules are those checks of sd-scripts v0.10.1 that can be decided from the options alone: there they end a run with
a traceback, some of them only after the model has been loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from launcher.preset.records import Setting

    Rule = Callable[["Values"], Iterator[Problem]]

DEFAULTS: dict[str, Any] = {"mixed_precision": "no", "lr_scheduler": "constant", "bucket_reso_steps": 64}
CLIP_REASON = "the captions are encoded once, before training, so they cannot change later"
BUCKET_STEP = 32  # sdxl_train_network.py: SDXL's U-Net halves the latents twice


class Values:
    """The options as rules look at them: upstream's defaults fill the gaps, and each has a place."""

    def __init__(self, options: Mapping[str, Setting]) -> None:
        self.options = options
        self.looked_at: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.looked_at.add(name)
        setting = self.options.get(name)
        return DEFAULTS.get(name) if setting is None else setting.value

    def is_on(self, *names: str) -> bool:
        """Whether any of these is set to something other than false, zero or nothing."""
        return any(bool(self[name]) for name in names)

    def first(self, *names: str) -> str:
        """The first of these names that is on, for the sentence."""
        return next((name for name in names if self.is_on(name)), names[0])

    def number(self, name: str) -> float:
        value = self[name]
        return value if isinstance(value, (int, float)) else 0

    def problem(
        self, name: str, what: str, fix: str, *, why: str = "", severity: Severity = Severity.ERROR
    ) -> Problem:
        setting = self.options.get(name)
        return Problem(
            severity=severity,
            what=what,
            why=why,
            fix=fix,
            where=f"{setting.source} (options.{name})" if setting else "",
        )


def check_combinations(options: Mapping[str, Setting], unreadable: Collection[str] = ()) -> list[Problem]:
    """Everything that is wrong or doubtful about options together (each alone is already known to be right).

    `unreadable` names options that were given but wrong and so are missing here: a rule that looks at one of them
    keeps quiet, because its sentence would be about the gap.
    """
    problems: list[Problem] = []
    for rule in RULES:
        values = Values(options)
        found = list(rule(values))
        if values.looked_at.isdisjoint(unreadable):
            problems += found
    return problems


def _cached_captions(values: Values) -> Iterator[Problem]:
    cached = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
    if not values.is_on(*cached):
        return
    name = values.first(*cached)
    if not values.is_on("network_train_unet_only"):
        yield values.problem(
            name, f"{name} needs network_train_unet_only", "add network_train_unet_only = true",
            why="text encoders whose outputs are cached cannot be trained",
        )  # fmt: skip
    for changing in (
        "shuffle_caption",
        "caption_dropout_rate",
        "caption_tag_dropout_rate",
        "token_warmup_step",
    ):
        if values.is_on(changing):
            yield values.problem(
                changing, f"{changing} does not go with {name}", f"remove {changing}, or set {name} = false", why=CLIP_REASON
            )  # fmt: skip


def _cached_latents(values: Values) -> Iterator[Problem]:
    cached = ("cache_latents", "cache_latents_to_disk")
    for changing in ("color_aug", "random_crop"):
        if values.is_on(*cached) and values.is_on(changing):
            name = values.first(*cached)
            yield values.problem(
                changing, f"{changing} does not go with {name}", f"remove {changing}, or set {name} = false",
                why="the images are encoded once, before training, so they cannot change later",
            )  # fmt: skip


def _precision(values: Values) -> Iterator[Problem]:
    for name in ("fp8_base", "fp8_base_unet"):
        if values.is_on(name) and values["mixed_precision"] == "no":
            yield values.problem(
                name, f"{name} needs mixed_precision bf16 or fp16", 'add mixed_precision = "bf16"',
                why="fp8 is only how the weights are stored: the computing is done in half precision",
            )  # fmt: skip
    for name, needed in (("full_fp16", "fp16"), ("full_bf16", "bf16")):
        if values.is_on(name) and values["mixed_precision"] != needed:
            yield values.problem(
                name, f"{name} needs mixed_precision {needed}", f'write mixed_precision = "{needed}"'
            )
    if values["mixed_precision"] == "fp16" and not values.is_on("no_half_vae"):
        yield values.problem(
            "mixed_precision", "fp16 without no_half_vae often gives black images", "add no_half_vae = true",
            why="SDXL's own VAE overflows in fp16", severity=Severity.WARNING,
        )  # fmt: skip


def _buckets(values: Values) -> Iterator[Problem]:
    if not values.is_on("enable_bucket"):
        return
    steps = int(values.number("bucket_reso_steps"))
    if steps % BUCKET_STEP:
        yield values.problem(
            "bucket_reso_steps",
            f"bucket_reso_steps = {steps} is not a multiple of {BUCKET_STEP}",
            "write 32 or 64",
        )
    sides = [int(side) for side in str(values["resolution"] or "1024,1024").split(",")]
    if values.number("min_bucket_reso") > min(sides):
        yield values.problem(
            "min_bucket_reso", f"min_bucket_reso is larger than the resolution's smaller side, {min(sides)}",
            f"write min_bucket_reso = {min(sides)} or less",
        )  # fmt: skip
    largest = values.number("max_bucket_reso") or 1024  # upstream's default is smaller than many SDXL buckets
    if largest < max(sides):
        yield values.problem(
            "max_bucket_reso" if "max_bucket_reso" in values.options else "resolution",
            f"max_bucket_reso = {largest:.0f} is smaller than the resolution's larger side, {max(sides)}",
            f"write max_bucket_reso = {max(sides)} or more",
        )  # fmt: skip


def _schedule(values: Values) -> Iterator[Problem]:
    scheduler = values["lr_scheduler"]
    warmup = values.number("lr_warmup_steps") > 0
    if warmup and (scheduler in {"constant", "adafactor"} or values.is_on("lr_scheduler_type")):
        yield values.problem(
            "lr_warmup_steps", f"lr_scheduler {scheduler} takes no lr_warmup_steps",
            'write lr_scheduler = "constant_with_warmup", or lr_warmup_steps = 0',
        )  # fmt: skip
    is_adafactor = str(values["optimizer_type"] or "").lower() == "adafactor"
    if scheduler == "adafactor" and not is_adafactor:
        yield values.problem(
            "lr_scheduler",
            "the scheduler adafactor needs the optimizer Adafactor",
            'write lr_scheduler = "constant"',
        )
    if values.is_on("fused_backward_pass") and not is_adafactor:
        yield values.problem(
            "fused_backward_pass",
            "fused_backward_pass needs the optimizer Adafactor",
            "remove fused_backward_pass",
        )
    if values.is_on("fused_backward_pass") and values.number("gradient_accumulation_steps") > 1:
        yield values.problem(
            "fused_backward_pass", "fused_backward_pass does not go with gradient_accumulation_steps",
            "remove one of the two",
        )  # fmt: skip


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


def _memory(values: Values) -> Iterator[Problem]:
    if values.is_on("cpu_offload_checkpointing") and values.is_on("gradient_checkpointing"):
        yield values.problem(
            "cpu_offload_checkpointing", "cpu_offload_checkpointing does not work with SDXL", "remove the line",
            why="SDXL's U-Net does not know the option and stops with a TypeError",
        )  # fmt: skip
    if values.is_on("persistent_data_loader_workers") and values["max_data_loader_n_workers"] == 0:
        yield values.problem(
            "persistent_data_loader_workers", "persistent_data_loader_workers needs at least one worker",
            "remove the line, or write max_data_loader_n_workers = 1",
        )  # fmt: skip
    if values.is_on("lowram"):
        yield values.problem(
            "lowram", "lowram loads the whole model onto the card: about 13 GiB", "remove lowram",
            why="it is meant for computers with little RAM and a large card", severity=Severity.WARNING,
        )  # fmt: skip
    kinds = [name for name in ("sdpa", "xformers", "mem_eff_attn") if values.is_on(name)]
    if len(kinds) > 1:
        yield values.problem(
            kinds[1], f"{' and '.join(kinds)} exclude each other: only one is used", f"keep only {kinds[0]} = true",
            severity=Severity.WARNING,
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


def _saving(values: Values) -> Iterator[Problem]:
    for kind in ("steps", "epochs"):
        last = values.first(f"save_last_n_{kind}", f"save_last_n_{kind}_state")
        if values.is_on(last) and not values.is_on(f"save_every_n_{kind}"):
            yield values.problem(last, f"{last} needs save_every_n_{kind}", f"add save_every_n_{kind}")
    if values.is_on("save_state") and not values.is_on("save_every_n_steps", "save_every_n_epochs"):
        yield values.problem(
            "save_state", "states are saved only at the end", "add save_every_n_steps = 100",
            why="save_state adds a state to every save; after a crash there would be nothing to go on from",
            severity=Severity.WARNING,
        )  # fmt: skip
    samples = ("sample_every_n_steps", "sample_every_n_epochs")
    if values.is_on(*samples) and not values.is_on("sample_prompts"):
        name = values.first(*samples)
        yield values.problem(
            name, f"{name} without sample_prompts makes no images", "add sample_prompts = 'my prompts.txt'",
            severity=Severity.WARNING,
        )  # fmt: skip
    if all(values.is_on(name) for name in samples):
        yield values.problem(
            samples[1], "sample_every_n_epochs switches sample_every_n_steps off", "remove one of the two",
            severity=Severity.WARNING,
        )  # fmt: skip


def _length(values: Values) -> Iterator[Problem]:
    if values.is_on("max_train_steps") and values.is_on("max_train_epochs"):
        yield values.problem(
            "max_train_steps", "max_train_steps and max_train_epochs stand side by side", "remove one of the two",
            why="sd-scripts would silently use the epochs",
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    _length,
    _cached_captions, _cached_latents, _precision, _buckets, _schedule, _noise, _memory, _network, _saving,
)  # fmt: skip
