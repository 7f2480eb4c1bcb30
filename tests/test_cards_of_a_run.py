"""Which cards a run is shown with: those that it was told to use."""

import json

import pytest

from launcher.paths import RunPaths
from launcher.run.sampler import cards_of


@pytest.mark.parametrize(
    ("plan", "cards"),
    [
        ({"machine": {"gpus": {"value": "1", "reason": ""}}}, [1]),
        ({"machine": {"gpus": {"value": "2,0", "reason": ""}}}, [2, 0]),
        ({"machine": {}}, []),
        ({"machine": {"gpus": {"value": "; rm -rf /", "reason": ""}}}, []),
        (["no plan"], []),
    ],
)
def test_cards_are_read_from_the_plan(tmp_path, plan, cards):
    run = RunPaths(folder=tmp_path)
    run.plan.write_text(json.dumps(plan), encoding="utf-8")
    assert cards_of(run) == cards


def test_without_a_plan_all_cards_are_shown(tmp_path):
    assert cards_of(RunPaths(folder=tmp_path)) == []
