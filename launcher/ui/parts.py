"""The parts of the dashboard: each turns a view into a few lines that are never wider than the pen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from launcher.events import Status
from launcher.ui import formats
from launcher.ui.advice import error_words, next_step
from launcher.ui.alerts import SEVERE, held_word, shown
from launcher.ui.boost_words import counted, kinds_used, surprising
from launcher.ui.formats import fit_middle
from launcher.ui.menu import STATUS_WORDS
from launcher.ui.sheet import bar, chart, crop, join, spans, spread

if TYPE_CHECKING:
    from rich.text import Text

    from launcher.monitor import RunView
    from launcher.ui.sheet import Pen

PHASES = {
    "": "starting",
    "load_models": "loading the base model",
    "cache_latents": "caching latents",
    "cache_text_encoder_outputs": "caching text-encoder outputs",
    "train_loop": "training",
    "sample_images": "painting samples",
    "sampling": "painting samples",
    "hash_model": "reading the base model for its checksum",
    "save": "saving",
    "save_state": "saving a state",
}
QUIET_S = 90  # without news for longer than this (and 20 steps) the picture says so
ROOMY = 70  # columns from which there is room for the hour of the end


def head(view: RunView, pen: Pen) -> list[Text]:
    """Which run, how it stands; below, what it trains with and since when."""
    word, role = status_word(view)
    right = spans((f"{pen.glyphs.dot} {word}", role))
    is_ticking = view.status.is_live and view.started is not None
    since = formats.duration(pen.now - (view.started or 0.0) if is_ticking else view.elapsed_s)
    if since != formats.UNKNOWN:
        right.append(f"  {since}", "muted")
    between = f" {pen.glyphs.between} "
    facts = between.join(fact for fact in (view.preset, view.trainer, view.device) if fact)
    origin = f"resumed at step {view.resumed_step}" if view.resumed_step else ""
    lines = [spread(spans((view.name, "title")), right, pen.width, pen.glyphs)]
    if facts or origin:
        lines.append(spread(spans((facts, "muted")), spans((origin, "muted")), pen.width, pen.glyphs))
    return lines


def status_word(view: RunView) -> tuple[str, str]:
    """The status in a person's words and its colour; of a living run, its phase."""
    word, role = STATUS_WORDS[view.status.value]
    if view.gone:
        return "its folder is gone", "bad"
    if view.status is not Status.RUNNING:
        return word, role
    if view.held_for:
        return held_word(view), "warn"
    if not view.phase and view.step > view.resumed_step:
        return PHASES["train_loop"], role
    return phase_words(view.phase), role


def progress(view: RunView, pen: Pen) -> list[Text]:
    """The bar and, below it, step, epoch, pace and what is left. While caching both speak of the cache."""
    part = view.fraction
    counts = _count("step", view.step, view.total_steps)
    if view.phase_progress and view.status.is_live:
        done, total = view.phase_progress
        part, counts = (done / total if total else None), _count(status_word(view)[0], done, total)
    percent = "" if part is None else f" {part * 100:5.1f} %"
    role = {Status.SUCCEEDED: "good", Status.FAILED: "bad"}.get(view.status, "accent")
    line = bar(part, pen.width - 8, pen.glyphs, role if view.status.is_live or role != "accent" else "muted")
    facts = [counts]
    if view.epoch is not None:
        facts.append(_count("epoch", view.epoch, view.epochs))
    if view.seconds_per_step is not None:
        facts.append(spans((formats.step_time(view.seconds_per_step), "text")))
    left = _left(view, pen)
    return [
        line.append(f"{percent:>8}", "strong"),
        spread(join(facts, pen.width - left.cell_len - 2), left, pen.width, pen.glyphs),
    ]


def _count(noun: str, done: int, total: int | None) -> Text:
    return spans((f"{noun} ", "muted"), (str(done), "strong"), (f" / {total}" if total else "", "muted"))


