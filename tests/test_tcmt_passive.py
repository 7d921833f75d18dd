"""The passive form: passive for any leaves, complete, differentiable, and fit for an optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

import diffnr as nr
import optimize as op
from cavities import passive_device, passive_leaves, real_numbers, scattering
from diffnr import parameters, tcmt
from diffnr.tcmt.passive import PassiveModes, hermitian, isometry
from systems import central_difference, random_modes

OMEGAS = np.linspace(-3.0, 3.0, 5)
LEAVES = ("omega", "D", "direct")


@pytest.mark.parametrize(("modes", "ports", "hidden"), [(1, 1, 0), (1, 1, 1), (3, 2, 0), (2, 3, 4), (6, 5, 1)])
def test_passive_whatever_the_leaves_are(modes: int, ports: int, hidden: int) -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array]) -> tuple[Array, tcmt.Matrices]:
        device = passive_device(**parts)
        return tcmt.passivity_margin(device), device.matrices()

    parts = passive_leaves(0, modes, ports, hidden, 64)
    parts["D"] = parts["D"] * np.geomspace(1e-3, 1e2, 64)[:, None, None, None]
    margin, matrices = solve(parts)
    S = np.stack([scattering(tcmt.Matrices(*(part[n] for part in matrices)), OMEGAS) for n in range(64)])
    scale = np.sum(parts["D"] ** 2, axis=(1, 2, 3))
    assert np.min(margin / (1 + scale)) > -1e-14  # round-off of P, whose size is that of D†D
    gain = np.linalg.norm(S, 2, axis=(-2, -1))
    assert np.max(gain) < 1 + 1e-10  # round-off, times the condition of iω − A: narrow lines at scale 1e-3
    if hidden:
        # With fewer hidden ports than ports some waves pass unabsorbed, but never all.
        assert np.median(np.linalg.norm(S, -2, axis=(-2, -1))) < 0.999
    else:
        np.testing.assert_allclose(S.conj().swapaxes(-1, -2) @ S, np.broadcast_to(np.eye(ports), S.shape), atol=1e-10)


def test_orthonormal_columns_though_they_are_nearly_dependent() -> None:
    rng = np.random.default_rng(0)
    direct = rng.normal(size=(5, 3, 2))
    direct[:, 1] = direct[:, 0] + 1e-6 * direct[:, 1]
    device = passive_device(omega=np.eye(2), D=rng.normal(size=(5, 2, 2)), direct=direct)
    assert tcmt.passivity_margin(device) > -1e-14  # round-off; one pass of Gram–Schmidt would leave 1e-16/1e-6


def test_device_of_readable_matrices() -> None:
    # One mode, C = −1, |d|² = 2γ and a hidden row of √(2γ_0): S = −1 + 2γ/(i(ω − ω₀) + γ + γ_0), by hand.
    device = PassiveModes([0.7], [[2**0.5 * 1.1**0.5], [(2 * 0.4) ** 0.5]], hidden=1)
    S = scattering(device, OMEGAS)[:, 0, 0]
    np.testing.assert_allclose(S, -1 + 2.2 / (1j * (OMEGAS - 0.7) + 1.5), rtol=1e-14)  # round-off
    assert (device.num_modes, device.num_ports, device.num_hidden, device.lossless) == (1, 1, 1, False)

    # One way: C = d = 0, all in by the wedge with k = −C_w d_w*, and nothing comes back.
    one_way = PassiveModes([0.7], [[0.0], [1.3j]], [[0.0], [1.0]], hidden=1)
    np.testing.assert_allclose(one_way.matrices().K, [[1.3j]], rtol=1e-15)
    np.testing.assert_allclose(scattering(one_way, OMEGAS), 0.0, atol=1e-15)

    parts = random_modes(3, 3, 2)
    same = PassiveModes(**parts)
    assert same.lossless
    for ours, theirs in zip(same.matrices(), tcmt.CoupledModes(**parts, lossless=True).matrices(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)  # round-off
    np.testing.assert_allclose(hermitian(same.omega), parts["omega"], rtol=1e-15)
    padded = PassiveModes(parts["omega"], np.vstack([parts["D"], [[0.3, 0, 0]]]), parts["C"], hidden=1)
    absorbing = tcmt.CoupledModes(**parts, gamma_i=[0.045, 0, 0])
    np.testing.assert_allclose(scattering(padded, OMEGAS), scattering(absorbing, OMEGAS), atol=1e-13)


@pytest.mark.parametrize(
    "model",
    [
        tcmt.TwoResonators((0.3, -0.2), (0.9, 0.5), (0.4, 0.6), 1.3),
        tcmt.TwoResonators(
            (0.3, -0.2), (0.9, 0.5), (0.4, 0.6), 1.3, terms=tcmt.IdealNonreciprocalCoupling(0.8, mode=1, sensed=0)
        ),
        tcmt.CoupledModes(**random_modes(1, 3, 2, lossless=False), gamma_i=[0.1, 0.0, 0.3]),
        tcmt.CoupledModes(**random_modes(1, 2, 3), lossless=True),
        passive_device(**passive_leaves(5, 2, 2, 3)),
    ],
    ids=["resonators", "ideal coupling", "contraction", "lossless", "passive"],
)
def test_every_passive_device_has_a_passive_form(model: tcmt.AbstractCoupledModes) -> None:
    form = PassiveModes.of(model)
    assert form.num_hidden <= model.num_ports + model.num_modes
    assert form.lossless == getattr(model, "lossless", False)
    assert not form.laws
    if model.laws:
        np.testing.assert_allclose(scattering(form, OMEGAS), nr.scattering(model, OMEGAS), atol=1e-13)  # round-off
    else:
        for ours, theirs in zip(form.matrices(), model.matrices(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-13)
    roomy = PassiveModes.of(model, hidden=form.num_hidden + 2)
    assert roomy.num_hidden == form.num_hidden + 2
    np.testing.assert_allclose(scattering(roomy, OMEGAS), scattering(form, OMEGAS), atol=1e-13)


def test_laws_act_besides() -> None:
    law = tcmt.NonlocalLoss(0.8, mode=1, sensed=0)
    arguments = {"omega": (0.4, -0.6), "gamma": (0.9, 0.5), "gamma_0": (0.2, 0.2), "kappa": 1.3}
    linear = PassiveModes.of(tcmt.TwoResonators(**arguments))
    device = nr.replace(linear, {"loss": law})
    assert not device.linear
    expected = nr.port_response(tcmt.TwoResonators(**arguments, loss=law), nr.Drive(0.3)).s
    np.testing.assert_allclose(nr.port_response(device, nr.Drive(0.3)).s, expected, atol=1e-14)  # round-off


def test_leaves_are_free_parameters() -> None:
    device = passive_device(**passive_leaves(1, 2, 2, 1))
    assert nr.paths(device) == LEAVES
    chosen = parameters.select(device, LEAVES)
    assert chosen.bounds == ((None, None),) * 3
    again = chosen.rebuild([value + 0.5 for value in chosen.values])
    np.testing.assert_allclose(again.D, device.D + 0.5)
    np.testing.assert_allclose(nr.get(device, "D.2.0"), device.D[2, 0])


def test_isometry_batches() -> None:
    rng = np.random.default_rng(0)
    W = jnp.asarray(rng.normal(size=(4, 5, 3)) + 1j * rng.normal(size=(4, 5, 3)))
    V = isometry(W)
    np.testing.assert_allclose(V.conj().mT @ V, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-14)  # round-off
    # The same columns' span in the same order: V†W is upper triangular with a positive diagonal.
    R = V.conj().mT @ W
    np.testing.assert_allclose(jnp.tril(R, -1), 0.0, atol=1e-14)
    assert jnp.all(jnp.diagonal(R, axis1=1, axis2=2).real > 0)
    np.testing.assert_allclose(isometry(W[2]), V[2], rtol=1e-15)


def test_gradients_match_central_differences() -> None:
    start, direction = passive_leaves(2, 3, 2, 2), passive_leaves(3, 3, 2, 2)

    @eqx.filter_jit
    def along(x: Array) -> Array:
        device = passive_device(**{name: start[name] + x * direction[name] for name in start})
        values = real_numbers(device.matrices())
        return values @ np.random.default_rng(0).normal(size=values.size)  # every value, with a weight of its own

    slope = jax.grad(along)(0.0)
    # Richardson at steps of 1e-3: truncation 1e-18 of an analytic function, and round-off 1e-15/1e-3.
    np.testing.assert_allclose(central_difference(along, 0.0, 1e-3), slope, rtol=1e-8, atol=1e-9)
    assert abs(slope) > 0.1


@pytest.mark.slow
def test_fit_of_a_nonreciprocal_device_that_absorbs_coherently() -> None:
    true = passive_device(**passive_leaves(10, 1, 2, 2))
    data = nr.scattering(true, OMEGAS)
    assert np.max(np.abs(data - data.mT)) > 0.2  # nonreciprocal, and absorbing:
    assert np.max(np.linalg.norm(data, 2, axis=(1, 2))) < 0.999
    rng = np.random.default_rng(1)
    start = nr.replace(
        true, {name: leaf + 0.3 * rng.normal(size=leaf.shape) for name, leaf in passive_leaves(10, 1, 2, 2).items()}
    )

    def misfit(model: PassiveModes) -> Array:
        return jnp.mean(jnp.abs(nr.scattering(model, OMEGAS) - data) ** 2)

    assert misfit(start) > 1e-2
    fit = op.minimise(misfit, start, free=LEAVES, steps=300, tolerance=1e-9, progress=False)
    assert isinstance(fit.model, PassiveModes)
    # LBFGS ends where the gradient is 1e-9; with curvatures of .01 or more the misfit is then below 1e-16.
    assert misfit(fit.model) < 1e-14
    between = np.linspace(-2.5, 2.5, 7)
    np.testing.assert_allclose(nr.scattering(fit.model, between), nr.scattering(true, between), atol=1e-5)
    assert tcmt.passivity_margin(fit.model) > -1e-13  # round-off

    other = op.minimise(misfit, start, free=LEAVES, optimiser=optax.adam(1e-2), steps=100, progress=False)
    assert misfit(other.model) < misfit(start) / 10


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"direct": np.ones((3, 2, 2))}, r"direct must have linearly independent columns, but was "),
        ({"direct": np.zeros((3, 2, 2))}, r"direct must have linearly independent columns, but was "),
        ({"D": np.ones((3, 3, 2))}, r"D must have shape \(3, 2, 2\), but had shape \(3, 3, 2\)"),
        ({"omega": [[0.0, np.nan], [0.0, 1.0]]}, r"omega must be finite, but was "),
        ({"omega": 1j * np.eye(2)}, r"omega must be real, but was "),
        ({"loss": tcmt.TwoPhotonLoss(1.0, 2)}, r"mode must be a mode between 0 and 1, but was 2"),
    ],
)
def test_leaves_that_do_not_fit_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        nr.replace(passive_device(**passive_leaves(0, 2, 2, 1)), changed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"D": [1.0]}, r"D must have shape \(ports \+ hidden, modes\), but was of shape \(1,\)"),
        ({"hidden": 2}, r"hidden must be a whole number between 0 and 1, but was 2"),
        ({"C": np.eye(3)}, r"C must have shape \(2, 2\) or \(2, 2\), but was of shape \(3, 3\)"),
        ({"C": 0.9 * np.eye(2)}, r"C must have orthonormal columns \(C†C = 1\), but was off by 0.19"),
        (
            {"omega": [1.0, 2.0]},
            r"omega must have shape \(1,\) or \(1, 1\), as D is of shape \(2, 1\), but was of shape \(2,\)",
        ),
        ({"omega": [1j]}, r"omega must be real \(a vector\) or Hermitian \(a matrix\), but was "),
    ],
)
def test_matrices_that_do_not_fit_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        PassiveModes(**{"omega": [1.0], "D": [[1.0], [2.0]], **arguments})


def test_devices_without_a_passive_form_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Argument model must be passive .* but its margin was -0\.5"):
        PassiveModes.of(tcmt.CoupledModes([0.0], [[1.0]], K=[[1.5]]))
    with pytest.raises(ValueError, match=r"^Argument model must be linear .* one with TwoPhotonLoss"):
        PassiveModes.of(tcmt.CoupledModes([0.0], [[1.0]], loss=tcmt.TwoPhotonLoss(1.0, 0)))
    with pytest.raises(ValueError, match=r"^Argument hidden must be a whole number of at least 1, but was 0"):
        PassiveModes.of(tcmt.CoupledModes([0.0], [[1.0]], gamma_i=[0.1]), hidden=0)


def test_a_constant_device_is_changed_inside_jit() -> None:
    device = tcmt.PassiveModes([0.3, -0.2], [[0.7, 0.1], [0.2j, 0.9]])
    moved = jax.jit(lambda x: nr.replace(device, {"omega.0.0": x}).matrices().omega)(1.0)
    assert moved[0, 0] == 1.0
