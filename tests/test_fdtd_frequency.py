"""The field at one frequency: equal to the run in time, reciprocal, differentiable, factorised once."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import fdtd
from diffnr.fdtd.frequency_domain import direct_solve
from diffnr.fdtd.frequency_domain.frequency import SteadyField, frequency
from slow import slow_except

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA = 1.5 * THZ
GRID = fdtd.Grid.refined([0.0, 60 * UM], [0.0, 18 * UM, 30 * UM], 2 * UM, fine_y={18 * UM: UM})
SPONGES = fdtd.Sponge(24 * UM, rate=3e13), fdtd.Sponge(24 * UM, rate=3e13)


def insb(bias: float | Array = -0.25, nu: float | Array = 0.05) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, 2 * THZ, nu * 2 * THZ, bias * 2 * THZ)


def guide(bias: float | Array = -0.25, nu: float | Array = 0.05, grid: fdtd.Grid = GRID) -> fdtd.Scene:
    below = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM])
    return fdtd.Scene.of(grid, fdtd.Dielectric(11.68), [(below, insb(bias, nu))], fdtd.Boundaries(*SPONGES))


def walled() -> fdtd.Scene:
    wall = fdtd.Rectangle([52 * UM, 60 * UM], [0.0, 30 * UM]), fdtd.SurfaceImpedance.of_conductor(2000.0, 1.24 * THZ)
    plasma = fdtd.Rectangle([10 * UM, 50 * UM], [0.0, 18 * UM]), insb()
    return fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), [plasma, wall], fdtd.Boundaries(left=SPONGES[0]))


def layered() -> fdtd.Scene:
    layer = fdtd.MatchedLayer(6, 2.0)
    grid = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 40 * UM), 2 * UM)
    return fdtd.Scene.of(grid, fdtd.Dielectric(4.0), boundaries=fdtd.Boundaries(layer, layer, layer, layer))


def repeated(wavenumber: float | None, bias: float = -0.25, along_x: fdtd.Bloch | None = None) -> fdtd.Scene:
    plasma = fdtd.Rectangle([20 * UM, 40 * UM], [0.0, 18 * UM]), insb(bias)
    bloch = fdtd.Bloch(wavenumber)
    return fdtd.Scene.of(
        GRID,
        fdtd.Dielectric(11.68),
        [plasma],
        fdtd.Boundaries(*(SPONGES if along_x is None else (along_x, along_x)), bloch, bloch),
    )


SCENES: dict[str, Callable[[], fdtd.Scene]] = {
    "plasma": guide,
    "wall": walled,
    "layers": layered,
    "periodic": lambda: repeated(None),
    "bloch": lambda: repeated(3e4),
    "lattice": lambda: repeated(3e4, along_x=fdtd.Bloch(-2e4)),
}


def functional(component: str, seed: int, first_line: bool = False) -> fdtd.Functional:
    """Random weights over a block somewhere."""
    rng = np.random.default_rng(seed)
    corner = int(rng.integers(3, 14)), 0 if first_line else int(rng.integers(2, 15))
    return fdtd.Functional(component, corner, rng.normal(size=(3, 2)))


@pytest.mark.parametrize("name", slow_except(SCENES, 1))
def test_it_is_where_a_run_in_time_stays(name: str) -> None:
    """A run that begins with the steady fields, each at its own time, reads Re r e^{iωt} from the first step on."""
    scene, complex_fields = SCENES[name](), name in ("bloch", "lattice")
    update = fdtd.Update.of(scene)
    components = ("hz", "ex", "ey")
    # Ex on the first line of a grid that repeats, where the last line goes with it.
    sources = [
        functional(component, k, name in ("periodic", "bloch", "lattice")) for k, component in enumerate(components)
    ]
    probes = [functional(component, 5 + k) for k, component in enumerate(components)]
    strengths = 1.0 + 0.5j, -2.0j, -0.7 + 0.2j
    found = frequency(update, OMEGA, sources=list(zip(sources, strengths, strict=True)), probes=probes)
    part = (lambda x: x) if complex_fields else jnp.real
    earlier, steady = jnp.exp(-0.5j * OMEGA * update.step), found.fields
    begin = jax.tree_util.tree_map(lambda x: part(x * earlier), steady)._replace(ex=part(steady.ex), ey=part(steady.ey))
    if steady.memory is not None:
        begin = begin._replace(memory=tuple((part(m * earlier), part(e)) for m, e in steady.memory))
    waves = [lambda t, s=s: part(s * jnp.exp(1j * OMEGA * t)) for s in strengths]
    run = fdtd.propagate(update, 1000, sources=list(zip(sources, waves, strict=True)), probes=probes, fields=begin)
    expected = part(found.readings[:, None] * jnp.exp(1j * OMEGA * run.ts))
    scale = np.max(np.abs(expected), axis=1, keepdims=True)
    # Round-off of the solve, whose condition is about (2/ωΔt)² = 10⁴ (measured: below 10⁻¹²).
    assert np.max(np.abs(run.traces - expected) / scale) < 1e-11


def test_it_is_where_a_tone_from_rest_arrives() -> None:
    """By weights that are complex as well: a source's turn the tone, a probe's give a complex reading."""
    scene = guide()
    update, source, probe = fdtd.Update.of(scene), functional("hz", 1), functional("hz", 2)
    source, turned = turned_of(source, 0.7), turned_of(probe, -1.1)
    tone = fdtd.Tone(OMEGA, 4e-12, 0.4 - 0.7)
    run = fdtd.propagate(update, 15_000, sources=[(source, tone)], probes=[probe, turned])
    readings = frequency(update, OMEGA, sources=[(source, np.exp(0.4j - 0.7j))], probes=[probe, turned]).readings
    late = slice(-100, None)
    expected = jnp.real(readings[0] * jnp.exp(1j * OMEGA * run.ts[0, late]))
    # 150 ps after the rise the transients are at 10⁻¹¹ of the field.
    assert np.max(np.abs(run.traces[0, late] - expected)) < 1e-10 * abs(readings[0])
    np.testing.assert_allclose(readings[1], np.exp(-1.1j) * readings[0], rtol=1e-12)
    np.testing.assert_allclose(run.traces[1], np.exp(-1.1j) * run.traces[0], atol=1e-14 * abs(readings[0]))  # of sums


def turned_of(functional: fdtd.Functional, phase: float) -> fdtd.Functional:
    """The same with its weights turned."""
    return fdtd.Functional(functional.component, functional.corner, np.exp(1j * phase) * functional.weights)


def test_complex_weights_in_time_ask_for_a_waveform_that_can_be_turned() -> None:
    source = turned_of(functional("hz", 1), 0.3)
    must = "have real weights in time, or a Pulse or a Tone as waveform, whose phase they turn, but was complex ones"
    with pytest.raises(ValueError, match=f"Argument sources must {must}"):
        fdtd.propagate(fdtd.Update.of(guide()), 10, sources=[(source, jnp.cos)])


def test_sources_and_probes_exchange_at_the_turned_bias() -> None:
    """Of all pairs of functionals, two of each component: G_ab(B) = ± G_ba(−B), the sign that of E with Hz."""
    functionals = [functional(component, 3 * k + n) for k, component in enumerate(("hz", "ex", "ey")) for n in (0, 1)]

    @jax.jit
    def matrix(scene: fdtd.Scene, update: fdtd.Update) -> Array:
        def column(strengths: Array) -> Array:
            sources = list(zip(functionals, strengths, strict=True))
            return frequency(update, OMEGA, sources=sources, probes=functionals).readings

        return jax.vmap(column, out_axes=1)(jnp.eye(6))

    there, back = (matrix(scene, fdtd.Update.of(scene)) for scene in (guide(-0.25), guide(0.25)))
    electric = np.arange(6) >= 2
    sign = np.where(electric[:, None] == electric, 1, -1)
    size = np.abs(there)
    assert np.max(np.abs(there - sign * back.T) / size) < 1e-12  # the bound
    assert np.max((np.abs(there - sign * there.T) / size)[~np.eye(6, dtype=bool)]) > 0.1


@pytest.fixture(scope="module")
def power() -> Callable[..., Array]:
    """|reading|² of a probe as a function of numbers of the scene, small enough to be compiled quickly."""
    sources = [(functional("hz", 1), 1.0), (functional("ey", 3), 0.5j)]
    weights = np.random.default_rng(0).normal(size=(4, 4))
    probes = [fdtd.Functional("hz", (20, 5), weights), fdtd.Functional("ex", (8, 3), weights)]

    def power(numbers: dict[str, Array]) -> Array:
        lines = GRID.y.at[10].add(numbers["line"] * UM)
        scene = guide(numbers["bias"], numbers["nu"], fdtd.Grid(GRID.x, lines))
        scene = eqx.tree_at(lambda s: s.eps, scene, scene.eps * numbers["eps"])
        update = fdtd.Update.of(scene, numbers["step"])
        readings = frequency(update, numbers["omega"] * THZ, sources=sources, probes=probes).readings
        return jnp.sum(jnp.abs(readings * jnp.asarray([1.0, 10.0])) ** 2)

    return jax.jit(power)


NUMBERS = {
    "line": jnp.asarray(0.1),
    "bias": jnp.asarray(-0.25),
    "nu": jnp.asarray(0.05),
    "eps": 1 + 0.1 * jax.random.uniform(jax.random.key(0), GRID.shape),
    "step": jnp.asarray(8e-15),
    "omega": jnp.asarray(1.4),
}


TANGENTS = {name: jax.random.normal(jax.random.key(k), x.shape) for k, (name, x) in enumerate(NUMBERS.items())}
TANGENTS["step"] *= 1e-15


@pytest.fixture(scope="module")
def gradient(power: Callable[..., Array]) -> Callable[..., dict[str, Array]]:
    return jax.jit(jax.grad(power))


def differences(along: Callable[[float], Any], h: float = 1e-4) -> Any:
    """The slope, to fourth order: its own error is (h/scale)⁴ and round-off over h, below 10⁻⁷."""
    return (8 * (along(h) - along(-h)) - along(2 * h) + along(-2 * h)) / (12 * h)


@pytest.mark.parametrize("name", slow_except(NUMBERS, 1, 3))
def test_gradients_are_those_of_central_differences(name: str, power: Callable, gradient: Callable) -> None:
    slope = differences(lambda h: float(power({**NUMBERS, name: NUMBERS[name] + h * TANGENTS[name]})))
    assert float(jnp.sum(gradient(NUMBERS)[name] * TANGENTS[name])) == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_forward_mode_and_second_derivatives(gradient: Callable) -> None:
    """Forward over reverse: the gradient's own derivative in ω."""
    at = lambda h: {**NUMBERS, "omega": NUMBERS["omega"] + h}  # noqa: E731
    again, curvature = jax.jit(lambda h: jax.jvp(lambda h: gradient(at(h)), (h,), (jnp.ones(()),)))(0.0)
    assert again["bias"] == pytest.approx(float(gradient(NUMBERS)["bias"]), rel=1e-9)  # round-off and condition
    for name in ("bias", "omega", "line"):
        slope = differences(lambda h, name=name: float(gradient(at(h))[name]))
        assert float(curvature[name]) == pytest.approx(slope, rel=1e-6), name


