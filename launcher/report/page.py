"""The report as a list of steps: look at the chain, gather, lay out, write."""

from __future__ import annotations

import base64
import hashlib
import time
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError, RunError
from launcher.files import read_json, write_atomic
from launcher.history import chain as history_chain
from launcher.history import is_run_alive, load_run
from launcher.monitor import RunMonitor
from launcher.paths import RunPaths
from launcher.report import content, words
from launcher.report.alerts import alert_rows
from launcher.report.boosts import boost_rows
from launcher.report.curves import machine_figures, step_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.paths import Paths

HERE = Path(__file__).resolve().parent
WARNINGS = 50


def write_report(
    paths: Paths,
    run: RunPaths,
    chain: Sequence[RunPaths] | None = None,
    *,
    is_alive: Callable[[], bool] | None = None,
) -> Path:
    """Write `output/report.html` of a run, finished or not, and return its path.

    Args:
        paths: this installation.
        run: the run.
        chain: the runs that it continues, in any order; found by history when not given.
        is_alive: whether the run's process lives; asked from the system when not given.

    Raises:
        RunError: the run folder is gone, or nothing can be written there.
    """
    if not run.folder.is_dir():
        raise RunError("The run folder is gone.", fix="See `runs` for what is there.", where=str(run.folder))
    ancestors = find_ancestors(paths, run) if chain is None else chain
    text = lay_out(gather(look(run, ancestors, is_alive or partial(is_run_alive, run))))
    try:
        run.output.mkdir(parents=True, exist_ok=True)
        write_atomic(run.report, text)
    except OSError as error:
        raise RunError(
            f"The report cannot be written: {error.strerror or error}",
            fix="Check that the disk has room and that the folder may be written to.",
            where=str(run.report),
        ) from error
    return run.report


def find_ancestors(paths: Paths, run: RunPaths) -> list[RunPaths]:
    """The runs that this one continues; none when its own record is damaged (the rest of it is still worth a page)."""
    try:
        return [RunPaths(folder=record.folder) for record in history_chain(paths, load_run(run.folder))]
    except RunError:
        return []


def look(run: RunPaths, chain: Sequence[RunPaths], is_alive: Callable[[], bool]) -> tuple[content.Part, ...]:
    """The runs of the chain, oldest first, along their own words about their parents; what is gone ends it."""
    known = {other.folder.name: other for other in chain}
    parts = [_part(run, is_alive)]
    while (parent := known.pop(parts[-1].view.parent, None)) is not None:
        part = _part(parent, partial(is_run_alive, parent))
        if part.view.gone:
            break
        parts.append(part)
    return tuple(reversed(parts))


def _part(run: RunPaths, is_alive: Callable[[], bool]) -> content.Part:
    view = RunMonitor(run, is_alive, warnings=WARNINGS).poll()
    try:
        plan: Any = read_json(run.plan)
    except InputError:
        plan = {}
    return content.Part(run=run, view=view, plan=plan if isinstance(plan, dict) else {})


def gather(parts: tuple[content.Part, ...]) -> content.Page:
    """All that the page says."""
    last = parts[-1]
    views = [part.view for part in parts]
    status, kind = content.STATUS_WORDS[last.view.status]
    galleries, left_out = content.galleries(parts)
    return content.Page(
        part=last,
        parts=parts,
        status=status,
        status_kind=kind,
        failure=content.failure(last),
        facts=content.facts(parts),
        figures=step_figures(views) + machine_figures(views),
        galleries=galleries,
        left_out=left_out,
        files=content.lora_files(parts),
        class_tokens=content.class_tokens(last.plan),
        boosts=boost_rows(last),
        settings=content.table(last.plan.get("options"), source_key="source"),
        machine=content.table(last.plan.get("machine"), source_key="reason"),
        chain=content.chain_rows(parts),
        alerts=alert_rows(parts),
        written=words.moment(time.time()),
    )


def lay_out(page: content.Page) -> str:
    """The page as one HTML document that needs nothing else, and may run no script but its own."""
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = _environment().get_template("report.html.j2")
    parts = {"style": _asset("report.css"), "script": script, "script_hash": f"sha256-{digest}"}
    return str(template.render(page=page, **parts))


def _asset(name: str) -> str:
    try:
        return (HERE / name).read_text(encoding="utf-8")
    except OSError as error:
        raise LauncherError(f"{name} is missing from the launcher.", where=str(HERE)) from error


@cache
def _environment() -> Any:
    """Jinja2 with escaping on for every template: all values come from run folders."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=words.moment, plural=words.plural)
    environment.globals.update(file_name=content.file_name)
    return environment
