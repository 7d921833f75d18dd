"""Resonances: closed forms, ring-down, both vectors, derivatives; and lines in traces."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from diffnr import fdtd
from diffnr.fdtd.frequency_domain.frequency import solve
from diffnr.fdtd.frequency_domain.resonance import Resonances, _resonances, resonances
from diffnr.fdtd.scene.media import LIGHT
from diffnr.fdtd.time_domain.ring_down import ring_down

UM = 1e-6
THZ = 2e12 * np.pi
STEP = 1.5e-15  # below the longest of all scenes here, so that they share it
SILICON = fdtd.Dielectric(11.68)


def insb(bias: Any = -0.25, nu: Any = 5e-3, omega_p: Any = 0.4) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(eps_inf=15.6, omega_p=omega_p * 2 * THZ, nu=nu * 2 * THZ, omega_c=bias * 2 * THZ)


def cavity(bias: Any = -0.25, nu: Any = 5e-3, omega_p: Any = 0.4, line: Any = 0.0) -> fdtd.Scene:
    """A box of silicon with plasma in it, open to a guide that ends in a sponge; `line` moves one in the opening."""
    x = jnp.asarray(np.r_[np.linspace(0, 60, 31), 62, 64, np.linspace(66, 84, 10)] * UM).at[32].add(line * UM)
    grid = fdtd.Grid(x, np.linspace(0, 30 * UM, 16))
    wall = [fdtd.Rectangle([60 * UM, 64 * UM], [low * UM, high * UM]) for low, high in ((0, 22), (26, 30))]
    plasma = fdtd.Rectangle([66 * UM, 84 * UM], [0, 12 * UM]), insb(bias, nu, omega_p)
    objects = [plasma, *((part, fdtd.PerfectConductor()) for part in wall)]
    return fdtd.Scene.of(grid, SILICON, objects, fdtd.Boundaries(left=fdtd.Sponge(60 * UM, rate=2e13)))


def box_with_a_wall() -> fdtd.Scene:
    grid = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 30 * UM), 2 * UM)
    wall = fdtd.Rectangle([36 * UM, 40 * UM], [0.0, 30 * UM]), fdtd.SurfaceImpedance.of_conductor(2e4, 1.5 * THZ)
    plasma = fdtd.Rectangle([0.0, 20 * UM], [0.0, 10 * UM]), insb()
    return fdtd.Scene.of(grid, SILICON, [wall, plasma])


def before_a_layer() -> fdtd.Scene:
    grid = fdtd.Grid.uniform((0.0, 60 * UM), (0.0, 30 * UM), 2 * UM)
    wall = [fdtd.Rectangle([36 * UM, 40 * UM], [low * UM, high * UM]) for low, high in ((0, 22), (26, 30))]
    objects = [(part, fdtd.PerfectConductor()) for part in wall]
    return fdtd.Scene.of(grid, SILICON, objects, fdtd.Boundaries(left=fdtd.MatchedLayer(8, 11.68**0.5)))


def grating() -> fdtd.Scene:
    grid = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 30 * UM), 2 * UM)
    plasma = fdtd.Rectangle([10 * UM, 30 * UM], [0.0, 14 * UM]), insb()
    bloch = fdtd.Bloch(5e4)
    return fdtd.Scene.of(grid, SILICON, [plasma], fdtd.Boundaries(bottom=bloch, top=bloch))


@jax.jit
def found(scene: fdtd.Scene, omega: Array) -> Resonances:
    return resonances(fdtd.Update.of(scene, STEP), omega, 2)


def test_a_closed_box_has_the_frequencies_of_its_grid() -> None:
    """sin(ωΔt/2) = (cΔt/2n) √((2/Δx sin(mπΔx/2a))² + …), the scheme's own closed form."""
    (nx, ny), (a, b), n = (20, 14), (40 * UM, 30 * UM), 2.0
    grid = fdtd.Grid(np.linspace(0, a, nx + 1), np.linspace(0, b, ny + 1))
    scene = fdtd.Scene.of(grid, fdtd.Dielectric(n**2))
    update = fdtd.Update.of(scene)
    step = float(update.step)

    def closed(m: int, l: int) -> float:
        k = np.hypot(2 * nx / a * np.sin(np.pi * m / (2 * nx)), 2 * ny / b * np.sin(np.pi * l / (2 * ny)))
        return 2 / step * np.arcsin(LIGHT * step / (2 * n) * k)

    exact = np.array([closed(m, l) for m in range(6) for l in range(6) if m + l])
    exact = exact[np.argsort(np.abs(exact - 2.6 * THZ))][:4]
    modes = resonances(update, 2.6 * THZ, 4)
    assert modes.count == 4
    np.testing.assert_allclose(modes.omega, exact, rtol=1e-13)  # round-off (measured: 5e-16)
    assert np.max(np.abs(modes.gamma)) < 1e-13 * exact[0]  # likewise
    # A guess on the resonance, where M has no inverse, is none the worse.
    again = resonances(update, exact[0], 4)
    assert again.omega[0] == pytest.approx(exact[0], rel=1e-13)


