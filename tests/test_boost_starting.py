"""Boosts begin: what their self-checks draw is not taken from the training, or all of its noise would be another."""

from pathlib import Path

import pytest

from tests.boost_probe import ask_probe

PROBE = Path(__file__).resolve().parent / "boost_starting_probe.py"


@pytest.mark.training
def test_self_checks_leave_the_generators_where_they_were(training_python):
    found = ask_probe(PROBE, training_python)

    first, *_, last = found["within"]
    assert all(one != other for one, other in zip(first, last, strict=True))  # they were used
    assert found["after"] == found["before"]
    assert found["told"] == []
    assert found["used"] == [["rolls", True], ["fails", False]]
