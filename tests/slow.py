"""Which cases of a test stand for the others where time is short."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(cases: Iterable[Any], *kept: int) -> list[Any]:
    """The cases for `parametrize`, all of them slow but those at some places."""
    return [
        case if place in kept else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]
