"""The metadata of a trained LoRA (`ss_*` keys of a safetensors header) as the preset that made it.

Only the header is read, by the bounded reader of `checkpoint`. The file holds some of the settings: of those that it does
not hold, the shipped preset's stay, and the report names them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from launcher.checkpoint import HeaderError, lora_base, precisions, read_header, recognise
from launcher.errors import InputError
from launcher.importer.tools.gathering import Gathered, number, refuse, said
from launcher.importer.tools.loading import clean, parse_json
from launcher.importer.tools.lora_data import common_settings, name_images
from launcher.importer.tools.lora_keys import NEVER_SAID, OPTIMIZERS, OTHER_NAMES, PLAIN, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.checkpoint import Header
    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.trainers import Option

FORMAT = "settings in a LoRA file"
MOST_TEXT = 4 * 1024 * 1024  # of one value that is JSON: tags of a large collection have some hundred KB
OPTIMIZER = re.compile(r"([\w.]+)(?:\((.*)\))?", re.DOTALL)
COMMA = re.compile(r",(?![^(\[]*[)\]])(?=\s*[A-Za-z_]\w*=)")
ALWAYS = frozenset({"max_train_steps", "network_alpha", "train_batch_size", "learning_rate"})
SDXL = frozenset({"SDXL", ""})
MOSTLY = 0.99


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether the beginning of a file is that of a safetensors file: the header's length, then the header."""
    return 8 < int.from_bytes(head[:8], "little") + 8 <= size and head[8:9] == b"{"


def open_header(path: Path) -> Header:
    """The header of the file.

    Raises:
        InputError: it is none, or cannot be read.
    """
    try:
        return read_header(path)
    except HeaderError as error:
        raise InputError(f"{path.name} cannot be imported: {error}", fix="take a whole .safetensors file", where=str(path)) from error  # fmt: skip
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}", where=str(path)) from error


def read_lora(source: Source, table: Mapping[str, Option]) -> Reading:
    """The settings in a LoRA file.

    Raises:
        InputError: it is no LoRA for SDXL, or holds no settings.
    """
    header = open_header(source.path)
    _check_kind(source, header)
    reader = _Reader(source, header, table)
    reader.read()
    return reader.out.reading(FORMAT, line=0, says=frozenset(reader.says | reader.out.implied()))


def _check_kind(source: Source, header: Header) -> None:
    nature = recognise(header)
    if nature.name != "lora":
        what = nature.what.partition(",")[0]
        raise refuse(source, what, "only a trained LoRA says with which settings it was made")
    base = lora_base(header)
    said_v2 = header.metadata.get("ss_v2") == "True"
    if base not in SDXL or said_v2:
        raise refuse(source, f"a LoRA for {'Stable Diffusion 2.x' if said_v2 else base}")
    if not any(key.startswith("ss_") for key in header.metadata):
        raise InputError(
            f"{source.label} is a LoRA that holds no training settings", why="it was saved without them, or made by another program",
            fix="ask who made it for the settings, or take another LoRA of theirs", where=str(source.path),
        )  # fmt: skip


