"""The sample prompts of a run, encoded once while the text encoders are still there.

What stock computes at every sampling, from encoders that it keeps in RAM as float32 (3.3 GB), is computed here with the
same functions on the same weights, a layer at a time in float32, and remembered by the tokens. A prompt that was not in the file then (it was edited
in mid-run) is encoded by encoders that are loaded for that moment.
"""

from __future__ import annotations

import functools
import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from launcher.shim.autocast import autocast_of
from launcher.shim.memory.heap import release
from launcher.shim.memory.prompt_store import PromptStore, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models


class UnknownPromptError(LookupError):
    """Asked only what is known, and this is not."""


class Memory:
    """Outputs of the text encoders by what went in. Stands between the pipeline and the encoders."""

    def __init__(self, learn_again: Callable[[], None]) -> None:
        self._learn_again = learn_again
        self._known: dict[str, tuple[Any, ...]] = {}
        self._asked: set[str] = set()
        self.is_closed = False  # learns nothing now: what is not known raises UnknownPromptError

    def fill(self, known: Mapping[str, tuple[Any, ...]]) -> None:
        self._known.update(known)

    def knows(self, key: tuple[object, ...]) -> bool:
        return name_of(key) in self._known

    def learn(self, key: tuple[object, ...], outputs: Any) -> Any:
        """Keep outputs and give them back."""
        name = name_of(key)
        self._known[name] = tuple(_on_cpu(output) for output in outputs)
        self._asked.add(name)
        return outputs

    def recall(self, key: tuple[object, ...]) -> tuple[Any, ...]:
        """Copies of what was kept (the pipeline weights them in place)."""
        name = name_of(key)
        if name not in self._known:
            if self.is_closed:
                raise UnknownPromptError
            self._learn_again()
        if name not in self._known:
            raise LookupError("the prompt is not in the prompt file any more")
        self._asked.add(name)
        return tuple(None if output is None else output.clone() for output in self._known[name])

    def asked(self) -> dict[str, tuple[Any, ...]]:
        """What this training has needed so far."""
        return {name: self._known[name] for name in self._asked}


def remember(context: Context, models: Models, memory: Memory) -> None:
    """Encode every prompt of the file, positive and negative, as the trainer's pipeline would; or read what an earlier start has."""
    store = PromptStore.of(context, models)
    memory.fill(store.load())
    _stand_between(context, memory)
    if _are_known(context, models, memory):
        for encoder in models.text_encoders:
            encoder.to("meta", models.weight_dtype)
            _type_projection(context, encoder)
        return
    for encoder in models.text_encoders:
        make_ready(context, models, encoder)
    ask_all(context, models)
    try:
        store.save(memory.asked())
    except Exception as error:  # noqa: BLE001  (safetensors has an error of its own for a full disk)
        context.warn(f"The encoded sample prompts could not be kept for the next start: {error}")


def _are_known(context: Context, models: Models, memory: Memory) -> bool:
    memory.is_closed = True
    try:
        _ask_each(context, models)  # without autocast: accelerate's stays on when an error passes through it
    except UnknownPromptError:
        return False
    finally:
        memory.is_closed = False
    return True


def ask_all(context: Context, models: Models) -> None:
    """Let the trainer's functions encode what is in the file now."""
    import torch

    with torch.no_grad(), autocast_of(models.accelerator):
        _ask_each(context, models)


def _ask_each(context: Context, models: Models) -> None:
    prompts = read_prompts(Path(context.args.sample_prompts), context.modules["library.train_util"])
    ask = _ask_strategies if _has_strategies(context) else _ask_pipeline
    for prompt in prompts:
        is_guided = prompt.get("scale", 7.5) > 1.0  # as the pipeline decides it, by its own default
        ask(context, models, prompt.get("prompt", ""), prompt.get("negative_prompt"), is_guided=is_guided)


def _has_strategies(context: Context) -> bool:
    """Since v0.9 encoding is an object's; in the fork it is a function."""
    return "library.strategy_sdxl" in context.modules


def read_prompts(path: Path, train_util: Any) -> Iterator[dict[str, Any]]:
    """Prompts of a .txt, .toml or .json file, by the trainer's own reading of a line."""
    text = path.read_text(encoding="utf-8")
    found: list[Any]
    if path.suffix == ".txt":
        found = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    elif path.suffix == ".toml":
        common = train_util.toml.loads(text)["prompt"]
        found = [{**common, **prompt} for prompt in common["subset"]]
    else:
        found = json.loads(text)
    for prompt in found:
        yield train_util.line_to_prompt_dict(prompt) if isinstance(prompt, str) else prompt


def learner(context: Context, models: Models) -> Callable[[], None]:
    """What learns a changed file: loads the text encoders with the weights they had, for that moment."""

    def learn_again() -> None:
        import torch

        context.warn("The sample prompts were changed: the text encoders are loaded again for a moment.")
        with torch.random.fork_rng(devices=[]):  # the image's seed is set already
            _, *encoders = context.modules["library.sdxl_train_util"]._load_target_model(  # noqa: SLF001
                context.args.pretrained_model_name_or_path, None, None, models.weight_dtype
            )[:3]
        encoders = [make_ready(context, models, encoder) for encoder in encoders]
        ask_all(context, replace(models, text_encoders=encoders))
        del encoders
        release()

    return learn_again


