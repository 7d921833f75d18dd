"""The solver for friction: its order, its equations, and that nothing chatters at any step."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import tcmt
from diffnr.tcmt.proximal import ProximalSDIRK, resolvent, settled, velocity

A = jnp.array([[-0.8 + 0.3j, 0.9j, 0.0], [0.9j, -0.6 - 0.2j, 0.4j], [0.0, 0.4j, -0.5]])
LAW = tcmt.NonlocalLoss(0.5, mode=1, sensed=0)
KERR = tcmt.TwoPhotonLoss(0.3, mode=2)


def real(z: Array) -> Array:
    return jnp.concatenate([z.real, z.imag])


def whole(y: Array) -> Array:
    return y[: y.size // 2] + 1j * y[y.size // 2 :]


def run(modes: int, laws: tuple, drive: Array, steps: int, a0: Array, end: float = 2.0, t0: float = 0.0) -> Array:
    """a(end) by `steps` equal steps; `drive` turns at rate 1."""
    part = A[:modes, :modes]

    def f(t: Array) -> Array:
        return drive * jnp.exp(1j * t)

    solver = ProximalSDIRK(
        lambda t, h, r, guess, args: real(resolvent(part, laws, f(t), h, whole(r), whole(guess))),
        lambda t, h, y0, y, args: real(settled(part, laws, f(t), h, whole(y0), whole(y))),
    )
    term = diffrax.ODETerm(lambda t, y, args: real(velocity(part, laws, whole(y), f(t))))
    solution = diffrax.diffeqsolve(term, solver, t0, end, (end - t0) / steps, real(a0), max_steps=steps + 1)
    return whole(solution.ys[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("modes", "laws"), [(2, (LAW,)), (3, (LAW, KERR))], ids=["closed form", "Newton"])
def test_order_four_while_the_mode_moves(modes: int, laws: tuple) -> None:
    drive, a0 = jnp.array([1.0, 0.4j, 0.2])[:modes], jnp.array([0.5, 0.6 - 0.3j, 0.1])[:modes]
    coarse, fine, finest = (run(modes, laws, drive, steps, a0) for steps in (32, 64, 256))
    ratio = np.linalg.norm(coarse - finest) / np.linalg.norm(fine - finest)
    assert 11 < ratio < 22  # 2⁴, and the next order at steps of .06 and .03 times rates of order 1


@pytest.mark.parametrize("steps", [4, 40, 400])
def test_a_mode_that_friction_holds_stays_at_zero_whatever_the_step(steps: int) -> None:
    held = tcmt.NonlocalLoss(0.91, mode=1, sensed=0)  # against a coupling of .9
    a = run(2, (held,), jnp.array([1.0, 0.0]), steps, jnp.array([0.3, 0.0j]))
    assert a[1] == 0
    assert abs(a[0]) > 0.3


@pytest.mark.parametrize("steps", [40, 400])
def test_a_mode_comes_to_rest_in_finite_time_and_stays(steps: int) -> None:
    held = tcmt.NonlocalLoss(1.5, mode=1, sensed=0)
    a = run(2, (held,), jnp.array([1.0, 0.0]), steps, jnp.array([1.0, 0.1 + 0.2j]), end=4.0)
    assert a[1] == 0


@pytest.mark.parametrize("h", [1e-9, 1e-2, 0.3])
@pytest.mark.parametrize("gamma_k", [0.5, 2.0], ids=["moves", "rests"])
def test_newton_and_the_closed_form_solve_the_same_step(h: float, gamma_k: float) -> None:
    law = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
    f, r = jnp.array([1.0, 0.2j, 0.0]), jnp.array([0.4 + 0.1j, 0.1 * h + 0j, 0.0])
    decoupled = A.at[1, 2].set(0).at[2, 1].set(0)
    h = jnp.asarray(h)
    two = resolvent(A[:2, :2], (law,), f[:2], h, r[:2], r[:2])
    three = resolvent(decoupled, (law,), f, h, r, r)
    np.testing.assert_allclose(three[:2], two, rtol=1e-13, atol=1e-14 * h)  # round-off of either
    assert bool(two[1] == 0) == bool(three[1] == 0) == (gamma_k == 2.0)


def test_the_resolvent_solves_its_equation() -> None:
    laws = (LAW, tcmt.NonlocalLoss(0.3, mode=2, sensed=1), KERR)
    f, r, h = jnp.array([1.0, 0.5j, 0.4]), jnp.array([0.4, 0.5, -0.6j]), jnp.asarray(0.2)
    a = resolvent(A, laws, f, h, r, r)
    assert jnp.all(jnp.abs(a) > 0.05)
    np.testing.assert_allclose(a - h * velocity(A, laws, a, f), r, atol=1e-14)  # round-off


def test_velocity_at_rest_is_what_is_left_of_the_force() -> None:
    a = jnp.array([1.0 + 0j, 0.0, 0.0])
    force = A @ a + jnp.array([0.0, 0.3j, 0.0])
    moving = velocity(A, (LAW,), a, jnp.array([0.0, 0.3j, 0.0]))
    assert moving[1] == pytest.approx(complex(force[1] * (1 - 0.5 / abs(force[1]))), rel=1e-14)
    assert velocity(A, (LAW,), a, jnp.array([0.0, -0.5j, 0.0]))[1] == 0
