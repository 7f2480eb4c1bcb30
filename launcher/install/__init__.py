"""Environments: the launcher's own (`.venv`) and those that train (`vendor/<trainer>/venv`).

`setup_env.py` passes through here at every start, so this file imports nothing; its functions fetch what they
need. The modules, in the order in which they work:

- `entry` the fast path of setup_env.py, `marker` how it knows that `.venv` is ready
- `bootstrap` makes `.venv` on a bare Python; `remedy` and `window` for when that fails
- `steps` what all installs are made of: check, do, check again, written to a journal
- `pins` what to install, as data; `index` and `secret` the user's pip settings; `engine` uv or pip
- `packages` is what stands in an environment whole?; `torchset`, `trainer`, `proof` the training environment
- `development` what the test suite needs
"""

TYPE_CHECKING = False  # the name that type checkers know; importing `typing` would cost the fast path 4 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.install.steps import StepEvent
    from launcher.paths import Paths


def install_trainer(
    paths: "Paths",
    name: str = "rehearsal",
    *,
    cuda: "str | None" = None,
    engine: "str | None" = None,
    report: "Callable[[StepEvent], None] | None" = None,
) -> None:
    """Make or complete a trainer's environment, and prove it. Does nothing when it is ready.

    Args:
        paths: of this installation.
        name: of the trainer.
        cuda: name of the torch build (`cpu`, `cu121`); None keeps the one chosen last, else the pins' default.
        engine: `uv` or `pip`; None takes uv where it works.
        report: sees every step begin, advance and end.

    Raises:
        InstallError: it cannot be done; the message says why, what to do and which log to read.
    """
    from launcher.install.trainer import install

    install(paths, name, cuda=cuda, engine=engine, report=report or (lambda _event: None))


def trainer_ready(paths: "Paths", name: str = "rehearsal") -> "str | None":
    """Why a trainer's environment cannot be used, or None when it is proved. Cheap: reads two small files."""
    from launcher.install.proof import not_ready

    return not_ready(paths, name)


def forget_marker(paths: "Paths", name: str = "rehearsal") -> None:
    """Trust nothing: the next `install_trainer` looks at everything again."""
    from launcher.install.proof import forget

    forget(paths, name)
