"""Fits are reported at the planes where direct paths are flat: the algebra of these planes."""

from dataclasses import replace

import numpy as np
import pytest

from optimize.mode_fit.form import Form, from_pairs, to_pairs
from optimize.mode_fit.planes import FlatPlanes

X = np.linspace(-1, 1, 9)
ALL = np.ones((2, 2), bool)


def form(*, order: int = 2, symmetric: bool = False, dark: bool = False, seed: int = 0) -> Form:
    """Two modes of a two-port whose direct path turns over the band; of `dark` ones only S21 has one."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape) + 1j * rng.normal(size=shape)  # noqa: E731
    A, D, K = draw(2, 2) / 2 - 0.8 * np.eye(2), 0.3 * draw(2, 2), 0.3 * draw(2, 2)
    background = np.stack([draw(2, 2) * scale for scale in (1.0, 0.5, 0.2)[: order + 1]])
    if dark:
        background = background * np.array([[0.0, 0.0], [1.0, 0.0]])
    if symmetric:
        A, K, background = A + A.T, D, background + background.swapaxes(1, 2)
    parts = {"A": A, "D": D, "K": K, "background": background}
    return Form(**{name: to_pairs(part) for name, part in parts.items()}, delay=rng.normal(size=2), symmetric=symmetric)


@pytest.mark.parametrize("case", [{}, {"order": 1}, {"symmetric": True}, {"dark": True}, {"order": 0}])
def test_planes_leave_the_response_as_it_is_and_are_flat(case: dict) -> None:
    fitted = form(**case)
    planes = FlatPlanes.of(fitted, ALL)
    moved, path = planes.form(), planes.direct_path(X)
    delay = np.asarray(moved.delay)
    resonant = replace(moved, background=moved.background[:0], delay=None).response(X)[0]
    there = (path + resonant) * np.exp(-1j * X[:, None, None] * (delay[:, None] + delay))
    # Rounding, of numbers of order 1.
    np.testing.assert_allclose(there, fitted.response(X)[0], atol=1e-12)
    before, after = planes.direct_path(np.array([-1e-4, 1e-4]))
    C = from_pairs(moved.background)[0]
    turning = (C.conj() * (after - before)).imag / 2e-4
    turning = turning[planes.out, planes.into] @ (np.eye(2)[planes.out] + np.eye(2)[planes.into])
    np.testing.assert_allclose(turning, 0, atol=1e-6)  # third derivatives of order 10, times 1e-8
    assert np.any(planes.t) == (case.get("order") != 0)
    assert planes.tells(1, 0)
    assert planes.tells(0, 0) == ("dark" not in case)


@pytest.mark.parametrize("case", [{}, {"order": 1}, {"symmetric": True}, {"dark": True}, {"order": 0}])
def test_derivatives_are_those_of_central_differences(case: dict) -> None:
    fitted = form(**case)
    slopes, u = FlatPlanes.of(fitted, ALL).slopes(), fitted.vector()
    for k, unit in enumerate(1e-5 * np.eye(u.size)):
        q1, q0 = (FlatPlanes.of(fitted.at(u + sign * unit), ALL).form().vector() for sign in (1, -1))
        # Truncation 1e-10 times third derivatives of some hundreds, and round-off 1e-11.
        np.testing.assert_allclose(slopes[:, k], (q1 - q0) / 2e-5, atol=1e-7)
