"""A plan as JSON and back. What comes back may have been written by anybody, so every field is checked."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from launcher.errors import InputError
from launcher.machine import Fact
from launcher.plan.names import check_name
from launcher.plan.records import PLAN_VERSION, Plan
from launcher.preset import Setting

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 8
TEXTS = ("name", "preset", "preset_sha256", "trainer", "trainer_class")
OPTIONAL_TEXTS = ("trainer_commit", "parent")
PATHS = ("script", "data")
OPTIONAL_PATHS = ("cwd", "resume_state", "model")
LISTS = ("argv", "notes")


def plan_to_json(plan: Plan) -> str:
    """Text of `plan.json`."""
    value: dict[str, Any] = {field.name: getattr(plan, field.name) for field in fields(plan)}
    for name in (*PATHS, *OPTIONAL_PATHS):
        value[name] = None if value[name] is None else str(value[name])
    value["options"] = {
        name: {"value": item.value, "source": item.source, **({"why": item.why} if item.why else {})}
        for name, item in plan.options.items()
    }
    value["machine"] = {
        name: {"value": fact.value, "reason": fact.reason} for name, fact in plan.machine.items()
    }
    value["env"], value["train"], value["dataset"] = dict(plan.env), dict(plan.train), dict(plan.dataset)
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def plan_from_json(value: object) -> Plan:
    """The plan that `plan_to_json` wrote, from its text or from the value that the text holds.

    Raises:
        InputError: it is damaged, of another version, or not a plan; the sentence names the field.
    """
    if isinstance(value, (str, bytes)):
        value = _parse(value)
    if not isinstance(value, dict):
        raise _damaged("it is not an object")
    if value.get("v") != PLAN_VERSION or isinstance(value["v"], bool):
        raise InputError(
            "plan.json was written by another version of the launcher",
            fix="use that version, or start a new run",
        )
    names = {field.name for field in fields(Plan)}
    if set(value) != names:
        raise _damaged(f"fields are missing or unknown: {', '.join(sorted(set(value) ^ names))[:200]}")
    return _read(value)


def _parse(text: str | bytes) -> object:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise _damaged(f"it has {len(raw)} bytes")
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from error


def _read(value: dict[str, Any]) -> Plan:
    read: dict[str, Any] = {"v": PLAN_VERSION}
    read |= {name: _text(value[name], name) for name in TEXTS}
    read |= {name: None if value[name] is None else _text(value[name], name) for name in OPTIONAL_TEXTS}
    read |= {name: _path(value[name], name) for name in PATHS}
    read |= {name: None if value[name] is None else _path(value[name], name) for name in OPTIONAL_PATHS}
    read |= {name: tuple(_text(item, name) for item in _list(value[name], name)) for name in LISTS}
    read["env"] = {
        name: None if item is None else _text(item, "env")
        for name, item in _mapping(value["env"], "env").items()
    }
    read["train"] = {name: _plain(item, "train") for name, item in _mapping(value["train"], "train").items()}
    read["dataset"] = {
        name: _plain(item, "dataset") for name, item in _mapping(value["dataset"], "dataset").items()
    }
    read["options"] = {name: _setting(item) for name, item in _mapping(value["options"], "options").items()}
    read["machine"] = {name: _fact(item) for name, item in _mapping(value["machine"], "machine").items()}
    read["total_steps"] = _optional_number(value["total_steps"], "total_steps", int)
    read["min_vram_gib"] = _optional_number(value["min_vram_gib"], "min_vram_gib", (int, float))
    reason = check_name(read["name"])
    if reason:
        raise _damaged(f"name: {reason}")
    return Plan(**read)


def _damaged(reason: str) -> InputError:
    return InputError(
        "plan.json is damaged and cannot be trusted",
        why=reason,
        fix="start a new run from its preset and data folder",
    )


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise _damaged(f"{field} is not a text")
    return value


def _path(value: object, field: str) -> Path:
    return Path(_text(value, field))


def _list(value: object, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise _damaged(f"{field} is not a list")
    return value


def _mapping(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(f"{field} is not a table")
    return value


def _optional_number(value: object, field: str, kind: type | tuple[type, ...]) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, kind):
        raise _damaged(f"{field} is not a number")
    return value


def _plain(value: object, field: str, depth: int = 0) -> object:
    """A value that TOML can hold."""
    if isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list) and depth < MAX_DEPTH:
        return [_plain(item, field, depth + 1) for item in value]
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {name: _plain(item, field, depth + 1) for name, item in value.items()}
    raise _damaged(f"{field} holds a value that TOML has no form for")


def _setting(value: object) -> Setting:
    table = _mapping(value, "options")
    if not {"value", "source"} <= set(table) <= {"value", "source", "why"}:
        raise _damaged("options: each has a value and a source")
    why = _text(table.get("why", ""), "options")
    return Setting(value=_plain(table["value"], "options"), source=_text(table["source"], "options"), why=why)


def _fact(value: object) -> Fact:
    table = _mapping(value, "machine")
    if set(table) != {"value", "reason"}:
        raise _damaged("machine: each fact has a value and a reason")
    item = None if table["value"] is None else _plain(table["value"], "machine")
    return Fact(value=item, reason=_text(table["reason"], "machine"))
