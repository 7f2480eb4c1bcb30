"""Whatever is named as a model, preset, dataset, image or caption: a verdict in words, no crash, no waiting, no traceback."""

import pytest

from launcher.errors import InputError, Severity
from launcher.machine import Fact, Machine
from launcher.plan import Request, resolve
from launcher.preflight import CHECKS, ask
from launcher.preflight.describe import describe_model
from launcher.preset import load_preset
from tests.hostile import DATASETS, MODELS, PRESETS

pytestmark = pytest.mark.timeout(
    30
)  # far more than any of them takes (tests/benchmarks/bench_hostile.py): only a hang meets it
MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none", has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "訓練 'a"
    folder.mkdir()
    return folder


def is_clean(text):
    """No control character reaches a record that is shown as it is."""
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_model(paths, place, case):
    found = describe_model(paths, case.build(place))
    if not case.says:
        assert (found.kind, found.problems) == ("sdxl", ())
        return
    assert case.says in "\n".join(problem.what for problem in found.problems)
    assert {problem.severity for problem in found.problems} == {Severity(case.severity)}
    assert all(problem.fix and problem.where for problem in found.problems)


def said_by(error):
    """All words of a refusal; none of them may draw on the screen."""
    problems = getattr(error, "problems", ()) or (error,)
    assert all(it.what and (it.fix or it.why) for it in problems)
    return "\n".join(f"{it.what} {it.why}" for it in problems)


@pytest.mark.parametrize("case", PRESETS, ids=str)
def test_preset(paths, place, case):
    path = case.build(place)
    if not case.says:
        assert load_preset(paths, path).title
        return
    with pytest.raises(InputError) as caught:
        load_preset(paths, path)
    assert case.says in said_by(caught.value)


def try_plan(paths, data):
    """The plan for a dataset, or why there is none."""
    try:
        return resolve(paths, Request(preset="demo", trainer="sd-scripts", data=data), MACHINE), None
    except InputError as error:
        return None, error


@pytest.mark.parametrize("case", DATASETS, ids=str)
def test_dataset(paths, place, case):
    """Refused when it is read, or by preflight when what it names is wrong."""
    plan, refused = try_plan(paths, case.build(place))
    if plan is None:
        assert case.says in said_by(refused)
        return
    problems = [problem for outcome in ask(paths, plan, MACHINE, CHECKS) for problem in outcome.problems]
    found = [problem for problem in problems if case.says in problem.what]
    assert {problem.severity for problem in found} == {Severity(case.severity)}
    assert not any("broke off" in problem.what for problem in problems)