class _Reader:
    def __init__(self, source: Source, header: Header, table: Mapping[str, Option]) -> None:
        self.header = header
        self.meta = header.metadata
        self.table = table
        self.out = Gathered(source.label)
        self.says: set[str] = set()

    def read(self) -> None:
        for name in PLAIN:
            self._take(f"ss_{name}", name)
        for key, name in OTHER_NAMES.items():
            self._take(key, name)
        self._text_rate()
        self._network_args()
        self._optimizer()
        self._weights()
        datasets = self._json("ss_datasets")
        for name, value, key in common_settings(self.out, datasets):
            self._give(name, value, key)
        name_images(
            self.out, self.meta, self._json("ss_dataset_dirs"), self._json("ss_reg_dataset_dirs"), datasets
        )
        self._remarks()

    def _give(self, name: str, value: Any, key: str) -> None:
        """A setting; what is the trainer's default was most likely not passed, and need not be said."""
        self.says.add(name)
        default = self.table[name].default
        is_default = value == default or (number(value) is not None and number(value) == number(default))
        if name in ALWAYS or not is_default:
            self.out.give(name, value, place=key)

    def _take(self, key: str, name: str) -> None:
        """A value as sd-scripts wrote it: `str()` of what the option was."""
        if key not in self.meta or name not in self.table:
            return
        text = self.meta[key]
        option = self.table[name]
        if text == "None" or (option.type == "flag" and text == "False"):
            self.says.add(name)
        elif option.type == "flag":
            if text == "True":
                self._give(name, True, key)
            else:
                self.out.leave(key, text[:60], "is neither True nor False")
        elif name == "resolution":
            sides = re.findall(r"\d+", text[:60])
            self._give(name, ",".join(sides[:2]), key)
        elif not (text == "" and option.type != "str"):
            self._give(name, _whole(text) if option.type == "int" else text, key)

    def _json(self, key: str) -> Any:
        """A value that is JSON; None when it is missing or none that can be used."""
        text = self.meta.get(key)
        if text is None:
            return None
        if len(text) > MOST_TEXT:
            self.out.note(f"{key} is far too long: it was not read")
            return None
        try:
            return clean(parse_json(text))
        except (ValueError, RecursionError):
            self.out.note(f"{key} is damaged, too deep or far too large: it was not read")
            return None

    def _text_rate(self) -> None:
        """One rate, or a list of them as Python prints it."""
        text = self.meta.get("ss_text_encoder_lr")
        if text is None:
            return
        self.says.add("text_encoder_lr")
        found = [number(part.strip(" []()")) for part in text[:200].split(",")]
        if text not in {"None", "[]", ""}:
            if None in found:
                self.out.leave("ss_text_encoder_lr", text[:60], "is no rate")
            else:
                self._give("text_encoder_lr", found, "ss_text_encoder_lr")

    def _network_args(self) -> None:
        """sd-scripts puts network_dropout among them as `dropout`, which nobody passed (train_network.py 674)."""
        self.says.add("network_args")
        args = self._json("ss_network_args")
        if isinstance(args, dict):
            own = {
                key: value
                for key, value in args.items()
                if not (
                    key == "dropout" and (value is None or str(value) == self.meta.get("ss_network_dropout"))
                )
            }
            if own:
                self._give("network_args", [f"{key}={said(value)}" for key, value in own.items()], "ss_network_args")  # fmt: skip
        elif args is not None:
            self.out.leave("ss_network_args", said(args)[:80], "is no table")

    def _optimizer(self) -> None:
        text = self.meta.get("ss_optimizer", "")
        found = OPTIMIZER.fullmatch(text[:2000])
        if not found:
            return
        self.says |= {"optimizer_type", "optimizer_args"}
        name = OPTIMIZERS.get(found[1], "")
        if not name and found[1].startswith("torch.optim."):
            name = found[1].rpartition(".")[2]
        self._give("optimizer_type", name or found[1], "ss_optimizer")
        args = [part.strip() for part in COMMA.split(found[2])] if found[2] else []
        if any("=" in part for part in args):
            self._give("optimizer_args", [_argument(part) for part in args if "=" in part], "ss_optimizer")

    def _weights(self) -> None:
        """What the weights tell themselves: which parts were trained, and how they were saved."""
        has_unet, has_text = self.header.has("lora_unet_"), self.header.has("lora_te")
        if has_unet and not has_text:
            self.says |= {"network_train_unet_only", "network_train_text_encoder_only"}
            self._give("network_train_unet_only", True, "its weights")
        elif has_text and not has_unet:
            self.says |= {"network_train_unet_only", "network_train_text_encoder_only"}
            self._give("network_train_text_encoder_only", True, "its weights")
        elif has_text:
            self.says |= {"network_train_unet_only", "network_train_text_encoder_only"}
        if has_text:  # what is trained cannot be computed once before
            self.says |= {"cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"}
        kinds = [kind for kind, share in precisions(self.header).items() if share > MOSTLY]
        if kinds:
            self.says.add("save_precision")
        if kinds and kinds[0] in PRECISIONS:
            self._give("save_precision", PRECISIONS[kinds[0]], "its weights")

    def _remarks(self) -> None:
        meta = self.meta
        out = self.out
        model = meta.get("ss_sd_model_name", "None")
        if model not in {"None", ""}:
            out.note(f"It was trained on the model {model[:120]}: name yours with --model.")
        vae = meta.get("ss_vae_name", "None")
        if vae not in {"None", ""}:
            out.note(f"It was trained with the VAE {vae[:120]}: name yours in vae.")
        epochs = meta.get("ss_num_epochs", "")
        if epochs.isdecimal() and "ss_max_train_steps" in meta:
            out.note(f"Its {meta['ss_max_train_steps'][:12]} steps were {epochs[:8]} epochs of its own images; with other images max_train_epochs may be what you want.")  # fmt: skip
        if "ss_learning_rate" not in meta:
            out.note(
                "It was saved with --no_metadata: only its network is known, all else is the shipped preset's."
            )
        else:
            out.note(f"A LoRA file does not say {NEVER_SAID}: the shipped preset's values stand for them.")


def _whole(text: str) -> str:
    """`1024` also where it was written as 1024.0."""
    value = number(text)
    return str(int(value)) if value is not None and value == int(value) else text


def _argument(text: str) -> str:
    """`betas=(0.9, 0.99)` as sd-scripts takes it: without brackets and blanks."""
    name, _, value = text.partition("=")
    return f"{name.strip()}={value.strip(' ()[]').replace(' ', '')}"
