"""Fits are reported at the planes where direct paths are flat: the algebra of these planes, and true errors there."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit_errors import KINDS, device, scores
from benchmarks.fit_errors import X as SAMPLES
from diffnr import FieldData, scattering
from diffnr import replace as updated
from optimize.mode_fit.fit_modes import fit_modes
from optimize.mode_fit.form import Form, from_pairs, to_pairs
from optimize.mode_fit.planes import FlatPlanes
from slow import slow_except

X = np.linspace(-1, 1, 9)
ALL = np.ones((2, 2), bool)
CASES: list[dict] = [{}, {"order": 1}, {"symmetric": True}, {"dark": True}, {"order": 0}]


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


@pytest.mark.parametrize("case", CASES)
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
    C, sums = from_pairs(moved.background)[0], np.eye(2)[:, None] + np.eye(2)
    turning = (C.conj() * (after - before)).imag / 2e-4
    np.testing.assert_allclose(turning[planes.bright] @ sums[planes.bright], 0, atol=1e-6)  # curvature times 1e-8
    assert np.any(planes.t) == (case.get("order") != 0)
    assert planes.tells(1, 0)
    assert planes.tells(0, 0) == ("dark" not in case)


@pytest.mark.parametrize(
    "case", slow_except([{}, {"order": 1}, {"symmetric": True}, {"dark": True}, {"order": 0}], 2, 3)
)
def test_derivatives_are_those_of_central_differences(case: dict) -> None:
    fitted = form(**case)
    slopes, u = FlatPlanes.of(fitted, ALL).slopes(), fitted.vector()
    for k, unit in enumerate(1e-5 * np.eye(u.size)):
        q1, q0 = (FlatPlanes.of(fitted.at(u + sign * unit), ALL).form().vector() for sign in (1, -1))
        # Truncation 1e-10 times third derivatives of some hundreds, and round-off 1e-11.
        np.testing.assert_allclose(slopes[:, k], (q1 - q0) / 2e-5, atol=1e-7)


def test_what_no_bright_path_tells_is_where_the_others_are_least() -> None:
    planes = FlatPlanes.of(form(dark=True), ALL)

    def size(shift: float) -> float:
        """|C'|² + |C'_x|²/3 of all entries, with planes of the ports further and nearer by a shift."""
        beside = planes._replace(t=planes.t + shift * np.array([1.0, -1.0]))
        before, C, after = beside.direct_path(np.array([-1e-4, 0.0, 1e-4]))
        return float(np.sum(np.abs(C) ** 2 + np.abs((after - before) / 2e-4) ** 2 / 3))

    least = size(0.0)
    assert least < min(size(-0.1), size(0.1))
    assert abs(size(1e-3) - size(-1e-3)) < 1e-2 * (size(1e-3) - least)  # a third derivative, of the second's size


def test_planes_do_not_depend_on_where_a_form_has_its_own() -> None:
    """The same S by a form whose planes are elsewhere: what it is at flat planes stays, but for the background's orders
    that no polynomial has, which the shift makes of x³ and more."""
    fitted, shift = form(dark=True), np.array([0.02, -0.03])
    first = FlatPlanes.of(fitted, ALL)
    moved, x = first._replace(t=shift), np.linspace(-1, 1, 41)
    path = np.polynomial.polynomial.polyfit(x, moved.direct_path(x).reshape(41, 4), 9).reshape(-1, 2, 2)
    other = replace(moved.form(), background=to_pairs(path))
    np.testing.assert_allclose(other.response(X)[0], fitted.response(X)[0], atol=1e-12)
    # Rounding, of a polynomial of order 9.
    np.testing.assert_allclose(FlatPlanes.of(other, ALL).form().vector(), first.form().vector(), atol=1e-9)


def test_stored_energies_and_constant_backgrounds_leave_planes_where_they_are() -> None:
    fitted = form()
    assert not np.any(FlatPlanes.of(fitted, np.zeros((2, 2), bool)).t)
    same = FlatPlanes.of(form(order=0), ALL).form()
    np.testing.assert_array_equal(same.vector(), form(order=0).vector())


def rms_and_coverage(kind: str, order: int, seeds: Iterable[int]) -> tuple[np.ndarray, np.ndarray, int]:
    """Of residues, C and delays, in units of their errors; and how many fits there were."""
    found = [z for seed in seeds if (z := scores(kind, order, seed, 1e-3)) is not None]
    fields = [np.concatenate([z[field].ravel() for z in found]) for field in ("residues", "C", "delay")]
    fields = [z for z in fields if z.size]
    rms = np.array([np.sqrt(np.mean(z**2)) for z in fields])
    return rms, np.array([np.mean(np.abs(z) < 1.96) for z in fields]), len(found)


@pytest.mark.parametrize(("kind", "order"), [("hanger", 1), ("reflection", 2)])
def test_errors_are_true_where_a_background_may_stand_for_a_delay(kind: str, order: int) -> None:
    rms, _, fits = rms_and_coverage(kind, order, range(1, 9))
    assert fits == 8
    # Of eight normal numbers, at the least, the rms is 1 within 1/√16 = .25, three of them.
    assert rms == pytest.approx(1.0, abs=0.75)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_true_of_many_devices(kind: str, order: int) -> None:
    rms, inside, fits = rms_and_coverage(kind, order, [*range(60), *range(100, 160)])
    assert fits >= 114  # a residual is called noise in all but some percent
    # 240 numbers, in pairs that errors have in common: an rms of 1 within 1/√240 = .065, three of them, and a share of
    # .95 within √(.05 · .95/120) = .02, three of them.
    assert rms == pytest.approx(1.0, abs=0.19)
    assert np.all(inside > 0.95 - 0.06)


def test_the_model_and_what_the_data_leave_possible_are_at_these_planes() -> None:
    fitted = device("hanger", 2, 3)
    s = fitted.response(SAMPLES)[0]
    rng = np.random.default_rng(1)
    data = FieldData(SAMPLES, s + 1e-3 * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)), measured=True)
    fit = fit_modes(data, 1, delay=True, background=2)
    assert "S11, S22 is bright enough to tell their planes" in fit.report()
    omega = np.linspace(-1, 1, 21)
    there = replace(FlatPlanes.of(fitted, ALL).form(), delay=None).response(omega)[0]
    model = np.asarray(scattering(fit.model, omega))
    shifts = fit.scenarios(20).shifts
    moved = [{name: getattr(fit.model, name) + part[k] for name, part in shifts.items()} for k in range(20)]
    drawn = np.stack([scattering(updated(fit.model, leaves), omega) for leaves in moved])
    scatter = np.sqrt(np.mean(np.abs(drawn - model) ** 2))
    # Of 15 numbers that S depends on the rms is 1 within .2; draws move S by what noise leaves of it, no more.
    assert np.sqrt(np.mean(np.abs(model - there) ** 2)) == pytest.approx(scatter, rel=0.6)
    assert scatter < 1e-3
