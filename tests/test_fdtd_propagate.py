"""Sources and probes: reciprocity to round-off between any two of them, pulses in cavities, runs in parts."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT
from slow import slow_except

UM = 1e-6
OMEGA_P = 4e12 * np.pi
GRID = fdtd.Grid.refined([0.0, 40 * UM], [0.0, 18 * UM, 30 * UM], UM, fine_y={18 * UM: 0.3 * UM})


def scene(bias: float | Array = -0.25, nu: float = 0.01) -> fdtd.Scene:
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * OMEGA_P)
    return fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), [(fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM]), insb)])


def functional(component: str, seed: int) -> fdtd.Functional:
    """Random weights over a block somewhere."""
    rng = np.random.default_rng(seed)
    return fdtd.Functional(component, (int(rng.integers(2, 30)), int(rng.integers(2, 25))), rng.normal(size=(4, 3)))


PULSE = fdtd.Pulse(2e12 * np.pi * 1.5, 2e-13)


@pytest.mark.parametrize("here", slow_except(["hz", "ex", "ey"], 0))
@pytest.mark.parametrize("there", ["hz", "ex", "ey"])
def test_source_and_probe_exchange_at_the_turned_bias(here: str, there: str) -> None:
    a, b = functional(here, 1), functional(there, 2)

    def answer(bias: float, source: fdtd.Functional, probe: fdtd.Functional) -> Array:
        filled = scene(bias)
        update = fdtd.Update.of(filled)
        # E is driven half a step later than Hz: a pulse that begins as much later gives both the same samples.
        late = 0.0 if source.component == "hz" else 0.5 * update.step
        pulse = fdtd.Pulse(PULSE.omega, PULSE.width, PULSE.centre + late)
        return fdtd.propagate(update, 1500, sources=[(source, pulse)], probes=[probe]).traces[0]

    forth, back, same = answer(-0.25, a, b), answer(0.25, b, a), answer(-0.25, b, a)
    sign, scale = 1 if (here == "hz") == (there == "hz") else -1, np.max(np.abs(forth))
    # From E to Hz it takes one step more than from Hz to E.
    if here == "hz" and there != "hz":
        forth, back, same = forth[:-1], back[1:], same[1:]
    elif here != "hz" and there == "hz":
        forth, back, same = forth[1:], back[:-1], same[:-1]
    assert np.max(np.abs(forth - sign * back)) < 1e-12 * scale  # the bound
    assert np.max(np.abs(forth - sign * same)) > 1e-3 * scale


@pytest.mark.slow
def test_a_pulse_finds_the_resonances_of_a_cavity() -> None:
    a, b, n = 40 * UM, 30 * UM, 2.0
    grid = fdtd.Grid.uniform((0.0, a), (0.0, b), 0.5 * UM)
    filled = fdtd.Scene.of(grid, fdtd.Dielectric(n**2))
    source, probe = fdtd.Functional.at(grid, 3 * UM, 4 * UM), fdtd.Functional.at(grid, 37 * UM, 5 * UM)
    update = fdtd.Update.of(filled)
    recorded = fdtd.propagate(update, 2**15, sources=[(source, PULSE)], probes=[probe])
    windowed = fdtd.Recording(recorded.traces * np.hanning(2**15), recorded.ts, (), recorded.fields)
    modes = [(m, l) for m in range(6) for l in range(5) if m + l]
    exact = np.sort([np.pi * LIGHT / n * np.hypot(m / a, l / b) for m, l in modes])[:6]
    width = 2 * np.pi / (2**15 * float(update.step))
    for omega in exact:
        offsets = np.linspace(-6, 6, 49) * width
        power = np.abs(windowed.spectrum(omega + offsets)[0])
        best = offsets[int(np.argmax(power))]
        # The record's width, and the grid's own dispersion, (kΔ)²/24.
        assert abs(best) < width + omega * (omega * n / LIGHT * 0.5 * UM) ** 2 / 24
        assert np.max(power) > 3 * np.median(power)


def test_a_run_in_parts_is_the_run_in_one() -> None:
    filled = scene()
    update, source, probe = fdtd.Update.of(filled), functional("hz", 3), functional("ey", 4)
    whole = fdtd.propagate(update, 900, sources=[(source, PULSE)], probes=[probe])
    first = fdtd.propagate(update, 400, sources=[(source, PULSE)], probes=[probe])
    rest = fdtd.propagate(update, 500, sources=[(source, PULSE)], probes=[probe], fields=first.fields, begin=400)
    np.testing.assert_array_equal(jnp.concatenate([first.traces, rest.traces], axis=1), whole.traces)
    np.testing.assert_array_equal(jnp.concatenate([first.ts, rest.ts], axis=1), whole.ts)
    np.testing.assert_array_equal(rest.fields.hz, whole.fields.hz)


def test_fields_that_stop_being_finite_say_where_and_are_kept() -> None:
    filled = scene()
    update, source = fdtd.Update.of(filled), fdtd.Functional.at(GRID, 20 * UM, 25 * UM)
    late = 700.5 * float(update.step)
    broken = lambda t: jnp.where(t > late, jnp.nan, 1.0)  # noqa: E731
    with pytest.raises(FloatingPointError, match=r"at step 702: hz near x = .* µm, y = 2.* µm") as caught:
        fdtd.propagate(update, 1000, sources=[(source, broken)])
    kept = caught.value.recording.fields
    whole = fdtd.propagate(update, 701, sources=[(source, broken)]).fields
    np.testing.assert_array_equal(kept.hz, whole.hz)


def test_places_are_found_inside_of_jit() -> None:
    outside = fdtd.Functional.at(GRID, jnp.asarray(20 * UM), 25 * UM)
    across = fdtd.Functional.across(GRID, 20 * UM, np.ones(GRID.shape[1]))

    @jax.jit
    def weights(scale: Array) -> tuple[Array, Array]:
        grid = fdtd.Grid(np.asarray(GRID.x), np.asarray(GRID.y))
        there = (
            fdtd.Functional.at(grid, 20 * UM, 25 * UM),
            fdtd.Functional.across(GRID, 20 * UM, scale * np.ones(grid.shape[1])),
        )
        assert [f.corner for f in there] == [outside.corner, across.corner]
        return there[0].weights, there[1].weights

    found = weights(jnp.asarray(1.0))
    np.testing.assert_array_equal(found[0], outside.weights)
    np.testing.assert_array_equal(found[1], across.weights)


def test_an_update_of_0_1_steps_but_does_not_know_its_scene() -> None:
    update = nr.load(Path(__file__).parent / "data" / "saved_0_1" / "update.npz")
    assert np.all(np.isfinite(update(update.zero_fields()).hz))
    with pytest.raises(ValueError, match=r"^Argument update must know its scene"):
        fdtd.propagate(update, 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fdtd.Functional("hx", (0, 0), [[1.0]]), "Argument component must be one of .*, but was 'hx'"),
        (
            lambda: fdtd.Functional("hz", (0, 0), [1.0]),
            r"Argument weights must be a matrix, or several of them, but was of shape \(1,\)",
        ),
        (lambda: fdtd.Functional.at(GRID, 1.0, 0.0), "Argument x must lie on the grid, between 0 and 40 µm"),
        (
            lambda: fdtd.Functional.across(GRID, 1.0, np.ones(GRID.shape[1])),
            "Argument x must lie on the grid, between 0 and 40 µm",
        ),
        (
            lambda: jax.jit(lambda grid: fdtd.Functional.at(grid, 0.0, 0.0).weights)(GRID),
            "Argument x must be a known place on a grid of known lines",
        ),
        (
            lambda: fdtd.Functional.across(GRID, 0.0, np.ones(3)),
            r"Argument profile must have shape \(\d+,\), but was of shape \(3,\)",
        ),
        (
            lambda: fdtd.propagate(
                fdtd.Update.of(scene()), 10, probes=[fdtd.Functional("hz", (39, 0), np.ones((4, 1)))]
            ),
            "Argument probes must have blocks inside of the 40 × ",
        ),
        (
            lambda: fdtd.propagate(fdtd.Update.of(scene()), 0),
            "Argument steps must be a whole number of at least 1",
        ),
        (lambda: fdtd.Pulse(1.0, 0.0), "Argument width must be positive, but was 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
