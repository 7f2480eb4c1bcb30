"""`tag DIR`: captions by a WD14 tagger. `tag --undo`: as it was before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, UsageError
from launcher.paths import command

if TYPE_CHECKING:
    import argparse

    from launcher.install.commands import Commands
    from launcher.paths import Paths
    from launcher.tagger.models import Model
    from launcher.tagger.records import Result, Survey, Wish
    from launcher.tagger.runtime import Runtime

EXTENSION = re.compile(r"\.[A-Za-z0-9][\w-]{0,30}", re.ASCII)
NOT_CAPTIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".avif", ".jxl", ".tif", ".tiff", ".npz", ".safetensors", ".ckpt", ".pt", ".toml", ".json", ".py"})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One tagging, all of it decided."""

    wish: Wish
    found: Survey
    model: Model
    where: Runtime


def tag(paths: Paths, options: argparse.Namespace) -> int:
    """Look, decide, show, ask, bring what is missing, tag, and say how to take it back."""
    if options.models:
        return _list_models(paths, options)
    options = options if options.undo else _ask(paths, options)
    if options.undo:
        return _undo(paths, options)
    from launcher.tagger import images, journal, models

    wish = wish_of(paths, options)
    model = models.find(paths, wish.model)
    with journal.turn(paths):
        found = images.survey(wish)
        where = _runtime(paths, wish)
        plan = Plan(wish=wish, found=found, model=model, where=where)
        if options.dry_run:
            return _show_plan(plan, options)
        if not found.targets:
            return _say_nothing_to_do(plan, options)
        if not _agreed(model, where, options):
            return 0
        return _carry_out(paths, plan, is_quiet=options.json)


def _runtime(paths: Paths, wish: Wish) -> Runtime:
    from launcher.commands.common import machine_of
    from launcher.tagger import runtime

    return runtime.choose(paths, machine_of(paths), device=wish.device)


def _carry_out(paths: Paths, plan: Plan, *, is_quiet: bool) -> int:
    from launcher.tagger import models, work
    from launcher.ui import console, tag_progress, tag_view

    model = _make_ready(paths, plan, is_quiet=is_quiet)
    vouched = models.vouch(paths, model)
    undo = _undo_words(plan.wish.folder)
    if not is_quiet:
        tag_view.show_vouched(model.name, vouched)
    result: Result | None = None

    def keep(now: Result, done: int) -> None:
        nonlocal result
        result = now
        advance(now, done)

    try:
        with tag_progress.progress(len(plan.found.targets), is_quiet=is_quiet) as advance:
            result = work.tag(paths, plan.wish, plan.found, model, plan.where, on_progress=keep)
    except BaseException:
        if result is not None and result.written and not is_quiet:
            tag_view.show_interrupted(result, undo=undo)
        raise
    if is_quiet:
        console.write_json({**result.as_json, "checksums": vouched, "undo": undo})
    else:
        tag_view.show_result(result, undo=undo)
    return 0


def _make_ready(paths: Paths, plan: Plan, *, is_quiet: bool) -> Model:
    """Bring packages and model where they are missing."""
    from launcher.tagger import models, runtime, work
    from launcher.ui.progress import install_progress

    model, where, mirror = plan.model, plan.where, plan.wish.mirror
    if runtime.missing(where) is None and models.missing(model) is None:
        return model
    if is_quiet:
        return work.make_ready(paths, model, where, _commands(paths), mirror=mirror, report=lambda _: None)
    with install_progress() as report:
        return work.make_ready(paths, model, where, _commands(paths), mirror=mirror, report=report)


def _commands(paths: Paths) -> Commands:
    from launcher.install.commands import Log
    from launcher.install.trainer import make_commands

    return make_commands(paths, Log.fresh(paths.logs, "tagger"))


def _undo_words(folder: Path) -> str:
    return command("tag", "--undo", str(folder))


# --- the wish


def wish_of(paths: Paths, options: argparse.Namespace) -> Wish:
    """The command line as a record.

    Raises:
        UsageError: something in it makes no sense.
        InputError: the folder is not there.
    """
    from launcher.tagger.models import default_name
    from launcher.tagger.records import Wish

    base = _threshold("--threshold", options.threshold)
    return Wish(
        folder=_folder(options.folder), model=options.model or default_name(paths),
        general=base if options.general_threshold is None else _threshold("--general-threshold", options.general_threshold),
        character=base if options.character_threshold is None else _threshold("--character-threshold", options.character_threshold),
        rest=base, rating=options.rating, has_spaces=options.underscores == "replace",
        undesired=tuple(word.strip() for word in options.undesired.split(",") if word.strip()),
        prefix=_prefix(options.prefix), existing=options.existing, extension=_extension(options.extension),
        is_recursive=options.recursive, batch=_batch(options.batch), device=options.device, mirror=options.mirror,
    )  # fmt: skip