def test_jit_and_vmap_are_the_loop() -> None:
    scene, source, probe = guide(), functional("hz", 1), functional("ey", 2)
    update = fdtd.Update.of(scene)

    def reading(omega: Any, strength: Any) -> Array:
        return frequency(update, omega, sources=[(source, strength)], probes=[probe]).readings[0]

    omegas = jnp.asarray([1.2, 1.5, 1.6]) * THZ
    loop = np.asarray([reading(omega, 1.0) for omega in omegas])
    # Round-off only: other programs add up in another order, times the condition of the system.
    np.testing.assert_allclose(jax.jit(reading)(omegas[0], 1.0), loop[0], rtol=1e-11)
    np.testing.assert_allclose(jax.vmap(lambda omega: reading(omega, 1.0))(omegas), loop, rtol=1e-11)


def test_right_sides_and_gradients_share_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    splu = direct_solve.splu
    monkeypatch.setattr(direct_solve, "splu", lambda *args, **options: made.append(1) or splu(*args, **options))
    direct_solve._kept.clear()
    scene, source, probes = guide(), functional("hz", 1), [functional("ey", 2)]
    update = fdtd.Update.of(scene)

    def power(strength: Array, omega: Array) -> Array:
        return jnp.abs(frequency(update, omega, sources=[(source, strength)], probes=probes).readings[0]) ** 2

    many, omega, strengths = jax.jit(jax.vmap(power, (0, None))), jnp.asarray(1.3 * THZ), jnp.arange(1.0, 5.0)
    many(strengths, omega)
    many(-strengths, omega)
    assert len(made) == 1
    jax.jit(jax.grad(power, argnums=(0, 1)))(1.0, omega)
    assert len(made) == 1
    many(strengths, 1.01 * omega)
    assert len(made) == 2


