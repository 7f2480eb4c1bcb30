"""`import`: training scripts of others become presets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from launcher.errors import LauncherError
    from launcher.importer.importing import Made
    from launcher.importer.outcome import Import
    from launcher.paths import Paths


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One file of an import: what it means and the presets that were made, or why not."""

    path: Path
    found: Import | None = None
    made: tuple[Made, ...] = ()
    error: LauncherError | None = None


def import_files(paths: Paths, options: argparse.Namespace) -> int:
    """Read scripts, show what they mean, write presets."""
    files = find_files(paths, options.files or [_ask_for_file(options)])
    output = Path(options.output) if options.output else None
    if output is not None and len(files) > 1 and not output.is_dir():
        raise UsageError(
            "-o names one file, but several scripts are imported",
            fix="give -o a folder that exists, or one script",
        )
    is_batch = len(files) > 1
    attempts = [attempt(paths, path, options, output, beside=files, raises=not is_batch) for path in files]
    attempts = _without_parts(attempts)
    written, problems = _write(paths, attempts, options, is_batch=is_batch)
    if options.json:
        _json(attempts, written)
    elif is_batch:
        from launcher.ui import import_view

        import_view.show_batch(attempts, written)
    return InputError.exit_code if problems or not any(item.made for item in attempts) else 0


def _ask_for_file(options: argparse.Namespace) -> str:
    from launcher.ui import prompts

    if options.yes or options.json or not prompts.can_ask():
        raise UsageError("there is nothing to import", fix="name a script: import FILE")
    return str(prompts.ask_path("Training script, or a folder with some", flag="FILE", kind="any"))


def find_files(paths: Paths, words: list[str]) -> list[Path]:
    """The files that the command line names; of a folder all scripts and settings in it."""
    from launcher.importer.formats import files_in
    from launcher.trainers import load_options

    found: list[Path] = []
    for word in words:
        path = Path(word.strip('"')).expanduser()
        found += files_in(path, load_options(paths)) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _without_parts(attempts: list[Attempt]) -> list[Attempt]:
    """A dataset file that was given for another file's settings is no training of its own."""
    taken = {
        str(outcome.data.value)
        for item in attempts
        if item.found is not None
        for outcome in item.found.outcomes
        if outcome.data is not None and str(outcome.data.value) != str(item.path.absolute())
    }
    return [item for item in attempts if str(item.path.absolute()) not in taken]


def attempt(
    paths: Paths,
    path: Path,
    options: argparse.Namespace,
    output: Path | None,
    *,
    beside: Sequence[Path] = (),
    raises: bool,
) -> Attempt:
    """One file; nothing is written. A file among many that cannot be imported is told of, not raised."""
    from launcher.commands.common import machine_of
    from launcher.importer.importing import make, understand

    try:
        found = understand(paths, path, machine_of(paths), follow=_asker(options), beside=beside)
        return Attempt(path=path, found=found, made=tuple(make(paths, found, output)))
    except InputError as error:
        if raises:
            raise
        return Attempt(path=path, error=error)


def _asker(options: argparse.Namespace) -> Callable[[str], bool]:
    """Whether a file of settings that the script names may be read: the flag says so, or the person."""

    def follow(path: str) -> bool:
        from launcher.ui import prompts

        if options.follow or options.yes:
            return True
        if options.json or not prompts.can_ask():
            return False
        return prompts.confirm(f"The script names a file of settings, {path}. Read it too?", flag="--follow")

    return follow


def _write(
    paths: Paths, attempts: list[Attempt], options: argparse.Namespace, *, is_batch: bool
) -> tuple[list[Path], bool]:
    """Show and write what was made; the files written, and whether a preset has something to put right."""
    from launcher.importer.importing import write
    from launcher.ui import console, import_view

    written: list[Path] = []
    has_problems = False
    for item in attempts:
        if item.found is None:
            continue
        if not (options.json or is_batch):
            import_view.show_import(item.found, item.made)
        if options.dry_run or not _may_write(options, item, is_batch=is_batch):
            continue
        problems, queue = write(paths, list(item.made), item.found.source.label)
        written += [made.path for made in item.made]
        has_problems = has_problems or bool(problems)
        if not (options.json or is_batch):
            import_view.show_written(item.made, queue)
            if problems:
                console.out(
                    "\n  sd-scripts would not train with this as it stands. Put it right in the preset:"
                )
                console.show_problems(problems)
    return written, has_problems


def _may_write(options: argparse.Namespace, item: Attempt, *, is_batch: bool) -> bool:
    from launcher.ui import prompts

    if options.yes or options.json or is_batch:
        return True
    what = "this preset" if len(item.made) == 1 else f"these {len(item.made)} presets"
    return prompts.confirm(f"Write {what}?", flag="--yes")


def _json(attempts: list[Attempt], written: list[Path]) -> None:
    from launcher.importer.report import report
    from launcher.ui import console

    out = []
    for item in attempts:
        if item.found is not None:
            out.append(report(item.found, item.made, written))
        elif item.error is not None:
            error = item.error
            out.append({"file": str(item.path), "error": error.what, "why": error.why, "fix": error.fix})
    console.write_json(out)