def _left(view: RunView, pen: Pen) -> Text:
    if view.held_since is not None and view.status.is_live:
        return spans((f"waiting for {formats.duration(pen.now - view.held_since)}", "warn"))
    quiet = pen.now - view.updated if view.updated is not None and view.status.is_live else 0.0
    if quiet > max(QUIET_S, 20 * (view.seconds_per_step or 0.0)):
        return spans((f"no news for {formats.duration(quiet)}", "warn"))
    if view.eta_s is None or not view.status.is_live or view.phase_progress:
        return spans()
    until = f", until {formats.until(view.eta_s, pen.now)}" if pen.width >= ROOMY else ""
    return spans((formats.duration(view.eta_s), "strong"), (f" left{until}", "muted"))


def preparation(view: RunView, pen: Pen) -> list[Text]:
    """Until the first loss comes: what has been done so far, and what is being done."""
    if view.loss is not None or not view.status.is_live:
        return []
    lines = [
        spans(
            (f"{pen.glyphs.tick} ", "good"),
            (phase_words(span.name), "text"),
            (f"   {formats.duration(span.seconds)}", "muted"),
        )
        for span in view.spans
    ]
    if view.phase == "train_loop":
        lines.append(
            spans((f"{pen.glyphs.dot} ", "accent"), ("the first step, which takes the longest", "text"))
        )
    elif view.phase:
        lines.append(spans((f"{pen.glyphs.dot} ", "accent"), (phase_words(view.phase), "text")))
    return [crop(line, pen.width, pen.glyphs) for line in lines]


def phase_words(name: str) -> str:
    """A phase as a person says it."""
    return PHASES.get(name, name.replace("_", " "))


def loss_line(view: RunView, pen: Pen) -> list[Text]:
    """Loss, its average and the learning rate, on one line."""
    if view.loss is None:
        return []
    role = "strong" if math.isfinite(view.loss) else "bad.strong"
    line = spans(("loss ", "muted"), (formats.loss(view.avg_loss), "key"), (" average   ", "muted"))
    line.append_text(spans(("this step ", "muted"), (formats.loss(view.loss), role)))
    room = pen.width - line.cell_len - 2
    return [spread(line, _rates(view, room), pen.width, pen.glyphs)]


def _rates(view: RunView, room: int) -> Text:
    """The learning rate; of several different ones as many as there is room for."""
    rates = {name: formats.rate(value) for name, value in view.lr.items()}
    if len(set(rates.values())) == 1:
        label = "learning rate " if room >= 24 else "lr "
        return spans((label, "muted"), (next(iter(rates.values())), "strong"))
    return join([spans((f"lr {name} ", "muted"), (rate, "strong")) for name, rate in rates.items()], room)


def loss_chart(view: RunView, pen: Pen, rows: int) -> list[Text]:
    """The loss line and the curve under it: the average in colour, single steps in grey."""
    average = [(step, mean) for step, _, mean in view.losses]
    single = [(step, value) for step, value, _ in view.losses]
    lines = chart(average, single, (pen.width, rows - 1), formats.loss, pen.glyphs) if rows > 3 else []
    return [*loss_line(view, pen), *lines] if lines else []


def rate_chart(view: RunView, pen: Pen, rows: int) -> list[Text]:
    """The learning rate over the steps."""
    lines = chart(view.lrs, (), (pen.width, rows - 1), formats.rate, pen.glyphs) if rows > 3 else []
    return [spans(("learning rate", "muted")), *lines] if lines else []


def files(view: RunView, pen: Pen) -> list[Text]:
    """What lies on the disk by now: the last state to resume from, the last LoRA, the last sample; below, the boosts."""
    rows: list[tuple[str, int, str, float | None]] = []
    if view.last_state is not None:
        safe = "resume from here" if view.status is not Status.SUCCEEDED else ""
        rows.append(("state", view.last_state.step, safe, view.last_state.time))
    if view.last_save is not None:
        name = view.last_save.path.rsplit("/", 1)[-1].removesuffix(".safetensors")
        rows.append(("LoRA", view.last_save.step, name, view.last_save.time))
    if view.last_sample is not None:
        rows.append(("sample", view.last_sample.step, view.last_sample.path.rsplit("/", 1)[-1], None))
    digits = max((len(str(step)) for _, step, _, _ in rows), default=0)
    lines = [_file(label, f"step {step:<{digits}}", remark, time, pen) for label, step, remark, time in rows]
    return [*lines, *_boosts(view, pen)]


