"""The error boundary: words and an exit code for what was expected, one line and a log for what was not."""

from __future__ import annotations

import os
import sys

from launcher.errors import EXIT_BUG, EXIT_INTERRUPTED, InstallError, LauncherError


def main(argv: list[str] | None = None) -> int:
    """Run one command line; never shows a traceback."""
    try:
        code = _bounded(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `launcher runs | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _bounded(argv: list[str]) -> int:
    from launcher.cli import execute
    from launcher.paths import find_paths

    paths = find_paths()
    try:
        return execute(argv, paths)
    except InstallError as error:
        from launcher.commands.setup import show_failure

        show_failure(error)  # with the raw log one key away
        return error.exit_code
    except LauncherError as error:
        from launcher.ui.console import show_error

        show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return EXIT_INTERRUPTED
    except SystemExit as done:  # argparse: after --help, or a wrong command line that it has explained
        return done.code if isinstance(done.code, int) else 0
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  (the one boundary: a bug ends in a log to paste, not in a traceback)
        from launcher.crash import write_log

        log = write_log(paths.logs, error)
        sys.stderr.write(
            f"This is a bug in the launcher: {type(error).__name__}: {error}\nDetails to send along: {log}\n"
        )
        return EXIT_BUG


if __name__ == "__main__":
    sys.exit(main())
