"""OneTrainer's settings as far as sd-scripts has the same: LoRA trainings for SDXL only. What has no counterpart is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.secrets import is_secret_name
from launcher.importer.tools.gathering import Gathered, is_on, number, refuse, said
from launcher.importer.tools.onetrainer_keys import (
    DEFAULTS,
    FLAGS,
    MATTER,
    METHODS,
    MODELS,
    OTHER_PARTS,
    OURS,
    PARTS,
    PRECISIONS,
    SAME,
    SAVED,
    SDXL,
    WHERE_SET,
)
from launcher.importer.tools.onetrainer_parts import (
    read_concepts,
    read_optimizer,
    read_schedule,
    read_weights,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.importer.tools.loading import Tree

FORMAT = "OneTrainer settings"
STEPS_OF_NOISE = 1000
# Read by functions, not by the tables.
READ = frozenset({
    "training_method", "model_type", "peft_type", "learning_rate_scheduler", "learning_rate_warmup_steps", "learning_rate_cycles",
    "scheduler_params", "resolution", "train_dtype", "output_dtype", "weight_dtype", "gradient_checkpointing", "latent_caching", "image_caching",
    "text_caching", "layer_filter", "layer_filter_preset", "layer_filter_regex", "lora_layers", "lora_layer_preset", "lora_layers_regex", "loss_weight_fn",
    "loss_weight_strength", "min_noising_strength", "max_noising_strength", "attention_mechanism", "save_every", "save_every_unit", "save_after",
    "save_after_unit", "concepts", "output_model_destination", "weight_decay", "optimizer_defaults", "mse_strength",
})  # fmt: skip
# Of the program's own windows and files: nothing to carry over, nothing to say.
SILENT = ("sample", "backup", "tensorboard", "debug", "cloud", "__version", "embedding", "oft_", "lokr_", "dora_", "rolling_", "validate_", "ema_", "unmasked_", "token_count", "initial_embedding", "secrets")  # fmt: skip


def is_onetrainer(tables: Mapping[str, Any]) -> bool:
    """Whether an object is a settings file of the program."""
    return {"training_method", "model_type"} <= tables.keys()


def read_onetrainer(source: Source, tree: Tree) -> Reading:
    """One settings file.

    Raises:
        InputError: it is for another model or method (says which).
    """
    _check_kind(source, tree.tables)
    reader = _Reader(source, tree)
    reader.read()
    return reader.out.reading(FORMAT)


def _check_kind(source: Source, tables: Mapping[str, Any]) -> None:
    method, model = str(tables["training_method"]), str(tables["model_type"])
    if method != "LORA":
        kind = METHODS.get(method, f"a training by the method {method[:40]}")
        raise refuse(source, f"{kind} (OneTrainer)", f"training_method is {method[:40]}")
    if model not in SDXL:
        known = MODELS.get(model, model[:40])
        raise refuse(source, f"a LoRA training for {known} (OneTrainer)", f"model_type is {model[:40]}")
    kind = str(tables.get("peft_type") or "LORA")
    if kind != "LORA":
        raise refuse(source, f"a training of a {kind[:20]} network (OneTrainer)", "its network has other settings than sd-scripts' LoRA")  # fmt: skip


class _Reader:
    def __init__(self, source: Source, tree: Tree) -> None:
        self.tree = tree
        self.tables = tree.tables
        self.out = Gathered(source.label)
        self.out.notes += tree.notes

    def read(self) -> None:
        self.out.give("network_module", "networks.lora", was="training_method = LORA", why="its network")
        for key in dict.fromkeys([*DEFAULTS, *self.tables]):
            self._read_key(key)
        read_schedule(self.out, self.tree)
        read_optimizer(self.out, self.tree)
        read_weights(self.out, self.tree)
        self._caches()
        self._layers()
        self._noise()
        self._saving()
        read_concepts(self.out, self.tree)
        self._secrets()
        self._unknown()

    def value(self, key: str) -> Any:
        """A value, where it is missing the program's own default."""
        found = self.tables.get(key)
        return DEFAULTS.get(key) if found is None else found

    def _read_key(self, key: str) -> None:
        value, line = self.value(key), self.tree.line(key)
        was = f"{key} = {said(value)}" if key in self.tables else f"no {key}: {said(value)} there"
        if key in SAME or (key in WHERE_SET and value not in ("", None) and number(value) != 0):
            name = SAME.get(key) or WHERE_SET[key]
            self.out.give(name, value, line, was="" if key == name else was, why="another name there")
        elif key in FLAGS and is_on(value):
            self.out.give(FLAGS[key], True, line, was=was, why="another name there")
        elif key == "resolution":
            self._resolution(str(value), line)
        elif key == "output_model_destination" and value:
            stem = str(value).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
            self.out.give("output_name", stem.removesuffix(".safetensors"), line, was=was, why="the name of the file")  # fmt: skip
        elif key in MATTER and key in self.tables and value not in (MATTER[key][0], "", None):
            if not (value is False or number(value) == 0):
                self.out.leave(key, value, MATTER[key][1], line)
        elif key in OURS and key in self.tables and value not in (None, "", False, {}, []):
            shown = "" if isinstance(value, (dict, list)) else value
            self.out.drop(key, shown, OURS[key], line)

    def _resolution(self, text: str, line: int) -> None:
        """`1024`, `1024x768` (height, then width), or several with commas, from which it chooses for each batch."""
        first, *others = [part.strip() for part in text.split(",")]
        height, _, width = first.lower().partition("x")
        self.out.give("resolution", f"{width or height},{height}", line, was=f"resolution = {text}", why="width and height")  # fmt: skip
        if others:
            self.out.leave("resolution", ", ".join(others), "sd-scripts trains at one resolution, here the first", line)  # fmt: skip

    def _caches(self) -> None:
        is_cached = self.value("image_caching") if "image_caching" in self.tables else self.value("latent_caching")  # fmt: skip
        key = "image_caching" if "image_caching" in self.tables else "latent_caching"
        if is_on(is_cached):
            for name in ("cache_latents", "cache_latents_to_disk"):
                self.out.give(
                    name, True, self.tree.line(key), was=f"{key} = true", why="it caches on the disk"
                )
        if self.tables.get("train_dtype", "FLOAT_16") != "NONE":
            self._precision("train_dtype", "mixed_precision", PRECISIONS)
        self._precision("output_dtype", "save_precision", SAVED)
        mode = self.tables.get("gradient_checkpointing", True)
        if mode is True or str(mode).upper() in {"ON", "CPU_OFFLOADED"}:
            self.out.give("gradient_checkpointing", True, self.tree.line("gradient_checkpointing"))
        attention = str(self.tables.get("attention_mechanism", ""))
        names = {"XFORMERS": "xformers", "SDP": "sdpa"}
        if attention in names:
            self.out.give(names[attention], True, self.tree.line("attention_mechanism"), was=f"attention_mechanism = {attention}", why="a choice there, a flag here")  # fmt: skip

    def _precision(self, key: str, name: str, known: Mapping[str, str]) -> None:
        value, line = str(self.value(key)), self.tree.line(key)
        if value in known:
            self.out.give(name, known[value], line, was=f"{key} = {value}", why="another name there")
        else:
            self.out.leave(key, value, f"is no {name} of sd-scripts", line)

    def _layers(self) -> None:
        """Which layers get weights: all there also means the convolutions, which need conv_dim here."""
        preset = self.tables.get("layer_filter_preset", self.tables.get("lora_layer_preset", "full"))
        custom = self.tables.get("layer_filter", self.tables.get("lora_layers", ""))
        key = "layer_filter_preset" if "layer_filter_preset" in self.tables else "lora_layer_preset"
        line = self.tree.line(key)
        if preset == "full" and not custom:
            rank, alpha = self.value("lora_rank"), self.value("lora_alpha")
            args = [f"conv_dim={said(rank)}", f"conv_alpha={said(alpha)}"]
            self.out.give("network_args", args, line, was="layers = full", why="it trains the convolutions too, as conv_dim does here")  # fmt: skip
        elif preset != "attn-mlp" or custom:
            self.out.leave(
                key, custom or preset, "only some layers: networks.lora takes attention and MLP", line
            )

    def _noise(self) -> None:
        for key, name in (("min_noising_strength", "min_timestep"), ("max_noising_strength", "max_timestep")):
            share = number(self.tables.get(key))
            if share is not None and 0 < share < 1:
                self.out.give(name, round(share * STEPS_OF_NOISE), self.tree.line(key), was=f"{key} = {said(share)}", why="a share of the 1000 steps there")  # fmt: skip
        kind, line = self.tables.get("loss_weight_fn"), self.tree.line("loss_weight_fn")
        if kind == "MIN_SNR_GAMMA":
            self.out.give("min_snr_gamma", self.tables.get("loss_weight_strength", 5.0), line, was=f"loss_weight_fn = {kind}", why="another name there")  # fmt: skip
        elif kind == "DEBIASED_ESTIMATION":
            self.out.give("debiased_estimation_loss", True, line, was=f"loss_weight_fn = {kind}", why="another name there")  # fmt: skip
        elif kind not in (None, "", "CONSTANT"):
            self.out.leave("loss_weight_fn", kind, "sd-scripts has no such weighting", line)

    def _saving(self) -> None:
        for key in ("save_every", "save_after"):
            count, unit = number(self.tables.get(key)), self.tables.get(f"{key}_unit", "NEVER")
            name = {"EPOCH": "save_every_n_epochs", "STEP": "save_every_n_steps"}.get(str(unit))
            if not count or unit == "NEVER":
                continue
            if name:
                self.out.give(name, int(count), self.tree.line(key), was=f"{key} = {said(count)} {unit}", why="another name there")  # fmt: skip
            else:
                self.out.drop(key, f"{said(count)} {unit}", "sd-scripts saves by epochs or steps", self.tree.line(key))  # fmt: skip

    def _secrets(self) -> None:
        """Tokens, wherever they stand: the name and the line."""

        def look(value: Any, place: tuple[str | int, ...]) -> None:
            if isinstance(value, dict):
                for key, item in value.items():
                    if is_secret_name(key) and isinstance(item, str) and item:
                        self.out.withhold(key, self.tree.line(*place, key))
                    else:
                        look(item, (*place, key))
            elif isinstance(value, list):
                for at, item in enumerate(value):
                    look(item, (*place, at))

        look({key: value for key, value in self.tables.items() if key in {"secrets", "cloud"} or is_secret_name(key)}, ())  # fmt: skip

    def _unknown(self) -> None:
        """What is neither carried over nor explained: one line that names it all."""
        known = {*SAME, *WHERE_SET, *FLAGS, *DEFAULTS, *MATTER, *OURS, *PARTS, *OTHER_PARTS, *READ}
        left = [
            key for key, value in self.tables.items()
            if key not in known and not key.startswith(SILENT) and not is_secret_name(key) and value not in (None, "", False, 0, [], {})
        ]  # fmt: skip
        if left:
            self.out.note(f"Settings of OneTrainer that have no counterpart: {', '.join(left[:40])[:300]}")