def plasma_box(bias: float, nu: float = 0.0) -> fdtd.Scene:
    """Paper 3's guide, 75 µm of it between metal walls."""
    below = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM]), insb(bias, nu, omega_p=1.0)
    return fdtd.Scene.of(fdtd.Grid.uniform((0.0, 75 * UM), (0.0, 30 * UM), UM), SILICON, [below])


@pytest.mark.slow
def test_among_the_lattices_own_plasmons_are_the_standing_waves_of_the_guide() -> None:
    """Plasmons of the lattice are as many as cells of plasma, 1,350; k of a wave that stands is mπ/L on it too."""
    scene = plasma_box(0.0)
    update = fdtd.Update.of(scene)
    modes = resonances(update, 1.0 * THZ, 4)
    assert int(modes.count) == 4
    section = fdtd.CrossSection.of(scene, 30 * UM)
    waves = [fdtd.guide_modes(section, omega, step=update.step).forward.k[0] for omega in modes.omega]
    halves = np.asarray(waves) * 75 * UM / np.pi
    np.testing.assert_allclose(halves, [2, 3, 4, 5], rtol=1e-9)  # ω is right to 1e-12, and k to 1e-10
    assert np.all(np.abs(modes.gamma) < 1e-9 * modes.omega)


@pytest.mark.slow
def test_a_biased_plasma_has_the_same_resonances_at_both_biases() -> None:
    scenes = [plasma_box(bias, 5e-3) for bias in (-0.25, 0.25)]
    lines = [resonances(fdtd.Update.of(scene), 1.0 * THZ, 2).omega for scene in scenes]
    assert np.all(np.isfinite(lines[0]))
    np.testing.assert_allclose(*lines, rtol=1e-11)  # round-off
    lossless = plasma_box(0.25)
    first = resonances(fdtd.Update.of(lossless), 0.9 * THZ).omega[0]
    assert float(first) == pytest.approx(float(lines[0][0]), rel=1e-4)  # γ²/ω²
    # Once around the box: there as the one wave and back as the other, whose phases at the walls are small.
    section = fdtd.CrossSection.of(lossless, 30 * UM)
    for omega, rounds in zip(lines[0], (2, 3), strict=True):
        waves = fdtd.guide_modes(section, omega)
        phase = (waves.forward.k[0] - waves.backward.k[0]) * 75 * UM / (2 * np.pi)
        assert float(phase) == pytest.approx(rounds, abs=0.2)  # what walls add


SCENES = [pytest.param(each, marks=pytest.mark.slow) for each in (cavity, box_with_a_wall, before_a_layer, grating)]


