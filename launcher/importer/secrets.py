"""Secrets in scripts: known by their names and shapes, never stored, never shown."""

from __future__ import annotations

import re

SECRET_NAME = re.compile(r"token|api[_-]?key|password|passwd|secret|credential", re.IGNORECASE)
NO_SECRETS = re.compile(r"(max_token_length|keep_tokens(_separator)?|token_string|token_warmup_\w+|tokenizer\w*|class_tokens|num_vectors_per_token|init_word)", re.IGNORECASE)  # fmt: skip
SECRET_SHAPE = re.compile(
    r"hf_[A-Za-z0-9]{12,}|\b[0-9a-f]{40}\b|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
)
NAMED_VALUE = re.compile(r"([\w-]*(?:token|api[_-]?key|password|secret)\w*\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"';]+)", re.IGNORECASE)  # fmt: skip
HIDDEN = "(withheld)"
MOST_SHOWN = 160


def is_secret_name(name: str) -> bool:
    """Whether a variable or option of this name holds a secret."""
    return bool(SECRET_NAME.search(name)) and not NO_SECRETS.fullmatch(name.lstrip("-"))


def hide(text: str) -> str:
    """A text of the script fit to be shown: on one line, cut, without what looks like a secret."""
    short = " ".join(text.split())
    shown = SECRET_SHAPE.sub(HIDDEN, short)
    shown = NAMED_VALUE.sub(lambda found: found[0] if NO_SECRETS.fullmatch(found[1].rstrip(" =:").lstrip("-")) else found[1] + HIDDEN, shown)  # fmt: skip
    return shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 1]}…"