def _folder(word: str | None) -> Path:
    if not word:
        raise UsageError("Which folder shall be tagged?", fix=f"name it: {command('tag', 'DIR')}")
    folder = Path(word).expanduser()
    if not folder.is_dir():
        what = "This is a file, not a folder." if folder.exists() else "There is no such folder."
        raise InputError(what, where=str(folder))
    return folder.resolve()


def _threshold(flag: str, value: float) -> float:
    if not 0.0 < value <= 1.01:
        raise UsageError(
            f"{flag} {value:g} makes no sense.", fix="between 0 and 1; 1.01 turns a category off"
        )
    return value


def _batch(value: int) -> int:
    if not 1 <= value <= 256:
        raise UsageError(f"--batch {value} makes no sense.", fix="between 1 and 256")
    return value


def _extension(word: str) -> str:
    if not EXTENSION.fullmatch(word) or word.lower() in NOT_CAPTIONS:
        raise UsageError(f"Captions cannot end in `{word}`.", fix="such as .txt or .caption")
    return word


def _prefix(word: str) -> str:
    if any(ord(char) < 32 for char in word):
        raise UsageError("The prefix must be one line of text.")
    return word.strip()


def _ask(paths: Paths, options: argparse.Namespace) -> argparse.Namespace:
    """Without a folder, on a terminal: ask, one question at a time."""
    from launcher.ui import prompts

    if options.folder or options.yes or options.json or not prompts.can_ask():
        return options
    from launcher.tagger.journal import UNDONE, entries
    from launcher.tagger.models import default_name, known
    from launcher.ui.tag_ask import ask_tagging

    last = next((entry.folder for entry in entries(paths.tagger_journal) if entry.status != UNDONE), None)
    models = {name: (model.title, model.size) for name, model in known(paths).items()}
    return ask_tagging(options, models, default=default_name(paths), undoable=last)


def _agreed(model: Model, where: Runtime, options: argparse.Namespace) -> bool:
    """What has to be downloaded is said and asked about; without a terminal it is done, as an installation is."""
    from launcher.tagger import models, runtime
    from launcher.ui import console, prompts, tag_view

    packages = where.download_mb * 1_000_000 if runtime.missing(where) else 0
    is_missing = models.missing(model) is not None
    if not packages and not is_missing:
        return True
    if not options.json:
        tag_view.show_downloads(model if is_missing else None, packages)
    if options.yes or options.json or not prompts.can_ask() or prompts.confirm("Download?", flag="--yes"):
        return True
    console.out("Nothing was changed.")
    return False


# --- what is only shown


def _show_plan(plan: Plan, options: argparse.Namespace) -> int:
    from launcher.tagger import models, runtime
    from launcher.ui import console, tag_view

    wish, found, model, where = plan.wish, plan.found, plan.model, plan.where
    lacking = {"packages": runtime.missing(where), "model": models.missing(model)}
    if options.json:
        console.write_json(
            {
                "folder": str(wish.folder), "model": model.name, "device": "gpu" if where.wants_gpu else "cpu", "note": where.note,
                "environment": where.trainer, "missing": lacking, "images": found.images,
                "to_tag": [str(target.image) for target in found.targets],
                "left": [{"image": str(left.image), "why": left.why} for left in found.left],
            }
        )  # fmt: skip
    else:
        tag_view.show_plan(wish, found, model, where, lacking)
    return 0


def _say_nothing_to_do(plan: Plan, options: argparse.Namespace) -> int:
    from launcher.tagger.records import Result
    from launcher.ui import console, tag_view

    found = plan.found
    result = Result(
        folder=plan.wish.folder, model=plan.model.name, journal="", images=found.images, left=list(found.left)
    )
    if options.json:
        console.write_json(result.as_json)
    else:
        tag_view.show_result(result, undo="")
    return 0


def _list_models(paths: Paths, options: argparse.Namespace) -> int:
    from launcher.tagger import models
    from launcher.ui import console, tag_view

    found = models.known(paths)
    if options.json:
        console.write_json(
            [
                {"name": model.name, "title": model.title, "repository": model.repository, "revision": model.revision,
                 "bytes": model.size, "here": all((model.folder / file.name).is_file() for file in model.files)}
                for model in found.values()
            ]
        )  # fmt: skip
    else:
        tag_view.show_models(list(found.values()), default=models.default_name(paths))
    return 0


def _undo(paths: Paths, options: argparse.Namespace) -> int:
    from launcher.tagger import journal, undo
    from launcher.ui import console, prompts, tag_view

    folder = Path(options.folder).expanduser().resolve() if options.folder else None
    with journal.turn(paths):
        group = undo.find(paths, folder)
        question = f"Put the captions of {group[0].folder} back as they were before the tagging?"
        if not folder and not options.yes and prompts.can_ask() and not prompts.confirm(question, flag="--yes"):  # fmt: skip
            console.out("Nothing was changed.")
            return 0
        done = undo.undo(paths, group)
    if options.json:
        console.write_json(done.as_json)
    else:
        tag_view.show_undone(done, again=_undo_words(done.folder))
    return 0
