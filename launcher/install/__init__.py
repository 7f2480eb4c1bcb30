"""Environments: the launcher's own (`.venv`) and those that train (`vendor/<trainer>/venv`).

`setup_env.py` passes through here at every start, so this file imports nothing; its functions fetch what they
need. The modules, in the order in which they work:

- `entry` the fast path of setup_env.py, `marker` how it knows that `.venv` is ready
- `bootstrap` makes `.venv` on a bare Python; `remedy` and `window` for when that fails
- `steps` what all installs are made of: check, do, check again, written to a journal
- `pins`, `lock` what to install, as data; `choice` which torch build, `interpreter` which Python, `intent` all of it
- `index`, `secret`, `default_index` the user's pip settings; `web`, `fetch` requests and downloads of our own
- `offers`, `closure`, `wheels` the torch family; `engine` uv or pip; `packages` is what stands there whole?
- `source`, `git_tree`, `archive` the trainer's code; `tokenizers`; `accelerate` its configuration
- `proving`, `probe`, `findings` the proof; `proof` what counts as ready
- `trainer` the list of steps, `tasks` each of them, `job` what they share; `generations` old and new side by side
- `upkeep`, `removal` repair, rollback, uninstall; `explain` what the tools say, in words
- `development` what the test suite needs, `shortcut` for desktop and start menu
"""

TYPE_CHECKING = False  # the name that type checkers know; importing `typing` would cost the fast path 4 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.install.steps import StepEvent
    from launcher.install.trainer import Outcome
    from launcher.paths import Paths


def install_trainer(
    paths: "Paths",
    name: str = "rehearsal",
    *,
    cuda: "str | None" = None,
    attention: "str | None" = None,
    engine: "str | None" = None,
    source: "str | None" = None,
    tokenizers: "str | None" = None,
    again: bool = False,
    update: bool = False,
    report: "Callable[[StepEvent], None] | None" = None,
) -> "Outcome":
    """Make or complete a trainer's environment, and prove it. Does nothing when it is ready.

    Args:
        paths: of this installation.
        name: of the trainer.
        cuda: name of the torch build (`cpu`, `cu121`); None keeps the one chosen last, else takes the best here.
        attention: `xformers` or `sdpa`; None takes the best that works.
        engine: `uv` or `pip`; None takes uv where it works.
        source: folder, zip or mirror with the trainer's code; None: where the pins say.
        tokenizers: folder that has the tokenizers; None: the hub.
        again: make a new environment even though one is ready.
        update: make a new one if newer versions are planned than were proved.
        report: sees every step begin, advance and end.

    Raises:
        InstallError: it cannot be done; the message says why, what to do and which log to read. The environment
            that was ready before is still used.
    """
    from launcher.install.intent import Wish
    from launcher.install.trainer import install

    wish = Wish(cuda=cuda, attention=attention, engine=engine, source=source, tokenizers=tokenizers)
    return install(paths, name, wish, report=report or (lambda _event: None), again=again, update=update)


def trainer_ready(paths: "Paths", name: str = "rehearsal") -> "str | None":
    """Why a trainer's environment cannot be used, or None when it is proved. Cheap: reads two small files."""
    from launcher.install.proof import not_ready

    return not_ready(paths, name)