def test_factors_beyond_the_room_for_them_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    direct_solve._kept.clear()
    monkeypatch.setattr(direct_solve, "KEPT", 0)
    scene = guide()
    for omega in (1.3 * THZ, 1.31 * THZ):
        frequency(fdtd.Update.of(scene), omega, sources=[(functional("hz", 1), 1.0)])
    assert len(direct_solve._kept) == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much memory is held")
def test_factors_give_their_memory_back_whichever_thread_asked_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """SuperLU frees nothing in another thread than the one that made it (scipy's issue 15921)."""
    monkeypatch.setattr(direct_solve, "KEPT", 0)
    pattern = direct_solve._pattern(200, 80, (False, False))
    entries = np.where(pattern.rows == pattern.columns, 10.0, 1.0) + 0j
    right = np.ones(pattern.order.size, complex)

    def held(calls: int) -> float:
        for call in range(calls):
            inverse = direct_solve.Inverse(pattern, (calls + call) * entries)
            asked = threading.Thread(target=inverse, args=(right,))
            asked.start()
            asked.join()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    before, after = held(3), held(12)
    (factors,) = direct_solve._kept.values()
    assert after - before < 5 * 20 * factors.nnz  # 12 with the leak; 0 to 1 without


@pytest.mark.slow
def test_pivots_are_sought_where_the_diagonal_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 2 cos ωΔt = 2 − 2 (cΔt)²/(ε Δy²) M's diagonal is 0 wherever it is that of a uniform medium."""
    kinds = []
    factorised = direct_solve._factorised
    monkeypatch.setattr(
        direct_solve, "_factorised", lambda m, pivoting: kinds.append(pivoting) or factorised(m, pivoting)
    )
    direct_solve._kept.clear()
    grid = fdtd.Grid.uniform((0.0, 20 * UM), (0.0, 20 * UM), UM)
    sponge = fdtd.Sponge(8 * UM, rate=1e14)
    scene = fdtd.Scene.of(grid, fdtd.Dielectric(1.0), boundaries=fdtd.Boundaries(left=sponge))
    update = fdtd.Update.of(scene)
    omega = float(np.arccos(1 - (update.light_step / UM) ** 2) / update.step)
    right = jnp.zeros((20, 21), complex).at[12, 10].set(1.0), jnp.zeros((21, 20), complex)
    z = jnp.exp(1j * omega * update.step)
    found = jax.jit(direct_solve.steady_edges)(update, z, right)
    assert kinds == [False, True]
    rest = [np.max(np.abs(a - b)) for a, b in zip(direct_solve.operator(update, z, found), right, strict=True)]
    assert max(rest) < 1e-12 * max(float(np.max(np.abs(part))) for part in found)  # round-off


