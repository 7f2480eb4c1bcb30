"""A file or folder that was dropped on the shortcut, or on setup_env.py: Windows starts us with its path as a word.

Standard library only, and nothing but `os` before it is clear that a word is no command: every start pays for it.
"""

import os

SCRIPTS = (".ps1", ".bat", ".cmd", ".sh", ".json", ".toml", ".safetensors")


def words_for(words: "list[str]") -> "list[str]":
    """`import FILE ...` for files that a training may be read from, `check DIR` for one folder; else the words as they are.

    Only whole paths count, and all words must be such: what somebody types (`train style.toml`) begins with a command.
    """
    if not words or not all(map(_is_whole, words)):
        return words
    if all(word.lower().endswith(SCRIPTS) and os.path.isfile(word) for word in words):  # noqa: PTH113
        return ["import", *words]
    if len(words) == 1 and os.path.isdir(words[0]):  # noqa: PTH112
        return ["check", words[0]]
    return words


def _is_whole(word: str) -> bool:
    """Not `-C:...`; a drop gives the whole path."""
    return not word.startswith("-") and os.path.isabs(word)  # noqa: PTH117
