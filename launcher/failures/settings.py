"""Failures of settings and of the training environment: what the trainer refuses, what it misses. The form: rule."""

from __future__ import annotations

from launcher.failures.rule import Kind

REPAIR = "Type `python setup_env.py repair`"
WORD = r"[\w.+-]{1,80}"

SETTINGS = (
    Kind(
        name="resume-finished",
        title="nothing left to train",
        signs=(r"max_train_steps should be greater than initial step", r"has to be greater than the initial step", r"initial_step[^\n]{0,80}max_train_steps"),
        what="The state has all its steps already: there is nothing left to train.",
        why="The run ended between its last state and its LoRA, or was resumed once too often.",
        fix="To train longer, start a new run with more max_train_steps and --set network_weights=LORA.",
        again=False,
    ),
    Kind(
        name="unknown-option",
        title="unknown option",
        signs=(r"error: unrecognized arguments: (?P<option>[^\n]{1,200})", r"error: argument (?P<option>--\w{1,60}): [^\n]{1,200}", r"error: ambiguous option", r"the following arguments are required: (?P<option>[^\n]{1,100})"),
        in_log=True,
        what="The trainer does not know an option: {option}.",
        why="The option belongs to another version or another trainer, or its value is of the wrong kind.",
        fix="Take it out of the preset (`show PRESET` names the line), then start a new run.",
        again=False,
    ),
    Kind(
        name="optimizer-unknown",
        title="unknown optimizer",
        signs=(r"module 'torch\.optim' has no attribute '(?P<option>\w{1,80})'", r"get_optimizer[^\n]{0,2000}attributeerror", r"optimizer_type [^\n]{0,40} is not (?:known|supported)"),
        what="There is no optimizer called {option}.",
        why="The name is misspelt, or it needs a package of its own and its full name.",
        fix="Choose AdamW8bit, AdamW, Adafactor, Lion8bit or Prodigy: --set optimizer_type=AdamW8bit, in a new run.",
        again=False,
        anew=("optimizer_type=AdamW8bit",),
    ),
    Kind(
        name="package-missing",
        title="package missing",
        signs=(
            rf"importerror: no (?P<package>{WORD})(?: /|\.|\n|$)", rf"modulenotfounderror: no module named '(?P<package>{WORD})'", r"please install (?P<package>bitsandbytes|wandb|lion[\w-]{0,20}|prodigy\w{0,20}|dadapt\w{0,20}|lycoris[\w-]{0,20})",
            rf"(?P<package>{WORD}) is not (?:installed|available)[^\n]{{0,40}}(?:pip install|インストール)", r"requires the (?P<package>bitsandbytes|xformers|wandb) (?:package|library)",
        ),
        what="The training environment lacks a package: {package}.",
        why="The settings ask for something that the tested set of packages does not bring, or another program has removed it.",
        fix=f"{REPAIR} if the launcher installed it (bitsandbytes, xformers); else choose settings without it (sdpa instead of xformers, AdamW instead of 8-bit, tensorboard instead of wandb).",
        again=False,
    ),
    Kind(
        name="bitsandbytes",
        title="bitsandbytes does not run",
        signs=(r"cuda setup failed", r"libbitsandbytes_\w{1,40}", r"bitsandbytes was compiled without gpu support", r"could not (?:find|load) (?:the )?bitsandbytes", r"'nonetype' object has no attribute 'cadam", r"cadam\w{0,40} is not defined", r"cget_managed_ptr"),
        what="bitsandbytes (8-bit optimizers) does not run here.",
        why="It brings libraries for certain CUDA versions, and none fits, or it sees no card.",
        fix=f"{REPAIR}. Until then start a new run with --set optimizer_type=AdamW (needs about 500 MiB more).",
        again=False,
        anew=("optimizer_type=AdamW",),
    ),
    Kind(
        name="xformers",
        title="xformers does not run",
        signs=(r"xformers was built for", r"no operator found for `memory_efficient_attention", r"xformers[^\n]{0,100}(?:undefined symbol|dll load failed|can't load)", r"operator wasn't built - see"),
        what="xformers does not work with this torch or this card.",
        why="Each xformers is built for one torch and certain cards.",
        fix=f"Go on with --set sdpa=true, which is built into torch and about as fast; or {REPAIR[0].lower()}{REPAIR[1:]}.",
        going_on=("sdpa=true",),
    ),
    Kind(
        name="code-page",
        title="unprintable letters",
        signs=(r"unicodeencodeerror: '(?P<option>[\w-]{1,40})' codec can't encode",),
        what="A letter could not be printed in this system's old code page.",
        why="PYTHONUTF8 was switched off for the training: a sitecustomize or another tool does that.",
        fix="Start it through the launcher without changed PYTHON variables.",
    ),
    Kind(
        name="processes",
        title="processes cannot meet",
        signs=(r"use_libuv was requested but pytorch was buil[dt] without libuv", r"address already in use", r"rendezvous[^\n]{0,80}(?:timeout|error|closed)", r"nccl error|ncclsystemerror|ncclunhandledcudaerror|ncclinternalerror", r"watchdog caught collective operation timeout", r"distnetworkerror|diststoreerror"),
        what="The processes of a training on several cards could not talk to each other.",
        why="A port is taken by another training, one of the processes died before, or a driver cannot connect the cards.",
        fix="Look above in the log for the first process that failed; else go on with one card.",
    ),
    Kind(
        name="dataset-file",
        title="dataset file wrong",
        signs=(r"invalid user config", r"multipleinvalid: (?P<option>[^\n]{1,160})", r"tomldecodeerror", r"toml\.decoder", r"error on parsing toml"),
        what="The trainer does not accept the dataset's file.",
        why="A key or a value in it is wrong: {option}.",
        fix="The launcher writes this file itself unless you brought one: check yours (`validate FILE`), then start a new run.",
        again=False,
    ),
    Kind(
        name="refused",
        title="settings do not fit",
        errors=frozenset({"AssertionError"}),
        signs=(r"assertionerror: (?P<option>[^\n]{1,200})", r"valueerror: (?P<option>[^\n]{0,120}(?:lr_scheduler|warmup|num_warmup_steps|noise_offset|v_parameterization|persistent_workers|logging_dir)[^\n]{0,120})", r"lr_scheduler[^\n]{0,80}(?:does not require|requires)"),
        what="The trainer refuses this combination of settings.",
        why="It says: {option}.",
        fix="Change that setting and start a new run; `show PRESET` tells where each value comes from.",
        again=False,
    ),
)  # fmt: skip
