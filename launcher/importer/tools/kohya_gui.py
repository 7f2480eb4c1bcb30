"""The settings file of the kohya_ss program: what it would have passed to sd-scripts.

It passes on only what is set: an empty text, zero, false and null are "unset" there (lora_gui.train_model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.launch import Word
from launcher.importer.tools.gathering import Gathered, is_on, number, refuse, said
from launcher.importer.tools.kohya_gui_keys import (
    ACCELERATE,
    ACCELERATE_USUAL,
    KEPT_AT_ZERO,
    KOHYA,
    LISTS,
    LYCORIS,
    MARKS,
    MODELS,
    OF_THE_NETWORK,
    OF_THE_PROGRAM,
    OTHER_MODEL_KEYS,
    OTHER_MODELS,
    RENAMED,
    SPECIAL,
    WITHOUT_EFFECT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.importer.tools.loading import Tree
    from launcher.trainers import Option

FORMAT = "kohya_ss settings"
FEWEST_MARKS = 5
USUAL_TOKENS = 75
COMPUTED = "as the program computes it"
NAMED = "another name there"


def is_kohya_gui(tables: Mapping[str, Any]) -> bool:
    """Whether an object is a settings file of the program, for whatever training."""
    return "LoRA_type" in tables or len(MARKS & tables.keys()) >= FEWEST_MARKS


def read_kohya_gui(source: Source, tree: Tree, table: Mapping[str, Option]) -> Reading:
    """One settings file.

    Raises:
        InputError: it is for another kind of training (says which).
    """
    _check_kind(source, tree.tables)
    reader = _Reader(source, tree, table)
    reader.read()
    return reader.out.reading(FORMAT)


def _check_kind(source: Source, tables: Mapping[str, Any]) -> None:
    if "LoRA_type" not in tables:
        kind = (
            "a full fine-tune" if {"image_folder", "train_dir"} & tables.keys() else "a DreamBooth training"
        )
        kind = "a textual inversion" if {"token_string", "init_word"} & tables.keys() else kind
        raise refuse(source, f"{kind} of the kohya_ss program", "it has no LoRA_type")
    kind = next((kind for key, kind in MODELS.items() if is_on(tables.get(key))), "")
    if tables.get("LoRA_type") == "Flux1":
        kind = MODELS["flux1_checkbox"]
    if not kind and not is_on(tables.get("sdxl")):
        kind = "a LoRA training for Stable Diffusion 1.5"
    if kind:
        raise refuse(source, f"{kind} (kohya_ss settings)", "sdxl is not on, or another kind of model is")


class _Reader:
    def __init__(self, source: Source, tree: Tree, table: Mapping[str, Option]) -> None:
        self.tree = tree
        self.tables = tree.tables
        self.table = table
        self.out = Gathered(source.label)
        self.out.notes += tree.notes
        self.others: list[str] = []

    def read(self) -> None:
        for key, value in self.tables.items():
            self._read_key(key, value, self.tree.line(key))
        self._learning_rates()
        self._length()
        self._warmup()
        self._noise()
        self._network()
        self._attention()
        self._rest()
        if self.others:
            self.out.note(f"{len(self.others)} keys for other kinds of models were passed over: they have no effect on SDXL")  # fmt: skip
        # The program puts these words behind all others, so they win.
        self._extra("additional_parameters")

    def _read_key(self, key: str, value: Any, line: int) -> None:
        """A key that means one option, or none."""
        if key in WITHOUT_EFFECT:
            if self._is_set(key):
                self.out.drop(key, value, WITHOUT_EFFECT[key], line)
        elif key == "max_token_length" and number(value) == USUAL_TOKENS:
            self.out.drop(key, value, "what sd-scripts takes anyway", line)
        elif key in ACCELERATE:
            self._accelerate(key, value, line)
        elif key in SPECIAL or key in OF_THE_NETWORK or key in OF_THE_PROGRAM:
            return
        elif key in RENAMED or key in self.table:
            name = RENAMED.get(key, key)
            if self._is_set(key):
                was = f"{key} = {said(value)}" if name != key else ""
                self.out.give(name, True if self._is_flag(name, value) else value, line, was=was, why=NAMED)
        elif key in OTHER_MODEL_KEYS or key.startswith(OTHER_MODELS):
            self.others.append(key)
        elif self._is_set(key):
            self.out.leave(key, value, "is no setting of kohya_ss that is known here", line)

    def _is_set(self, key: str) -> bool:
        value = self.tables.get(key)
        if value in ("", None, False, [], {}) and not (value == 0 and key in KEPT_AT_ZERO):
            return False
        return number(value) != 0 or key in KEPT_AT_ZERO

    def _is_flag(self, name: str, value: Any) -> bool:
        option = self.table.get(name)
        return option is not None and option.type == "flag" and is_on(value)

    def _give(self, name: str, value: Any, key: str, why: str = COMPUTED) -> None:
        was = f"{key} = {said(self.tables.get(key))}"
        self.out.give(name, value, self.tree.line(key), was="" if was == f"{name} = {said(value)}" else was, why=why)  # fmt: skip

    def _keep(self, *keys: str) -> None:
        for key in keys:
            if self._is_set(key):
                value = self.tables[key]
                self.out.give(key, True if self._is_flag(key, value) else value, self.tree.line(key))

    def _accelerate(self, key: str, value: Any, line: int) -> None:
        if not self._is_set(key) or value == ACCELERATE_USUAL.get(key) or number(value) == ACCELERATE_USUAL.get(key, ""):  # fmt: skip
            return
        text = f"--{key}" if value is True else f"--{key}={said(value)}"
        self.out.program.append(Word(text=text, line=line, file=self.out.file))

    def _learning_rates(self) -> None:
        """A rate of zero means that this part is not trained; the rate for all counts only without the others."""
        unet, text = number(self.tables.get("unet_lr")) or 0, self.tables.get("text_encoder_lr")
        texts = text if isinstance(text, list) else [text]
        has_text = any(number(item) for item in texts)
        if unet and not has_text:
            self._give("network_train_unet_only", True, "text_encoder_lr", "a rate of zero: only the U-Net is trained")  # fmt: skip
        elif has_text and not unet:
            self._give("network_train_text_encoder_only", True, "unet_lr", "a rate of zero: only the text encoders are trained")  # fmt: skip
        self._keep("unet_lr")
        if has_text:
            self.out.give("text_encoder_lr", texts, self.tree.line("text_encoder_lr"))
        if not self._is_set("learning_rate"):
            return
        if unet or has_text:
            why = "unet_lr and text_encoder_lr say it: the program then does not pass it"
            self.out.drop("learning_rate", self.tables["learning_rate"], why, self.tree.line("learning_rate"))
        else:
            self._keep("learning_rate")

    def _length(self) -> None:
        """Epochs, steps, or epochs that the program turns into steps by counting images."""
        if number(self.tables.get("max_train_epochs")):
            self._keep("max_train_epochs", "max_train_steps")
        elif number(self.tables.get("max_train_steps")):
            self._keep("max_train_steps")
        elif number(self.tables.get("epoch")):
            why = "the program counts the images and makes steps of it: the same length"
            self._give("max_train_epochs", self.tables["epoch"], "epoch", why)
        cycles = self.tables.get("lr_scheduler_num_cycles")
        if cycles not in ("", None, 0, "0"):
            self._keep("lr_scheduler_num_cycles")
        elif "lr_scheduler_num_cycles" in self.tables and number(self.tables.get("epoch")):
            self._give("lr_scheduler_num_cycles", self.tables["epoch"], "epoch", "the program takes the epochs where it is empty")  # fmt: skip

    def _warmup(self) -> None:
        """A percentage of all steps there; sd-scripts takes a share."""
        if number(self.tables.get("lr_warmup_steps")):
            self._keep("lr_warmup_steps")
            return
        percent = number(self.tables.get("lr_warmup"))
        if percent is None or percent <= 0:
            return
        share = f"{percent / 100:g}" if percent < 100 else f"{percent:g}%"
        self._give("lr_warmup_steps", share, "lr_warmup", "percent there, a share of all steps here")

    def _noise(self) -> None:
        """Only the keys of the chosen kind of noise are passed."""
        plain = ("noise_offset", "adaptive_noise_scale", "noise_offset_random_strength")
        multi = ("multires_noise_iterations", "multires_noise_discount")
        is_multi = str(self.tables.get("noise_offset_type", "Original")).lower() == "multires"
        self._keep(*(multi if is_multi else plain))
        for key in plain if is_multi else multi:
            if self._is_set(key):
                kind = self.tables.get("noise_offset_type", "Original")
                self.out.drop(key, self.tables[key], f"noise_offset_type is {said(kind)[:20]}", self.tree.line(key))  # fmt: skip

    def _network(self) -> None:
        kind = str(self.tables["LoRA_type"])
        if kind in LYCORIS:
            algo, keys = LYCORIS[kind]
            args = [self._argument(key) for key in keys if self._key(key) in self.tables]
            module, args = "lycoris.kohya", [*args, f"algo={algo}"]
        elif kind in KOHYA:
            module, always, where_set = KOHYA[kind]
            args = [self._argument(key) for key in always if key in self.tables]
            args += [self._argument(key) for key in where_set if self._is_set(key)]
        else:
            why = "is a kind of network that is not known here"
            self.out.leave("LoRA_type", kind, why, self.tree.line("LoRA_type"))
            return
        args += str(self.tables.get("network_args") or "").replace('"', "").split()
        self._give("network_module", module, "LoRA_type")
        if args:
            line = self.tree.line("LoRA_type")
            self.out.give("network_args", args, line, was=f"LoRA_type = {kind}, and its settings", why=COMPUTED)  # fmt: skip

    def _key(self, name: str) -> str:
        return "LyCORIS_preset" if name == "preset" else name

    def _argument(self, name: str) -> str:
        value = self.tables[self._key(name)]
        shown = str(value) if isinstance(value, (bool, float)) else said(value)
        is_block = name == "unit" and str(self.tables["LoRA_type"]).startswith("LyCORIS")
        return f"{'block_size' if is_block else name}={shown}"

    def _attention(self) -> None:
        value = self.tables.get("xformers")
        if value in ("xformers", "sdpa"):
            self._give(str(value), True, "xformers", "a choice there, a flag here")
        elif is_on(value):
            self._keep("xformers")
        elif value not in ("", None, "none", "None", False):
            self.out.leave("xformers", value, "is neither xformers nor sdpa", self.tree.line("xformers"))

    def _rest(self) -> None:
        self._keep("mixed_precision")
        for key in LISTS:
            text = self.tables.get(key)
            words = text if isinstance(text, list) else str(text or "").replace('"', "").split()
            if words:
                self.out.give(key, words, self.tree.line(key))
        if self._is_set("sample_prompts"):
            text = self.tables["sample_prompts"]
            why = (
                "the prompts themselves stand in it: save them as a text file and name that in sample_prompts"
            )
            self.out.drop("sample_prompts", text, why, self.tree.line("sample_prompts"))
        if is_on(self.tables.get("use_wandb")):
            self._give("log_with", "wandb", "use_wandb")

    def _extra(self, key: str) -> None:
        """Words that the person typed for sd-scripts' command line: the program takes out quotes and parts them at blanks."""
        value = self.tables.get(key)
        if value in ("", None):
            return
        line = self.tree.line(key)
        for text in str(value).replace('"', "").split():
            self.out.words.append(Word(text=text, line=line, file=self.out.file))