@pytest.mark.parametrize("scene", SCENES)
def test_a_resonance_turns_and_decays_in_time(scene: Callable[[], fdtd.Scene]) -> None:
    """The whole state, begun as the resonance's, is multiplied by e^{(iω − γ)Δt} in every step."""
    filled = scene()
    modes = found(filled, jnp.asarray(1.5 * THZ))
    assert modes.count == 2
    stored, end, expected = turned(filled, modes)
    assert float(stored) == pytest.approx(1.0, rel=1e-12)  # J/m, by definition
    for name, part, there in zip(fdtd.Fields._fields[:5], end, expected, strict=False):
        # Round-off of 500 steps, and of the vector, whose E and H differ by 2/ωΔt in their equations.
        assert np.max(np.abs(part - there)) <= 1e-11 * np.max(np.abs(there)), name


@jax.jit
def turned(scene: fdtd.Scene, modes: Resonances) -> tuple[Array, fdtd.Fields, fdtd.Fields]:
    """The mean energy of a resonance's fields; these after 500 steps; and multiplied by what it says."""
    update, fields = fdtd.Update.of(scene, STEP), jax.tree_util.tree_map(lambda part: part[0], modes.fields)
    omega = modes.omega[0] + 1j * modes.gamma[0]
    back = jnp.exp(-0.5j * omega * STEP)
    begin = jax.tree_util.tree_map(lambda part: part * back, fields)._replace(ex=fields.ex, ey=fields.ey)
    if fields.memory is not None:
        begin = begin._replace(memory=tuple((m * back, e) for m, e in fields.memory))
    end = lax.fori_loop(0, 500, lambda _, state: update(state), begin)
    after = jax.tree_util.tree_map(lambda part: part * jnp.exp(500j * omega * STEP), begin)
    return fdtd.energy(update, begin) / 2, end, after


@pytest.mark.slow
def test_turning_the_bias_exchanges_right_and_left() -> None:
    there, back = (found(cavity(bias), jnp.asarray(1.5 * THZ)) for bias in (-0.25, 0.25))
    # The spectra are one: M(−B) is the transpose of M(B). To round-off.
    np.testing.assert_allclose(there.omega, back.omega, rtol=1e-13)
    np.testing.assert_allclose(there.gamma, back.gamma, rtol=1e-11)
    scene = cavity()
    update, (between_x, between_y) = fdtd.Update.of(scene, STEP), scene.between
    areas = scene.grid.dx[:, None] * between_y, between_x[:, None] * scene.grid.dy
    inner = (slice(None), slice(1, -1)), (slice(1, -1), slice(None))
    left, expected = [], []
    for y, x, area, inverse, edges in zip(
        there.left, back.fields[:2], areas, (update.ex, update.ey), inner, strict=True
    ):
        alive = inverse > 0  # where E does not move nothing pushes it, and y has no meaning
        left.append(y[0][edges][alive])
        expected.append((x[0][edges] * area)[alive] / inverse[alive])
    left, expected = np.concatenate(left), np.concatenate(expected)
    ratio = np.vdot(expected, left) / np.vdot(expected, expected)
    assert np.max(np.abs(left - ratio * expected)) < 1e-11 * np.max(np.abs(left))  # round-off (measured: 4e-13)


@pytest.mark.slow
def test_near_a_resonance_the_answer_is_its_pole() -> None:
    scene = cavity()
    update, modes = fdtd.Update.of(scene, STEP), found(scene, jnp.asarray(1.5 * THZ))
    omega = complex(modes.omega[0] + 1j * modes.gamma[0])
    b = [jax.random.normal(jax.random.key(k), part.shape[1:]) * (1 + 1j) for k, part in enumerate(modes.left)]
    away = 1e-7 * omega
    fields = jax.jit(solve)(update, omega + away, *b)
    expected = modes.fields.ex[0] * sum(jnp.sum(y[0] * part) for y, part in zip(modes.left, b, strict=True)) / away
    # What is no pole is below by the detuning over γ.
    assert np.max(np.abs(fields.ex - expected)) < 1e-4 * np.max(np.abs(expected))


