"""Dressed ports: the device behind a junction against the whole network, and the paper's printed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from cavities import passive_device, passive_leaves, real_numbers, scattering
from diffnr import tcmt
from diffnr.tcmt.junction import cascade_junction
from diffnr.tcmt.time_reversal import reversed_bias, time_bandwidth, time_reversal_residuals
from slow import slow_except
from systems import central_difference, random_modes

OMEGAS = np.linspace(-3.0, 3.0, 5)
THROUGH = np.array([[0.0, 1.0], [1.0, 0.0]])


def unitary(seed: int, size: int) -> np.ndarray:
    return random_modes(seed, 1, size)["C"]


def network(
    m: tcmt.Matrices, J: np.ndarray, port: int, phase_out: complex, phase_in: complex, omega: float
) -> np.ndarray:
    """S of the whole network at one frequency: every amplitude and every wave within is an unknown of one system.

    Unknowns a [N], b and c [M] (out of and into the device), x and y (into and out of the junction).
    """
    Omega, gamma, C, D, K = (np.asarray(part) for part in m)
    N, M, P = len(Omega), len(C), len(J)
    a, b, c, x, y = np.split(np.arange(N + 2 * M + 2 * P), np.cumsum([N, M, M, P]))
    free = [i for i in range(M) if i != port]
    system, source = np.eye(N + 2 * M + 2 * P, dtype=complex), np.zeros((N + 2 * M + 2 * P, M + P - 2))
    system[np.ix_(a, a)] = 1j * omega * np.eye(N) - 1j * Omega + gamma
    system[np.ix_(a, c)] = -K.T
    system[np.ix_(b, c)], system[np.ix_(b, a)] = -C, -D
    system[np.ix_(y, x)] = -J
    system[c[port], y[0]] = -np.exp(-1j * phase_in)
    system[x[0], b[port]] = -np.exp(-1j * phase_out)
    # The outer sides of the junction stand where the port stood.
    ins = [*c[free[:port]], *x[1:], *c[free[port:]]]
    outs = [*b[free[:port]], *y[1:], *b[free[port:]]]
    source[ins, np.arange(M + P - 2)] = 1.0
    return np.linalg.solve(system, source)[outs]


CASES = {  # modes, ports, hidden ports, connected port, sides of the junction, phases
    "one mode": (1, 2, 0, 1, 2, 0.4, 1.9),
    "first port": (2, 2, 0, 0, 2, -0.7, 0.2),
    "several modes": (4, 3, 0, 1, 2, 2.1, 0.3),
    "branching": (3, 3, 0, 2, 4, 0.5, 0.6),
    "a single port": (2, 1, 0, 0, 3, 0.5, 0.6),
    "hidden ports": (2, 3, 2, 1, 2, 0.4, 1.9),
    "lossy line": (2, 2, 0, 1, 2, 0.4 - 0.3j, 1.9 - 0.1j),
    "termination": (3, 4, 0, 1, 1, 0.4, 0.8),
}


@pytest.mark.parametrize("name", slow_except(CASES, 0, 2, 4))
def test_dressed_device_is_the_whole_network(name: str) -> None:
    modes, ports, hidden, port, sides, phase_out, phase_in = CASES[name]
    whole = tcmt.CoupledModes(**random_modes(1, modes, ports), lossless=True)
    device = passive_device(**passive_leaves(1, modes, ports, hidden)) if hidden else whole
    J = 0.6 * unitary(2, 1) if sides == 1 else unitary(2, sides)
    dressed = cascade_junction(device, J, port=port, phase_out=phase_out, phase_in=phase_in)
    expected = [network(device.matrices(), J, port, phase_out, phase_in, omega) for omega in OMEGAS]
    # Round-off 1e-16, times the conditions of iω − A and of 1 − R C_pp, each below 1e2 here.
    np.testing.assert_allclose(scattering(dressed, OMEGAS), expected, rtol=0, atol=1e-12)
    assert not dressed.active
    assert tcmt.passivity_margin(dressed) > -1e-12  # round-off
    assert dressed.lossless == (not hidden and sides > 1 and name != "lossy line")
    C, D, K = (np.asarray(part) for part in dressed.matrices()[2:])
    broken = np.max(np.abs(C.T @ D.conj() + K))
    if dressed.lossless:
        # Of the coefficients themselves: nothing in `cascade_junction` puts K = −CᵀD* or 2Γ = D†D in.
        assert broken < 1e-12
        np.testing.assert_allclose(2 * decay(device, J, port, phase_out, phase_in), D.conj().T @ D, rtol=0, atol=1e-12)
        if name == "several modes":
            np.testing.assert_allclose(np.stack(time_reversal_residuals(dressed)), 0.0, atol=1e-12)
            np.testing.assert_allclose(
                time_bandwidth(dressed).product, 2.0, rtol=1e-11
            )  # well-conditioned eigenvectors
    else:
        assert broken > 1e-2


def decay(device: tcmt.AbstractCoupledModes, J: np.ndarray, port: int, phase_out: complex, phase_in: complex) -> Array:
    """Γ′ of the dressed device, not by way of its D: a device marked lossless would take it from there."""
    m = device.matrices()
    unmarked = tcmt.CoupledModes(m.omega, m.D, m.C, m.K)
    return cascade_junction(unmarked, J, port=port, phase_out=phase_out, phase_in=phase_in).matrices().gamma


def worked_cavity() -> tuple[tcmt.CoupledModes, np.ndarray, float, float]:
    """A cavity beside a guide, C = [[0, 1], [1, 0]], before a junction C_J at k⁺L and −k⁻L of a nonreciprocal guide."""
    device = tcmt.CoupledModes([0.3], [[0.5 + 0.2j], [0.7 - 0.3j]], THROUGH, gamma_i=[0.1])
    return device, unitary(3, 2), 0.9, 2.3


def test_closed_form_beside_a_guide() -> None:
    device, J, phase_out, phase_in = worked_cavity()
    (d1, d2), (k1, k2) = np.asarray(device.matrices().D)[:, 0], np.asarray(device.matrices().K)[:, 0]
    gamma = complex(device.matrices().gamma[0, 0])
    R = J[0, 0] * np.exp(-1j * (phase_out + phase_in))
    dressed = cascade_junction(device, J, port=1, phase_out=phase_out, phase_in=phase_in)
    m = dressed.matrices()
    # Round-off of a few operations, throughout.
    np.testing.assert_allclose(m.K[:, 0], [k1 + k2 * R, k2 * J[0, 1] * np.exp(-1j * phase_in)], rtol=1e-14)
    np.testing.assert_allclose(m.D[:, 0], [d1 + d2 * R, d2 * J[1, 0] * np.exp(-1j * phase_out)], rtol=1e-14)
    np.testing.assert_allclose(m.gamma[0, 0], gamma - (k2 * R * d2).real, rtol=1e-14)
    np.testing.assert_allclose(m.omega[0, 0], 0.3 + (k2 * R * d2).imag, rtol=1e-14)
    np.testing.assert_allclose(m.C[0, 0], R, rtol=1e-14)
    # (5e) and (5f) of the dressed coefficients, with the cavity's own absorption of .1 besides.
    np.testing.assert_allclose(m.C.T @ m.D.conj(), -m.K, rtol=1e-14)
    np.testing.assert_allclose(2 * (m.gamma - 0.1), m.D.conj().T @ m.D, rtol=1e-13)


def test_phases_are_delays() -> None:
    # A pulse in e^{+iωt} comes back after the time there and back: with φ = ωτ, at +τ_out + τ_in and not before.
    tau_out, tau_in = 3.0, 5.0
    omegas = np.linspace(-8.0, 8.0, 161)
    device = tcmt.CoupledModes([0.0], [[0.0], [0.0]], THROUGH, gamma_i=[1.0])

    @jax.jit
    @jax.vmap
    def reflected(omega: Array) -> Array:
        dressed = cascade_junction(device, [[-1.0]], port=1, phase_out=omega * tau_out, phase_in=omega * tau_in)
        return dressed.matrices().C[0, 0]

    spectrum = np.exp(-(omegas**2) / 4) * np.asarray(reflected(omegas))
    times = np.linspace(-12.0, 12.0, 241)
    pulse = np.abs(np.exp(1j * times[:, None] * omegas) @ spectrum)
    assert times[np.argmax(pulse)] == pytest.approx(8.0, abs=0.06)  # the grid of times, .1
    assert np.max(pulse[times < 0]) < 1e-3 * np.max(pulse)


def test_straight_through_is_a_shift_of_reference_plane() -> None:
    device = tcmt.CoupledModes(**random_modes(4, 3, 2), lossless=True)
    moved = cascade_junction(device, THROUGH, port=0, phase_out=0.4, phase_in=1.1)
    S = scattering(device, OMEGAS)
    expected = S * np.array([[np.exp(-1.5j), np.exp(-0.4j)], [np.exp(-1.1j), 1.0]])
    np.testing.assert_allclose(scattering(moved, OMEGAS), expected, rtol=0, atol=1e-13)  # round-off
    np.testing.assert_allclose(moved.omega, device.omega, atol=1e-15)


def test_junctions_add_up() -> None:
    # A junction and a second one behind it are one junction, connected in either order.
    device = tcmt.CoupledModes(**random_modes(5, 2, 3), lossless=True)
    first, second = unitary(6, 2), unitary(7, 2)
    one = cascade_junction(cascade_junction(device, first, port=0), second, port=2)
    other = cascade_junction(cascade_junction(device, second, port=2), first, port=0)
    np.testing.assert_allclose(scattering(one, OMEGAS), scattering(other, OMEGAS), rtol=0, atol=1e-12)  # round-off


def test_time_reversal_of_the_whole_is_that_of_its_parts() -> None:
    # The junction's and the line's bias reverse too: Jᵀ, and the two delays exchanged.
    device, J = passive_device(**passive_leaves(9, 3, 2, 2)), unitary(8, 3)
    whole = reversed_bias(cascade_junction(device, J, port=1, phase_out=0.4, phase_in=1.7))
    parts = cascade_junction(reversed_bias(device), J.T, port=1, phase_out=1.7, phase_in=0.4)
    for ours, theirs in zip(whole.matrices(), parts.matrices(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)  # round-off


# The printed forms S28–S34 ------------------------------------------------------------------------------------------


def printed(strength: float, omega: float, gamma_in_use: str) -> tuple[np.ndarray, np.ndarray, float]:
    """S by the printed S28–S34, S by the network, and |d₂k₂R|/γ; the second arm's coupling is scaled by `strength`.

    Printed, the loop holds S₂₂ = C₂₂ + d₂k₂/(i(ω − ω₀) + γ), and S₂₁, S₁₂ likewise; S26's overall sign, which would
    turn absorption into gain, is put right first.
    """
    device, J, phase_out, phase_in = worked_cavity()
    D = np.asarray(device.D) * np.array([[1.0], [strength]])
    device = tcmt.CoupledModes(device.omega, D, THROUGH, gamma_i=device.gamma_i)
    m = device.matrices()
    (d1, d2), (k1, k2), gamma = np.asarray(m.D)[:, 0], np.asarray(m.K)[:, 0], complex(m.gamma[0, 0])
    S = scattering(device, np.array([omega]))[0]
    out, back = np.exp(-1j * phase_out), np.exp(-1j * phase_in)
    R = out * back * J[0, 0]
    loop = 1 - S[1, 1] * R
    k_eff = np.array([k1 + k2 * R * S[1, 0] / loop, k2 * J[0, 1] * back / loop])
    d_eff = np.array([d1 + d2 * S[0, 1] * R / loop, d2 * J[1, 0] * out / loop])
    dressed = cascade_junction(device, J, port=1, phase_out=phase_out, phase_in=phase_in).matrices()
    pole = {"bare": gamma + 1j * (omega - 0.3), "dressed": dressed.gamma[0, 0] + 1j * (omega - dressed.omega[0, 0])}
    by_print = np.asarray(dressed.C) + np.outer(d_eff, k_eff) / complex(pole[gamma_in_use])
    return by_print, network(m, J, 1, phase_out, phase_in, omega), abs(d2 * k2 * R / gamma)


@pytest.mark.parametrize("gamma_in_use", ["bare", "dressed"])
def test_printed_forms_count_the_resonance_twice(gamma_in_use: str) -> None:
    by_print, network_s, feedback = printed(1.0, 0.5, gamma_in_use)
    assert feedback > 0.1
    assert np.max(np.abs(by_print - network_s)) > 0.05
    # An error of the order of d₂k₂R/γ, which vanishes as that does; to first order, the next being .01 of it.
    small = [printed(strength, 0.5, gamma_in_use) for strength in (1e-2, 1e-3)]
    misses = [np.linalg.norm(by_print - network_s) for by_print, network_s, _ in small]
    assert misses[1] < 0.01
    np.testing.assert_allclose(misses[0] / misses[1], small[0][2] / small[1][2], rtol=0.03)
    # Exactly so for S28 and S34 alone, a wave in by one and out by the other: the factor that is one too many.
    device, J, phase_out, phase_in = worked_cavity()
    m = device.matrices()
    pole = complex(m.gamma[0, 0]) + 0.2j
    epsilon = complex(m.D[1, 0] * m.K[1, 0]) * J[0, 0] * np.exp(-1j * (phase_out + phase_in))
    dressed = cascade_junction(device, J, port=1, phase_out=phase_out, phase_in=phase_in).matrices().C
    twice = (by_print - dressed)[1, 1] / (network_s - dressed)[1, 1]
    factor = pole / (pole - epsilon) if gamma_in_use == "bare" else (pole / (pole - epsilon)) ** 2
    np.testing.assert_allclose(twice, factor, rtol=1e-12)  # round-off


def test_printed_s26_would_have_gain() -> None:
    # C + dkᵀ/(i(ω₀ − ω) − γ), against C + dkᵀ/(i(ω − ω₀) + γ): a lossless reflector, d = k = √(2γ), on resonance.
    device = tcmt.CoupledModes([0.3], [[2**0.5]], lossless=True)
    m = device.matrices()
    by_print = complex((m.C + m.D @ m.K.T / (1j * (m.omega[0, 0] - 0.3) - m.gamma[0, 0]))[0, 0])
    np.testing.assert_allclose(by_print, -3.0, rtol=1e-14)  # round-off
    np.testing.assert_allclose(scattering(device, 0.3), [[[1.0]]], rtol=1e-14)


def test_printed_coefficients_are_not_those_of_a_lossless_cavity() -> None:
    # 2γ_r = d†d and (5e) are claimed of the printed ones; on resonance they fail, where the dressed ones hold.
    device, J, phase_out, phase_in = worked_cavity()
    m = device.matrices()
    S = scattering(device, np.array([0.3]))[0]
    R = J[0, 0] * np.exp(-1j * (phase_out + phase_in))
    (d1, d2), loop = np.asarray(m.D)[:, 0], 1 - S[1, 1] * R
    d_eff = np.array([d1 + d2 * S[0, 1] * R / loop, d2 * J[1, 0] * np.exp(-1j * phase_out) / loop])
    dressed = cascade_junction(device, J, port=1, phase_out=phase_out, phase_in=phase_in).matrices()
    radiated = 2 * float(dressed.gamma[0, 0].real - 0.1)
    assert abs(np.sum(np.abs(d_eff) ** 2) / radiated - 1) > 0.1
    np.testing.assert_allclose(np.sum(np.abs(dressed.D) ** 2), radiated, rtol=1e-13)  # round-off


# Derivatives, and what is refused ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_gradients_match_central_differences() -> None:
    start, direction, J = passive_leaves(6, 2, 2, 1), passive_leaves(7, 2, 2, 1), unitary(9, 2)

    @jax.jit
    def along(x: Array) -> Array:
        device = passive_device(**{name: start[name] + x * direction[name] for name in start})
        dressed = cascade_junction(device, J * (0.9 + 0.1 * x), port=0, phase_out=0.3 + x, phase_in=1.0 - 2 * x)
        values = real_numbers(dressed.matrices())
        return values @ np.random.default_rng(0).normal(size=values.size)  # every value, with a weight of its own

    slope = jax.grad(along)(0.0)
    # Richardson at steps of 1e-3: truncation 1e-18 of an analytic function, and round-off 1e-14/1e-3.
    np.testing.assert_allclose(central_difference(along, 0.0, 1e-3), slope, rtol=1e-8, atol=1e-9)
    batch = jnp.array([-0.1, 0.2])
    np.testing.assert_allclose(jax.vmap(along)(batch), [along(x) for x in batch], atol=1e-12)  # round-off
    assert abs(slope) > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 2}, r"port must be a port between 0 and 1, but was 2"),
        (
            {"junction": np.ones((1, 2))},
            r"junction must be a square matrix \[1 \+ p, 1 \+ p\], but was of shape \(1, 2\)",
        ),
        ({"junction": 1.0}, r"junction must be a square matrix \[1 \+ p, 1 \+ p\], but was of shape \(\)"),
        ({"junction": [[np.nan]]}, r"junction must be finite, but was "),
        ({"junction": 1.1 * THROUGH}, r"junction must have no gain, a 2-norm of at most 1, but was of norm 1\.1"),
        ({"phase_in": np.zeros(2)}, r"phase_in must be a number \(use jax.vmap for many\), but was of shape \(2,\)"),
        ({"phase_out": np.inf}, r"phase_out must be finite, but was inf"),
        ({"phase_out": 1 + 0.1j}, r"phase_out must have no positive imaginary part \(a line with gain\), but was "),
        (
            {"junction": np.eye(2), "device": tcmt.CoupledModes([0.0], [[1.0], [1.0]], np.eye(2))},
            r"junction must leave a loss between it and the device's port .* but was one with R C_pp = 1",
        ),
        (
            {"junction": [[0.5]], "device": tcmt.CoupledModes([0.0], [[1.0]]), "port": 0},
            r"junction must leave a port to the device \(be 2 by 2 or larger\), but was a termination",
        ),
        (
            {"device": tcmt.TwoResonators((0, 0), (1, 1), (0, 0), 1.0, tcmt.SaturableLoss(0.1, 0))},
            r"model must be linear to be connected to a junction, but was one with SaturableLoss",
        ),
    ],
)
def test_what_cannot_be_connected_is_refused(arguments: dict, message: str) -> None:
    arguments = {"device": tcmt.CoupledModes(**random_modes(0, 1, 2)), "junction": THROUGH, "port": 1, **arguments}
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        cascade_junction(arguments.pop("device"), arguments.pop("junction"), **arguments)


def test_an_active_model_may_have_an_amplifier_for_a_junction() -> None:
    device = tcmt.CoupledModes([0.3], [[0.5], [0.7]], THROUGH, active=True)
    dressed = cascade_junction(device, 1.5 * THROUGH, port=1)
    assert dressed.active
    np.testing.assert_allclose(dressed.C, 1.5 * THROUGH)