def _boosts(view: RunView, pen: Pen) -> list[Text]:
    """Quiet, and last: what trains faster, and which of them was expected and is not there."""
    if not view.boosts:
        return []
    missing = ", ".join(boost.name for boost in surprising(view.boosts))
    facts = (f"without {missing}" if missing else "", kinds_used(view.boosts), view.boost_ops)
    head = spans((f"{'boosts':<8}", "muted"), counted(view.boosts))
    line = join([head, *(spans((fact, "muted")) for fact in facts if fact)], pen.width)
    return [crop(line, pen.width, pen.glyphs)]


def _file(label: str, step: str, remark: str, time: float | None, pen: Pen) -> Text:
    when = "" if time is None else formats.when(time, pen.now)
    begin = spans((f"{label:<8}", "muted"), (f"{step}   ", "text"))
    room = pen.width - begin.cell_len - len(when) - 2
    begin.append(fit_middle(formats.clean(remark), max(room, 0), pen.glyphs.ellipsis), "muted")
    return spread(begin, spans((when, "muted")), pen.width, pen.glyphs)


def messages(view: RunView, pen: Pen) -> list[Text]:
    """The error with what to do, what the guard sees now, and the last warnings, newest first."""
    if view.gone:
        return _message(
            "bad", pen.glyphs.cross, "The run's folder was deleted; its training may still be running.", pen
        )
    lines: list[Text] = []
    if has_failed(view) and view.error is not None:
        what, fix = error_words(view.error)
        lines += _message("bad", pen.glyphs.cross, what, pen, most=4)
        lines += _message("accent", pen.glyphs.arrow, fix, pen, most=3)
    alerts = shown(view)
    is_told = any(alert.kind == "loss-nan" for alert in alerts)
    if view.loss is not None and not math.isfinite(view.loss) and view.status.is_live and not is_told:
        lines += _message(
            "bad",
            pen.glyphs.cross,
            "The loss is not a number any more: after ten such steps the training stops by itself.",
            pen,
        )
    for alert in reversed(alerts):
        lines += _message(
            "bad" if alert.kind in SEVERE else "warn", pen.glyphs.alert, alert.message, pen, most=5
        )
        lines += _message("accent", pen.glyphs.arrow, alert.fix, pen, most=3) if alert.fix else []
    for warning in reversed(view.warnings):
        times = f" ({warning.count} times)" if warning.count > 1 else ""
        lines += _message("warn", pen.glyphs.alert, warning.message + times, pen)
    return lines


def has_failed(view: RunView) -> bool:
    """Whether an error ended this run (one that was survived is history)."""
    return view.error is not None and not view.status.is_live and view.status is not Status.SUCCEEDED


def _message(role: str, sign: str, text: str, pen: Pen, most: int = 2) -> list[Text]:
    lines = formats.wrap(formats.clean(text), max(pen.width - 3, 8), most, pen.glyphs.ellipsis)
    return [
        spans((f"{sign if number == 0 else ' ' * len(sign)} ", role), (line, "text"))
        for number, line in enumerate(lines)
    ]


def footer(view: RunView, pen: Pen, note: str) -> Text:
    """What the person can do now."""
    if note:
        return crop(spans((note, "warn")), pen.width, pen.glyphs)
    if view.status.is_live:
        return crop(
            spans(("Ctrl-C", "key"), ("  pause, stop, or leave it running in the background", "muted")),
            pen.width,
            pen.glyphs,
        )
    words, command = next_step(
        view.status, view.name, can_resume=view.last_state is not None or bool(view.parent)
    )
    line = spans((f"{words} ", "text"), (command, "key"))
    return crop(line if line.cell_len <= pen.width else spans((command, "key")), pen.width, pen.glyphs)