@pytest.mark.slow
def test_a_ring_down_has_the_same_lines() -> None:
    scene = cavity()
    update = fdtd.Update.of(scene, STEP)
    modes = found(scene, jnp.asarray(1.5 * THZ))
    source, *probes = (fdtd.Functional.at(scene.grid, x * UM, y * UM) for x, y in ((74, 25), (70, 20), (80, 4)))
    pulse = fdtd.Pulse(1.4 * THZ, 6e-13)
    begin = round(8e-12 / STEP)  # five widths after the pulse's centre
    run = fdtd.propagate(update, begin + round(40e-12 / STEP), sources=[(source, pulse)], probes=probes)
    lines = ring_down(run.traces[:, begin:], STEP, band=(1.0 * THZ, 1.8 * THZ))
    assert lines.count >= 1
    # The pencil's tolerance, 10⁻¹⁰ of the largest singular value, by the line's width (measured: 10⁻¹² and 2·10⁻¹¹).
    assert lines.omega[0] == pytest.approx(float(modes.omega[0]), rel=1e-9)
    assert lines.gamma[0] == pytest.approx(float(modes.gamma[0]), rel=1e-7)
    # One mode has the same shape at all probes: ratios of amplitudes are those of the fields.
    read = [complex(probe.read(scene.grid, jax.tree_util.tree_map(lambda f: f[0], modes.fields))) for probe in probes]
    assert complex(lines.amplitudes[1, 0] / lines.amplitudes[0, 0]) == pytest.approx(read[1] / read[0], rel=1e-9)


NUMBERS = {"bias": -0.25, "nu": 5e-3, "omega_p": 0.4, "line": 0.1}