def make_ready(context: Context, models: Models, encoder: Any) -> Any:
    """On the CPU, to compute what it computes when stock samples with cached outputs.

    That is in float32, with weights that were rounded to the training's type for caching. The fork stays in the training's
    type; with fp8 it could not encode at all, and does here what v0.10.1 does.
    """
    encoder.to("cpu", models.weight_dtype)
    _type_projection(context, encoder)
    if _is_float32(context):
        _compute_in_float32(encoder)
    return encoder


def _is_float32(context: Context) -> bool:
    return _has_strategies(context) or bool(context.args.fp8_base)


def _type_projection(context: Context, encoder: Any) -> None:
    """The trainers look at its type, and take it for the encoder's."""
    if _is_float32(context) and hasattr(encoder, "text_projection"):
        encoder.text_projection.float()


def _compute_in_float32(encoder: Any) -> None:
    """Widen the weights of a layer while it runs: the numbers of a float32 encoder, and half of its RAM."""
    for layer in encoder.modules():
        own = list(layer.parameters(recurse=False))
        if own:
            narrow = [weight.data for weight in own]
            layer.register_forward_pre_hook(functools.partial(_widen, own))
            layer.register_forward_hook(functools.partial(_narrow, own, narrow))


def _widen(weights: list[Any], *_call: Any) -> None:
    for weight in weights:
        weight.data = weight.data.float()


def _narrow(weights: list[Any], narrow: list[Any], *_call: Any) -> None:
    for weight, data in zip(weights, narrow, strict=True):
        weight.data = data


def _stand_between(context: Context, memory: Memory) -> None:
    """Every call of the trainer's encoding function: learn while there are weights, recall afterwards."""
    if _has_strategies(context):
        owner: Any = context.modules["library.strategy_sdxl"].SdxlTextEncodingStrategy
        original = owner.encode_tokens_with_weights

        @functools.wraps(original)
        def encode_tokens_with_weights(
            strategy: Any, tokenizing: Any, models: Any, tokens: Any, weights: Any
        ) -> Any:
            key = (*map(_bytes, tokens), *map(_bytes, weights))
            if memory.is_closed or memory.knows(key) or is_emptied(models[0]):
                return list(memory.recall(key))
            return memory.learn(key, original(strategy, tokenizing, models, tokens, weights))

        owner.encode_tokens_with_weights = encode_tokens_with_weights
        return
    owner = importlib.import_module("library.sdxl_lpw_stable_diffusion")
    original = owner.get_hidden_states

    @functools.wraps(original)
    def get_hidden_states(encoder: Any, input_ids: Any, is_second: bool, eos: Any, device: Any) -> Any:
        key = (is_second, _bytes(input_ids))
        if not (memory.is_closed or memory.knows(key) or is_emptied(encoder)):
            return memory.learn(key, original(encoder, input_ids, is_second, eos, device))
        return tuple(None if output is None else output.to(device) for output in memory.recall(key))

    owner.get_hidden_states = get_hidden_states


def _ask_strategies(
    context: Context, models: Models, prompt: str, negative: str | None, *, is_guided: bool
) -> None:
    """As the pipeline of v0.10.1 does: positive and negative separately."""
    base = context.modules["library.strategy_base"]
    tokenizing = base.TokenizeStrategy.get_strategy()
    encoding = base.TextEncodingStrategy.get_strategy()
    for text in (prompt, negative or "") if is_guided else (prompt,):
        tokens, weights = tokenizing.tokenize_with_weights(text)
        encoding.encode_tokens_with_weights(tokenizing, models.text_encoders, tokens, weights)


def _ask_pipeline(
    context: Context, models: Models, prompt: str, negative: str | None, *, is_guided: bool
) -> None:
    """As the pipeline of the fork does: one encoder after the other, positive and negative of the same length."""
    pipeline = importlib.import_module("library.sdxl_lpw_stable_diffusion")
    tokenizers = _tokenizers(context)
    for number, (tokenizer, encoder) in enumerate(zip(tokenizers, models.text_encoders, strict=True)):
        pipeline.get_weighted_text_embeddings(
            pipe=SimpleNamespace(tokenizer=tokenizer, text_encoder=encoder, device="cpu"),
            prompt=prompt,
            uncond_prompt=[negative or ""] if is_guided else None,
            max_embeddings_multiples=3,  # the pipeline's own default, which sampling leaves as it is
            clip_skip=context.args.clip_skip,
            is_sdxl_text_encoder2=number == 1,
        )


def _tokenizers(context: Context) -> Any:
    return context.modules["library.sdxl_train_util"].load_tokenizers(context.args)


def is_emptied(encoder: Any) -> bool:
    """Whether `empty` was here."""
    return bool(next(encoder.parameters()).is_meta)


def empty(encoder: Any) -> None:
    """Drop the weights; the module stays, for the code that asks for its type or puts it in training mode."""
    for layer in encoder.modules():
        layer._forward_pre_hooks.clear()  # noqa: SLF001  (`make_ready` hung the weights there)
        layer._forward_hooks.clear()  # noqa: SLF001
    encoder.to("meta")


def _bytes(tensor: Any) -> bytes:
    return bytes(tensor.cpu().contiguous().numpy().tobytes())


def _on_cpu(output: Any) -> Any:
    return None if output is None else output.detach().cpu().clone()