def test_float32_is_solved_in_float64() -> None:
    scene = guide()
    double = frequency(fdtd.Update.of(scene), OMEGA, sources=[(functional("hz", 1), 1.0)])
    single = frequency(fdtd.Update.of(scene, dtype=jnp.float32), OMEGA, sources=[(functional("hz", 1), 1.0)])
    assert single.fields.ex.dtype == jnp.complex64
    # The update's numbers are those of float32, and the solution as sensitive to them as ω/Δω of its resonances.
    assert np.max(np.abs(single.fields.hz - double.fields.hz)) < 1e-5 * np.max(np.abs(double.fields.hz))


def test_a_field_that_is_not_finite_is_said_to_be_so() -> None:
    scene = guide()
    update = fdtd.Update.of(scene)
    update = eqx.tree_at(lambda u: u.ex, update, update.ex.at[4, 4].set(jnp.nan))

    def field(omega: Any, throw: bool = False) -> SteadyField:
        return frequency(update, omega, sources=[(functional("hz", 1), 1.0)], throw=throw)

    sentence = "The solve met a value that is not finite"
    with pytest.raises(RuntimeError, match=f"^{sentence}"):
        field(OMEGA, throw=True)
    assert field(OMEGA).message.startswith(sentence)
    assert not field(OMEGA).converged
    assert np.all(np.isnan(jax.jit(lambda omega: field(omega).fields.ex)(OMEGA)))


