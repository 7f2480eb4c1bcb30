"""Ends that no error explains: nothing trained, killed, crashed, gone. The form: rule."""

from __future__ import annotations

from launcher.failures.rule import Kind

ENDS = (
    Kind(
        name="no-network",
        title="nothing to train",
        signs=(r"create lora network[^\n]{0,200}: 0 modules", r"network is none", r"no trainable parameters", r"optimizer got an empty parameter list"),
        in_log=True,
        what="There was nothing to train: the network has no trainable part.",
        why="Learning rates of 0, U-Net and text encoders both switched off, or a network module that found no layers.",
        fix="Check network_module, network_args and the learning rates, then start a new run.",
        again=False,
    ),
    Kind(
        name="ended-early",
        title="ended early",
        errors=frozenset({"EndedEarly"}),
        what="The trainer ended without an error before its last step.",
        why="It counted epochs or batches differently than planned, or ended by itself.",
        fix="Go on: the rest is trained from the newest state.",
    ),
    Kind(
        name="nothing-trained",
        title="nothing trained",
        errors=frozenset({"NothingTrained"}),
        what="The trainer ended without an error, and without having trained.",
        why="It found nothing to do: no images, no steps left, or a setting that only prints something (debug_dataset, output_config).",
        fix="Look at the end of its log, put it right, then start again.",
        again=False,
    ),
    Kind(
        name="crash",
        title="crashed",
        errors=frozenset({"Crash"}),
        signs=(r"segmentation fault", r"\bsigsegv\b|\bsigabrt\b|\bsigbus\b|\bsigill\b|\bsigfpe\b", r"access violation", r"0xc0000005", r"fatal python error", r"returned non-zero exit status 322\d{7}"),
        codes=frozenset({-11, -6, -7, -4, -8, 3221225477, 3221226505}),
        what="The training process crashed.",
        why="A fault in a driver or library (mixed builds, overclocking, bad RAM), not a setting.",
        fix="Go on; if it comes back, type `python setup_env.py repair`, update the driver, and take overclocking back.",
    ),
    Kind(
        name="killed",
        title="killed by the system",
        signs=(r"\bsigkill\b", r"oom-killer|oom_reaper|out of memory: killed process", r"exit code:? -9\b"),
        codes=frozenset({-9, 137}),
        what="The training process was killed from outside.",
        why="Nearly always the system did it because RAM ran out (loading the model and caching text take the most); else somebody ended it by hand.",
        fix="Close other programs, add swap, and go on.",
        windows="Close other programs, enlarge the page file, and go on.",
    ),
    Kind(
        name="ended-from-outside",
        title="ended from outside",
        errors=frozenset({"KeyboardInterrupt"}),
        signs=(r"ended from outside", r"\bsigterm\b|\bsigint\b|\bsighup\b", r"^keyboardinterrupt"),
        codes=frozenset({-2, -15, -1, 130, 143, 3221225786}),
        what="The training was ended from outside.",
        why="Its window was closed, somebody pressed Ctrl-C there, or the system was shutting down.",
        fix="Go on: nothing that was saved is lost.",
    ),
    Kind(
        name="power",
        title="cut off",
        errors=frozenset({"Interrupted"}),
        what="The training was cut off without a last word.",
        why="A power cut, a restart (Windows Update?), standby, or the process was killed.",
        fix="Go on: nothing that was saved is lost.",
    ),
    Kind(
        name="start",
        title="did not start",
        errors=frozenset({"Start"}),
        what="The training never started.",
        why="Its environment is incomplete, or another program blocked it (a virus scanner).",
        fix="Type `python setup_env.py repair`, then start again.",
    ),
)  # fmt: skip
