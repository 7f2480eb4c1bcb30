"""OneTrainer's larger parts: the schedule, the optimizer, the parts of the model, and the lists of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.tools.gathering import is_on, number, said
from launcher.importer.tools.onetrainer_keys import (
    ADAFACTOR_ONLY,
    ARGUMENTS,
    DEFAULTS,
    OPTIMIZERS,
    PRODIGY_ONLY,
    SCHEDULERS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.importer.tools.gathering import Gathered
    from launcher.importer.tools.loading import Tree

STORED = frozenset({"NONE", "FLOAT_8", "FLOAT_16", "BFLOAT_16", "FLOAT_32"})
SEVERAL = "is another value for each text encoder"
TEXTS = ("text_encoder", "text_encoder_2")


def read_schedule(out: Gathered, tree: Tree) -> None:
    """The schedule of the rate: there every kind may warm up, here a constant one that does has a name of its own."""
    kind = str(tree.tables.get("learning_rate_scheduler") or DEFAULTS["learning_rate_scheduler"])
    warmup = (
        number(tree.tables.get("learning_rate_warmup_steps", DEFAULTS["learning_rate_warmup_steps"])) or 0
    )
    line = tree.line("learning_rate_scheduler")
    name = SCHEDULERS.get(kind)
    if name is None:
        out.leave("learning_rate_scheduler", kind, "sd-scripts has no such schedule", line)
    else:
        name = "constant_with_warmup" if name == "constant" and warmup > 0 else name
        out.give(
            "lr_scheduler", name, line, was=f"learning_rate_scheduler = {kind}", why="another name there"
        )
    if warmup > 0:
        steps = said(warmup) if warmup < 1 else "100%" if warmup == 1 else str(int(warmup))
        out.give("lr_warmup_steps", steps, tree.line("learning_rate_warmup_steps"), was=f"learning_rate_warmup_steps = {said(warmup)}", why="another name there")  # fmt: skip
    cycles = number(tree.tables.get("learning_rate_cycles"))
    if cycles and "RESTARTS" in kind:
        out.give("lr_scheduler_num_cycles", int(cycles), tree.line("learning_rate_cycles"), was=f"learning_rate_cycles = {said(cycles)}", why="another name there")  # fmt: skip


def read_optimizer(out: Gathered, tree: Tree) -> None:
    """The optimizer and those of its arguments that sd-scripts hands on under the same names."""
    given = tree.tables.get("optimizer")
    own: Mapping[str, Any] = given if isinstance(given, dict) else {"optimizer": given or "ADAMW"}
    line = tree.line("optimizer", "optimizer")
    kind = str(own.get("optimizer") or "ADAMW")
    name = OPTIMIZERS.get(kind)
    if name is None:
        out.leave("optimizer", kind, "is no optimizer that sd-scripts knows", line)
        return
    out.give("optimizer_type", name, line, was=f"optimizer = {kind}", why="another name there")
    if not isinstance(given, dict) and number(tree.tables.get("weight_decay")):
        own = {**own, "weight_decay": tree.tables["weight_decay"]}
    args = [f"{key}={own[key]}" for key in ARGUMENTS if _is_its_own(key, name) and own.get(key) not in (None, "", [], {}) and not isinstance(own[key], (dict, list))]  # fmt: skip
    betas = [number(own.get(key)) for key in ("beta1", "beta2")]
    if None not in betas and name not in {"Adafactor", "SGD", "RMSprop", "Adagrad"}:
        args.append(f"betas={said(betas[0])},{said(betas[1])}")
    if args:
        out.give("optimizer_args", args, line)


def _is_its_own(key: str, name: str) -> bool:
    if key in ADAFACTOR_ONLY:
        return name == "Adafactor"
    if key in PRODIGY_ONLY:
        return name == "Prodigy"
    if key == "eps":
        return name not in {"Adafactor", "Lion", "Lion8bit", "SGD"}
    return key != "momentum" or name in {"SGD", "RMSprop"}


def read_weights(out: Gathered, tree: Tree) -> None:
    """Which parts are trained, with which rate and stored how."""
    trains = {name: _trains(tree, name) for name in ("unet", *TEXTS)}
    line = tree.line("text_encoder", "train")
    if not any(trains[name] for name in TEXTS):
        out.give("network_train_unet_only", True, line, was="no text encoder is trained", why="a flag here")
        if is_on(tree.tables.get("text_caching", tree.tables.get("latent_caching", True))):
            for name in ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"):
                out.give(name, True, line, was="text encoders are not trained, and cached", why="a flag here")
    elif not trains["unet"]:
        out.give("network_train_text_encoder_only", True, tree.line("unet", "train"), was="the U-Net is not trained", why="a flag here")  # fmt: skip
    rate, own = _part(tree, "unet", "learning_rate")
    if trains["unet"] and number(rate):
        out.give("unet_lr", rate, own, was=f"unet.learning_rate = {said(rate)}", why="another name there")
    _text_rates(out, tree, trains)
    _storage(out, tree)


def _trains(tree: Tree, name: str) -> bool:
    value, _ = _part(tree, name, "train")
    return True if value is None else is_on(value)


def _part(tree: Tree, name: str, key: str) -> tuple[Any, int]:
    """A setting of a part of the model, also in the form of older versions (`unet_learning_rate`, `train_unet`)."""
    part = tree.tables.get(name)
    if isinstance(part, dict):
        return part.get(key), tree.line(name, key)
    old = f"train_{name}" if key == "train" else f"{name}_{key}"
    return tree.tables.get(old), tree.line(old)


def _text_rates(out: Gathered, tree: Tree, trains: Mapping[str, bool]) -> None:
    rates: list[Any] = []
    line = 1
    for name in TEXTS:
        rate, line = _part(tree, name, "learning_rate")
        if number(rate) is None:
            rate = tree.tables.get("learning_rate", DEFAULTS["learning_rate"])
        rates.append(rate if trains[name] else 0)
    if not any(trains[name] for name in TEXTS):
        return
    has_own = any(number(_part(tree, name, "learning_rate")[0]) is not None for name in TEXTS)
    if has_own or trains[TEXTS[0]] != trains[TEXTS[1]]:
        out.give("text_encoder_lr", rates, line, was="text_encoder.learning_rate, text_encoder_2.learning_rate", why="one list here")  # fmt: skip


def _storage(out: Gathered, tree: Tree) -> None:
    general = tree.tables.get("weight_dtype")
    for name in ("unet", *TEXTS):
        kind, line = _part(tree, name, "weight_dtype")
        kind = general if kind in (None, "NONE") else kind
        if kind == "FLOAT_8" and name == "unet":
            out.give("fp8_base", True, line, was="unet.weight_dtype = FLOAT_8", why="base weights in 8 bits")
        elif kind is not None and str(kind) not in STORED:
            out.leave(f"{name}.weight_dtype", kind, "sd-scripts cannot store weights so", line)
    kind, line = _part(tree, "vae", "weight_dtype")
    if kind == "FLOAT_32":
        out.give("no_half_vae", True, line, was="vae.weight_dtype = FLOAT_32", why="a flag here")
    place, line = _part(tree, "vae", "model_name")
    if isinstance(place, str) and place:
        out.give("vae", place, line, was=f"vae.model_name = {place}", why="another name there")
    for name in TEXTS:
        share, line = _part(tree, name, "dropout_probability")
        if number(share):
            out.leave(f"{name}.dropout_probability", share, f"caption_dropout_rate is the nearest; this {SEVERAL}", line)  # fmt: skip


def read_concepts(out: Gathered, tree: Tree) -> None:
    """Folders with images, where the file holds them itself."""
    concepts = tree.tables.get("concepts")
    if not isinstance(concepts, list):
        return
    for at, concept in enumerate(concepts):
        if not isinstance(concept, dict):
            continue
        line = tree.line("concepts", at, "path")
        path, kind = (
            concept.get("path"),
            str(concept.get("type") or concept.get("concept_type") or "STANDARD"),
        )
        if concept.get("enabled") is False or not isinstance(path, str) or not path:
            continue
        if kind == "VALIDATION":
            out.drop("concept", path, "images for validation only", line)
            continue
        times = number(concept.get("balancing", concept.get("repeats", 1))) or 1
        if concept.get("balancing_strategy") == "SAMPLES" or times != int(times):
            out.leave(
                "balancing", f"{said(times)} for {path}", "repeats are whole numbers here: 1 was taken", line
            )
            times = 1
        out.folder(path, times, line, is_reg=kind == "PRIOR_PREDICTION")
        if is_on(concept.get("include_subdirectories")):
            out.leave("include_subdirectories", path, "sd-scripts takes the images of one folder only", line)
    words = [concept.get("text") for concept in concepts if isinstance(concept, dict)]
    if any(isinstance(word, dict) and is_on(word.get("enable_tag_shuffling")) for word in words):
        out.give("shuffle_caption", True, tree.line("concepts"), was="enable_tag_shuffling = true", why="another name there")  # fmt: skip
        kept: list[int] = [
            int(number(word.get("keep_tags_count")) or 0) for word in words if isinstance(word, dict)
        ]
        if any(kept) and len(set(kept)) == 1:
            out.give("keep_tokens", kept[0], tree.line("concepts"), was=f"keep_tags_count = {kept[0]}", why="another name there")  # fmt: skip
