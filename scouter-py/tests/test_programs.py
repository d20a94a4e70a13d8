"""Random programs of spans export the same under Scouter and under ``opentelemetry-sdk``, apart from listed differences."""

from __future__ import annotations

import os
import random

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from programs.compare import agree
from programs.differences import DIFFERENCES, Difference
from programs.model import Program
from programs.strategies import programs

EXAMPLES = int(os.environ.get("PROGRAMS", "100"))
"""How many programs each of the two batches runs."""

_SETTINGS = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def test_the_same_programs_every_time() -> None:
    @settings(_SETTINGS, derandomize=True)
    @given(programs())
    def check(program: Program) -> None:
        agree(program)

    check()


def test_other_programs_every_time() -> None:
    seed = int(os.environ.get("PROGRAMS_SEED", random.SystemRandom().randrange(2**32)))

    @hypothesis.seed(seed)
    @settings(_SETTINGS)
    @given(programs())
    def check(program: Program) -> None:
        agree(program)

    try:
        check()
    except Exception as error:
        raise AssertionError(f"run again with PROGRAMS_SEED={seed} PROGRAMS={EXAMPLES}") from error


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.title)
def test_every_listed_difference_is_one(difference: Difference) -> None:
    agree(difference.shown_by)
    with pytest.raises(AssertionError, match="differs"):
        agree(difference.shown_by, but=difference)