def test_a_frequency_that_the_cells_do_not_resolve_is_refused() -> None:
    update = fdtd.Update.of(guide())
    limit = 2 * np.pi * 299792458.0 / (15.6**0.5 * 2 * UM * 6)  # six cells of 2 µm a wavelength in ε∞ = 15.6
    asked = {"sources": [(functional("hz", 1), 1.0)]}
    assert frequency(update, 0.999 * limit, **asked).message == "The solve converged."
    with pytest.raises(
        ValueError, match=r"^Argument omega must leave at least 6 cells a wavelength .* of 2 µm, but was"
    ):
        frequency(update, 1.001 * limit, **asked)
    with pytest.raises(ValueError, match=r"^Argument omega must be below π over the step, .* rad/s, but was"):
        frequency(update, 1.001 * np.pi / float(update.step), **asked)
    # Inside of jit as well, where a number came back; and whatever else it cannot carry.
    traced = jax.jit(lambda omega: frequency(update, omega, throw=False, probes=[functional("hz", 1)], **asked))
    for omega in (1.001 * limit, 2.1 * np.pi / float(update.step), 0.0, -OMEGA):
        found = traced(omega)
        assert found.message.startswith("The step or the cells are too coarse for this frequency")
        assert np.all(np.isnan(found.readings))
    assert traced(0.999 * limit).converged


@pytest.mark.parametrize(
    ("omega", "corner", "sentence"),
    [
        (-1.0, (3, 3), "Argument omega must have a positive real part, but was -1"),
        (np.nan, (3, 3), "Argument omega must be finite, but was nan"),
        ([OMEGA, OMEGA], (3, 3), r"Argument omega must be one number \(use vmap for many\), but was of shape \(2,\)"),
        (OMEGA, (29, 3), "Argument sources must have blocks inside of the 30 × .* points of hz, but was rows 29 to 32"),
    ],
)
def test_what_cannot_be_is_refused(omega: Any, corner: tuple[int, int], sentence: str) -> None:
    scene, source = guide(), fdtd.Functional("hz", corner, np.ones((3, 2)))
    with pytest.raises(ValueError, match=sentence):
        frequency(fdtd.Update.of(scene), omega, sources=[(source, 1.0)])
