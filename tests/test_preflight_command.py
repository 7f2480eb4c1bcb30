"""`launcher preflight`: every check by its name, one rule for the exit code, nothing started; and what `resume` asks before it goes on."""

import pytest

from launcher.errors import EXIT_CODES, Problem, Severity, exit_code_of


@pytest.mark.parametrize(
    ("severities", "code", "forced"),
    [
        ((), 0, 0),
        ((Severity.NOTE,), 0, 0),
        ((Severity.NOTE, Severity.WARNING), 9, 0),
        ((Severity.WARNING, Severity.ERROR, Severity.NOTE), 5, 5),
    ],
)
def test_the_exit_code_follows_the_worst_problem(severities, code, forced):
    problems = [Problem(severity=severity, what="x") for severity in severities]
    assert exit_code_of(problems) == code
    assert exit_code_of(problems, force=True) == forced
    assert {code, forced} <= set(EXIT_CODES)