@pytest.mark.slow
def test_derivatives_are_those_of_central_differences() -> None:
    def rates(numbers: dict[str, Any]) -> Array:
        scene = cavity(**numbers)
        modes = resonances(fdtd.Update.of(scene, STEP), 1.5 * THZ, 2)
        return jnp.stack([modes.omega[0], modes.gamma[0]])

    both = jax.jit(jax.jacrev(lambda numbers: (rates(numbers),) * 2, has_aux=True))
    slopes = both(NUMBERS)[0]
    for name, number in NUMBERS.items():
        at = lambda h, name=name, number=number: np.asarray(both({**NUMBERS, name: number + h})[1])  # noqa: E731
        h = 1e-3
        # Of fourth order: errors (h/scale)⁴, and round-off of ω, 10⁻¹⁵, over h.
        differences = (8 * (at(h) - at(-h)) - at(2 * h) + at(-2 * h)) / (12 * h)
        np.testing.assert_allclose(slopes[name], differences, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_vmap_is_the_loop() -> None:
    scene = cavity()
    guesses = jnp.asarray([1.5, 1.6]) * THZ
    loop = [found(scene, guess).omega for guess in guesses]
    # Round-off: elements of a batch are iterated longer than they need.
    np.testing.assert_allclose(jax.vmap(lambda guess: found(scene, guess).omega)(guesses), loop, rtol=1e-12)


@pytest.mark.slow
def test_modes_that_do_not_arrive_are_nan_and_said() -> None:
    scene = cavity()
    update = fdtd.Update.of(scene, STEP)
    few = _resonances(update, jnp.asarray(1.9 * THZ), 2, 1)
    assert few.count == 0
    assert all(np.all(np.isnan(part)) for part in (few.omega, few.gamma, few.fields.hz))
    with pytest.raises(RuntimeError, match=r"^No resonance was found: .* raise max_steps"):
        resonances(update, 1.9 * THZ, 2, max_steps=1)
    said = resonances(update, 1.9 * THZ, 2, max_steps=1, throw=False)
    assert not said.converged
    assert said.message.startswith("No resonance was found")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"omega": -1.0}, "Argument omega must have a positive real part, but was -1"),
        ({"omega": [THZ, THZ]}, r"Argument omega must be one number \(use vmap for many\), but was of shape \(2,\)"),
        ({"num_modes": 0}, "Argument num_modes must be a whole number between 1 and .*, but was 0"),
        ({"dtype": jnp.float32}, r"Argument update must be in float64 \(jax.config.update.*, but was float32"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    scene = cavity()
    update = fdtd.Update.of(scene, STEP, dtype=changes.get("dtype"))
    with pytest.raises(ValueError, match=sentence):
        resonances(update, changes.get("omega", 1.5 * THZ), changes.get("num_modes", 1))


LINES = [(1.24, 1.24 * THZ / 12_000, 1.0), (1.31, 5e9, 0.3j), (1.1, 2e10, 0.1), (2.5, 1e10, 2.0), (0.3, 1e11, 1.0)]


def ringing(duration: float, step: float = 1e-15) -> np.ndarray:
    t = np.arange(round(duration / step)) * step
    return np.sum([np.real(a * np.exp((1j * f * THZ - gamma) * t)) for f, gamma, a in LINES], axis=0)


@pytest.mark.parametrize("duration", [5e-12, 50e-12, 500e-12])
def test_lines_of_a_sum_of_exponentials(duration: float) -> None:
    lines = ring_down(ringing(duration), 1e-15, band=(1.0 * THZ, 1.5 * THZ))
    assert lines.count == 3
    for k, (f, gamma, a) in enumerate(LINES[:3]):
        # Round-off of the pencil, by the resolution: .1 THz and γ of 10⁻³ of ω in 5 ps are its hardest case.
        assert lines.omega[k] == pytest.approx(f * THZ, rel=1e-9)
        assert lines.gamma[k] == pytest.approx(gamma, rel=1e-5)
        assert complex(lines.amplitudes[0, k]) == pytest.approx(a, rel=1e-6)
    assert np.all(np.isnan(jnp.stack([lines.omega, lines.gamma])[:, 3:]))


def test_noise_makes_lines_less_exact_not_wrong() -> None:
    noise = 1e-6 * np.random.default_rng(0).normal(size=50_000)
    lines = ring_down(ringing(50e-12) + noise, 1e-15, band=(1.0 * THZ, 1.5 * THZ), tolerance=1e-4)
    assert lines.count == 3
    for k, (f, gamma, _) in enumerate(LINES[:3]):
        assert lines.omega[k] == pytest.approx(f * THZ, rel=1e-7)  # the noise over √samples and ωT
        assert lines.gamma[k] == pytest.approx(gamma, rel=1e-4)  # Q times as much


def test_complex_traces_have_lines_of_either_sign_apart() -> None:
    t = np.arange(50_000) * 1e-15
    trace = np.exp((1j * 1.24 * THZ - 1e10) * t) + 0.5 * np.exp((-1j * 1.3 * THZ - 2e10) * t)
    lines = ring_down(trace, 1e-15, band=(1.0 * THZ, 1.5 * THZ), num_lines=2)
    assert lines.count == 1
    assert complex(lines.amplitudes[0, 0]) == pytest.approx(1.0, rel=1e-9)  # round-off of the pencil
    assert lines.q[0] == pytest.approx(1.24 * THZ / 2e10, rel=1e-8)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"band": (2.0, 1.0)}, r"Argument band must be \(lowest, highest\), in this order, but was"),
        ({"band": (1.0, 1e16)}, r"Argument band must be \(lowest, highest\) between 0 and"),
        ({"step": 0.0}, "Argument step must be positive, but was 0"),
        (
            {"traces": np.ones(100)},
            "Argument traces must last for three periods of the band's middle at least, but was",
        ),
        ({"traces": np.full(9000, np.nan)}, "Argument traces must be finite, but was"),
    ],
)
def test_traces_that_cannot_be_are_refused(changes: dict[str, Any], sentence: str) -> None:
    arguments = {"traces": ringing(5e-12), "step": 1e-15, "band": (1.0 * THZ, 1.5 * THZ), **changes}
    with pytest.raises(ValueError, match=sentence):
        ring_down(arguments.pop("traces"), arguments.pop("step"), **arguments)
