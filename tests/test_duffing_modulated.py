"""Springs modulated in time: sidebands, what is not reciprocal, and where modulation alone makes oscillators grow."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import diffnr as nr
from diffnr import duffing, root


def pair(depth=0.1, phases=(0.0, np.pi / 2), omega_m=0.2, damping=0.03) -> duffing.ModulatedOscillators:
    """Two oscillators of mass and grounding 1, coupled by .6, whose groundings are modulated."""
    network = duffing.OscillatorNetwork([1.0, 1.0], [[1.6, -0.6], [-0.6, 1.6]], 2 * damping)
    return duffing.ModulatedOscillators(network, depth, omega_m, jnp.asarray(phases))


RNG = np.random.default_rng(3)
ANY = duffing.ModulatedOscillators(
    duffing.OscillatorNetwork(
        [[1.3, 0.2], [0.2, 0.8]], [[2.0, -0.5], [-0.9, 1.5]], 0.2, gyroscopic=[[0, 0.3], [-0.3, 0]]
    ),
    0.12 * (RNG.normal(size=(2, 2, 2)) + 1j * RNG.normal(size=(2, 2, 2))),
    0.47,
)


CUBIC = duffing.OscillatorNetwork([1.0], [1.0], force=lambda x: x**3)


def gap(y, model):
    """N_F² − N_B² at a frequency."""
    square = duffing.modulated_response(model, nr.Drive(y[0]), throw=False).norm ** 2
    return (square[1, 0] - square[0, 1])[None]


# Numbers with ten digits were computed by others, with dense ladders of their own and integration in time.
def test_sidebands_and_norms_of_a_modulated_pair(tmp_path) -> None:
    found = duffing.modulated_response(pair(), nr.Drive(1.05))
    middle = found.sidebands.index(0)
    expected = [0.1032797956 + 0.5426217317j, -3.9000411985 - 1.9705325756j, -0.2926371453 - 0.1745605523j]
    half = 6e-11  # of the last digit, in either part
    np.testing.assert_allclose(found.b[1, 0, middle - 1 : middle + 2], expected, atol=2 * half)
    np.testing.assert_allclose([found.norm[1, 0], found.norm[0, 1]], [3.1237468503, 3.1245337630], atol=half)
    np.testing.assert_allclose(found.reciprocity_norm(), 0.3455018751, atol=half)
    np.testing.assert_allclose(found.omegas[middle - 1 : middle + 2], [0.85, 1.05, 1.25], rtol=1e-15)
    deep = duffing.modulated_response(pair(0.5, (0.0, 2 * np.pi / 3)), nr.Drive(1.05))
    np.testing.assert_allclose([deep.norm[1, 0], deep.norm[0, 1]], [1.9290117625, 2.0137022115], atol=half)
    assert found.stable
    nr.save(tmp_path / "response.npz", (pair(), found))
    model, again = nr.load(tmp_path / "response.npz")
    np.testing.assert_array_equal(again.b, duffing.modulated_response(model, nr.Drive(1.05)).b)
    with pytest.raises(RuntimeError, match="Undriven, the oscillators do not come to rest"):
        duffing.modulated_response(pair(0.1201, (0.0, 0.0), 2.0), nr.Drive(1.05))  # .1200236224 is the threshold
    unstable = duffing.modulated_response(pair(0.1201, (0.0, 0.0), 2.0), nr.Drive(1.05), throw=False)
    assert np.all(np.isnan(unstable.b))
    assert not unstable.stable
    slow = duffing.modulated_response(pair(omega_m=1e-5), nr.Drive(1.05), num_sidebands=24, throw=False)
    assert "so slow that its stability is not known" in slow.message


@pytest.mark.parametrize(("phases", "depth"), [((0.0, 0.0), 0.1200236224), ((0.0, np.pi / 2), 0.1698934890)])
def test_depths_above_which_the_pair_grows(phases, depth) -> None:
    found = duffing.parametric_threshold(pair(1.0, phases, 2.0))
    np.testing.assert_allclose(found.factor, depth, atol=6e-11)  # half of the last digit
    np.testing.assert_allclose(found.omega, 1.0, rtol=1e-12)  # a swing: half of the modulation's


def test_locked_springs_are_the_modulated_ones() -> None:
    x, v, phase = (RNG.normal(size=size) for size in ((2, 5), (2, 5), 5))
    network = ANY.locked(3, lambda x, v: 0.3 * x**3 + v, odd=False)
    stiffness = np.asarray(ANY.oscillators.stiffness)[..., None] + sum(
        2 * np.real(matrix[..., None] * np.exp(1j * k * 3 * phase))
        for k, matrix in enumerate(np.asarray(ANY.fourier), 1)
    )
    expected = np.einsum("ijs,js->is", stiffness, x) + 0.3 * x**3 + v
    forces = eqx.filter_jit(network.forces)(*map(jnp.asarray, (x, v, phase)))
    np.testing.assert_allclose(forces, expected, rtol=1e-13)  # round-off
    depth, phases = 2 * np.abs(ANY.modulation), -np.angle(ANY.modulation)
    depths = duffing.ModulatedOscillators(ANY.oscillators, depth, 0.47, phases)
    np.testing.assert_allclose(depths.fourier, ANY.fourier, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda n: duffing.ModulatedOscillators(CUBIC, 0.1, 1.0),
         "Argument oscillators must be linear, without a force, but was ones with a force."),
        (lambda n: duffing.ModulatedOscillators(n, [0.1, 0.2, 0.3], 1.0),
         "Argument modulation must have shape (), (2,), (2, 2) or (k, 2, 2), as oscillators has n = 2, but"),
        (lambda n: duffing.ModulatedOscillators(n, 0.1, 0.0), "Argument omega_m must be positive, but was 0."),
        (lambda n: duffing.ModulatedOscillators(n, np.eye(2), 1.0, [0.0, 1.0]),
         "Argument phases must have shape () or (2, 2), as modulation has shape (2, 2), but was of shape (2,)."),
        (lambda n: duffing.ModulatedOscillators(n, 0.1j, 1.0, 0.0),
         "Argument phases must be left out where modulation is complex (its arguments are phases), but was 0.0."),
        (lambda n: duffing.parametric_threshold(pair(), bounds=(1.0, 0.5)),
         "Argument bounds must be (lowest, highest), in this order, but was (1, 0.5)."),
        (lambda n: duffing.modulated_response(n, nr.Drive(1.0)),
         "Argument model must be a duffing.ModulatedOscillators, but was of the class OscillatorNetwork."),
        (lambda n: duffing.modulated_response(pair(), nr.Drive([1.0, 2.0])),
         "Argument drive must have a scalar omega and amplitude (use jax.vmap for many), but was of shapes (2,)"),
    ],
)  # fmt: skip
def test_what_cannot_be_modulated_is_refused(make, sentence) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        make(pair().oscillators)


@pytest.mark.slow
def test_any_matrices_move_in_time_as_the_ladder_says() -> None:
    """With gyroscopic, nonsymmetric and two Fourier matrices, against integration in time from rest."""
    model, omega = ANY, 1.1
    own, inverse = model.oscillators, np.linalg.inv(model.oscillators.inertia)
    damping, stiffness, fourier = (np.asarray(x) for x in (own.dissipation, own.stiffness, model.fourier))

    def motion(t, y):
        waves = [2 * np.real(matrix * np.exp(1j * k * 0.47 * t)) for k, matrix in enumerate(fourier, 1)]
        push = np.array([0.0, np.cos(omega * t)])
        return np.concatenate([y[2:], inverse @ (push - damping @ y[2:] - (stiffness + sum(waves)) @ y[:2])])

    assert model.stable
    ts = np.linspace(390.0, 400.0, 21)  # what was at rest has decayed by |μ|^(400 ω_m/2π) = 1e-9
    assert np.abs(model.multipliers[0]) ** (390 * 0.47 / (2 * np.pi)) < 1e-9
    moved = solve_ivp(motion, (0.0, 400.0), np.zeros(4), method="DOP853", rtol=1e-11, atol=1e-12, t_eval=ts).y[:2]
    found = duffing.modulated_response(model, nr.Drive(omega))
    ladder = np.real(np.einsum("on,nt->ot", found.b[:, 1], np.exp(1j * np.outer(found.omegas, ts))))
    np.testing.assert_allclose(ladder, moved, atol=1e-8)  # of the decay


@pytest.mark.slow
def test_equal_norms_and_their_derivative() -> None:
    found = root.newton(gap, jnp.array([1.04]), pair())
    np.testing.assert_allclose(found.value[0], 1.0429617294, atol=6e-11)  # half of the last digit
    there = duffing.modulated_response(pair(), nr.Drive(found.value[0]))
    np.testing.assert_allclose([there.norm[1, 0], there.norm[0, 1]], [3.4348874165] * 2, atol=6e-11)
    np.testing.assert_allclose(there.nonreciprocal_phase(), -0.0250305224, atol=6e-11)

    def omega(depth):
        return root.newton(gap, jnp.array([1.04]), pair(depth)).value[0]

    h = 1e-5  # truncation h²: 1e-10 of the curvature; round-off 1e-15/h
    np.testing.assert_allclose(jax.grad(omega)(0.1), (omega(0.1 + h) - omega(0.1 - h)) / (2 * h), rtol=1e-6)


@pytest.mark.slow
def test_derivatives_of_the_response_by_every_leaf() -> None:
    def lead(x):
        depth, phase, omega_m, damping, omega = x
        model = pair(depth, jnp.stack([0.0, phase]), omega_m, damping)
        found = duffing.modulated_response(model, nr.Drive(omega))
        return jnp.stack([found.norm[1, 0], found.reciprocity_norm(), found.nonreciprocal_phase()])

    x, h = jnp.array([0.1, 1.4, 0.2, 0.03, 1.05]), 1e-5
    forward, reverse = jax.jacfwd(lead)(x), jax.jacrev(lead)(x)
    lead = jax.jit(lead)
    differences = jnp.stack([(lead(x + h * d) - lead(x - h * d)) / (2 * h) for d in jnp.eye(5)], axis=1)
    np.testing.assert_allclose(forward, differences, rtol=1e-5, atol=1e-8)  # h² f'''/6: these are near resonances
    np.testing.assert_allclose(reverse, forward, rtol=1e-9, atol=1e-12)  # round-off times the condition


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["response", "threshold"])
def test_derivatives_by_all_matrices_at_once(measure) -> None:
    """Along one direction of all leaves: full mass, stiffness, damping, gyroscopic and complex Fourier matrices."""

    def value(model):
        if measure == "threshold":
            found = duffing.parametric_threshold(model, bounds=(0.0, 8.0), throw=False)
            return jnp.stack([found.factor, found.omega])
        found = duffing.modulated_response(model, nr.Drive(1.1), throw=False)
        return jnp.concatenate([found.norm.ravel(), found.reciprocity_norm()[None]])

    rng = np.random.default_rng(0)
    leaves, tree = jax.tree_util.tree_flatten(eqx.filter(ANY, eqx.is_inexact_array))
    way = [rng.normal(size=leaf.shape) * (1 + 1j * jnp.iscomplexobj(leaf)) for leaf in leaves]
    way = [jnp.asarray(w if jnp.iscomplexobj(leaf) else w.real) for w, leaf in zip(way, leaves, strict=True)]
    way = jax.tree_util.tree_unflatten(tree, way)
    _, forward = eqx.filter_jvp(value, (ANY,), (way,))

    def moved(h):
        return eqx.apply_updates(ANY, jax.tree_util.tree_map(lambda w: h * w, way))

    h = 1e-5
    differences = (value(moved(h)) - value(moved(-h))) / (2 * h)
    assert np.all(np.isfinite(forward))
    np.testing.assert_allclose(forward, differences, rtol=1e-6, atol=1e-8)  # truncation h², round-off 1e-14/h


@pytest.mark.slow
def test_derivatives_and_batches_of_thresholds() -> None:
    def factor(x):
        model = pair(1.0, jnp.stack([0.0, x[0]]), x[1], x[2])
        return duffing.parametric_threshold(model, bounds=(0.05, 0.3)).factor

    x, h = jnp.array([1.2, 1.98, 0.03]), 1e-5
    differences = [(factor(x + h * d) - factor(x - h * d)) / (2 * h) for d in jnp.eye(3)]
    np.testing.assert_allclose(jax.grad(factor)(x), differences, rtol=1e-7)  # truncation h²; round-off 1e-15/h

    def found(omega_m):
        return duffing.parametric_threshold(pair(1.0, (0.0, np.pi / 2), omega_m), bounds=(0.0, 2.0), throw=False)

    omega_m = jnp.array([0.7, 1.086, 2.0, 2.6, 3.0])
    batch, loop = jax.vmap(found)(omega_m), [found(value).factor for value in omega_m]
    np.testing.assert_allclose(batch.factor, loop, rtol=1e-10)  # Newton's last step
    np.testing.assert_allclose(batch.omega[3], 1.0669878349, atol=1e-9)  # no half of ω_m: two modes are pumped together
    for value, factor_ in zip(omega_m, batch.factor, strict=True):
        # A thousandth to either side the largest multiplier is on its own side of the circle.
        sides = [pair(share * factor_, (0.0, np.pi / 2), value).stable for share in (0.999, 1.001)]
        assert sides == [True, False]
    with pytest.raises(RuntimeError, match="stable up to the highest factor"):
        duffing.parametric_threshold(pair(1.0, omega_m=5.0))
    with pytest.raises(RuntimeError, match="do not come to rest"):
        duffing.parametric_threshold(pair(1.0, omega_m=2.0), bounds=(0.5, 0.8))


@pytest.mark.slow
def test_the_fundamental_is_a_model_with_ports() -> None:
    model = duffing.Fundamental(pair())
    omegas = jnp.linspace(0.9, 1.2, 5)
    s = nr.scattering(model, omegas)
    every = jax.vmap(lambda omega: duffing.modulated_response(pair(), nr.Drive(omega, 2.0)).fundamental)(omegas)
    np.testing.assert_allclose(s, every / 2, rtol=1e-12)  # round-off
    response = nr.port_response(model, nr.Drive(1.05))
    whole = duffing.modulated_response(pair(), nr.Drive(1.05))
    phase = nr.metrics.nonreciprocal_phase(response, out=1, into=0)
    np.testing.assert_allclose(phase, whole.nonreciprocal_phase(), rtol=1e-12)
    with pytest.raises(RuntimeError, match="do not come to rest"):
        nr.port_response(duffing.Fundamental(pair(0.2, (0.0, 0.0), 2.0)), nr.Drive(1.05))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 2])
def test_a_modulation_locked_to_the_drive_folds_the_ladder(ratio) -> None:
    """ω_m = ratio · ω: a tone at −hω is one at hω, so that the phase between drive and modulation matters."""
    omega = 0.8
    model = pair(0.1, (0.3, 1.2), ratio * omega)
    ladder = duffing.modulated_response(model, nr.Drive(omega))
    orbit = nr.port_response(model.locked(ratio, odd=False), nr.Drive(omega))
    tones = dict(zip([1 + ratio * n for n in ladder.sidebands], jnp.moveaxis(ladder.b, -1, 0), strict=True))
    folded = [tones.get(h, 0.0) + np.conj(tones.get(-h, np.zeros((2, 2)))) for h in orbit.harmonics]
    mean = orbit.harmonics.index(0)
    folded[mean] = np.real(tones.get(0, np.zeros((2, 2))))
    np.testing.assert_allclose(np.moveaxis(orbit.b, -1, 0), folded, atol=1e-9)  # 9 harmonics leave 1e-11


@pytest.mark.slow
def test_cubic_springs_under_a_locked_modulation() -> None:
    """Harmonic balance against shooting: a parametrically driven Duffing pair above the threshold of the linear one."""
    drive = nr.Drive(1.0, 0.05)
    model = pair(0.2, (0.3, 0.3), 2.0)
    assert not model.stable  # linear springs would grow without end; cubic ones stop it
    network = model.locked(2, lambda x: x**3)
    assert network.odd  # half of the drive's period is one of the modulation's
    found, shot = duffing.find_orbits(network, drive), duffing.settle(network, drive, periods=400)
    nearest = jnp.nanargmin(jnp.sum((found.norm - shot.norm) ** 2, axis=-1))
    np.testing.assert_allclose(found.norm[nearest], shot.norm, atol=1e-6)  # 12 steps of order 8 a period; H = 9
    assert np.max(shot.norm) > 0.2
    assert jnp.abs(found.multipliers[nearest, 0]) < 1
