"""The report as a list of steps: look at the chain, gather, lay out, write."""

from __future__ import annotations

import base64
import hashlib
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError, RunError
from launcher.files import read_json, write_atomic
from launcher.monitor import RunMonitor
from launcher.report import content, words
from launcher.report.curves import machine_figures, step_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.paths import Paths, RunPaths

HERE = Path(__file__).resolve().parent
WARNINGS = 50


def write_report(
    paths: Paths,
    run: RunPaths,
    chain: Sequence[RunPaths] = (),
    *,
    is_alive: Callable[[], bool] | None = None,
) -> Path:
    """Write `output/report.html` of a run, finished or not, and return its path.

    Args:
        paths: this installation (not read today; every command has it).
        run: the run.
        chain: the runs that it continues, in any order; `run` may be among them.
        is_alive: whether the run's process lives, as for `RunMonitor`.

    Raises:
        RunError: the run folder is gone, or nothing can be written there.
    """
    del paths
    parts = look(run, chain, is_alive)
    text = lay_out(gather(parts))
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


def look(
    run: RunPaths, chain: Sequence[RunPaths], is_alive: Callable[[], bool] | None
) -> tuple[content.Part, ...]:
    """The runs of the chain, oldest first; ancestors that are gone are left out."""
    last = _part(run, is_alive)
    if last.view.gone:
        raise RunError("The run folder is gone.", fix="See `runs` for what is there.", where=str(run.folder))
    others = (_part(other, None) for other in chain if other.folder != run.folder)
    before = [part for part in others if not part.view.gone]
    before.sort(key=lambda part: (part.view.started or 0.0, part.run.folder.name))
    return (*before, last)


def _part(run: RunPaths, is_alive: Callable[[], bool] | None) -> content.Part:
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
        facts=content.facts(parts),
        figures=step_figures(views) + machine_figures(views),
        galleries=galleries,
        left_out=left_out,
        files=content.lora_files(parts),
        class_tokens=content.class_tokens(last.plan),
        settings=content.table(last.plan.get("options"), source_key="source"),
        machine=content.table(last.plan.get("machine"), source_key="reason"),
        chain=content.chain_rows(parts),
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
