"""Runs of the field: transforms are plain sums, one program serves all, Ctrl-C, NaN and restarts lose nothing."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import fdtd
from diffnr.fdtd.time_domain.march import LONGEST
from terminal import Terminal, as_in_a_terminal, press  # noqa: F401 (a fixture that acts by itself)

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA_P = 2 * THZ
GRID = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 30 * UM), UM)
TONES = THZ * np.array([1.2, 1.5])


@eqx.filter_jit
def filled(bias: Array) -> fdtd.Update:
    """InSb under silicon; with sponges all around and collisions, so that a pulse is soon gone."""
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.1 * OMEGA_P, bias * OMEGA_P)
    sponge = fdtd.Sponge(12 * UM)
    objects = [(fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM]), insb)]
    scene = fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), objects, fdtd.Boundaries(sponge, sponge, sponge, sponge))
    return fdtd.Update.of(scene)


class Breaking(eqx.Module):
    """A pulse that is no number any more from some time on; counts how often it is traced."""

    pulse: fdtd.Pulse
    end: Array
    traced: ClassVar[list[None]] = []

    def __call__(self, t: Array) -> Array:
        self.traced.append(None)
        return jnp.where(t > self.end, jnp.nan, self.pulse(t))


HZ = fdtd.Functional.at(GRID, 15 * UM, 20 * UM)
PROBES = [fdtd.Functional.at(GRID, 25 * UM, 15 * UM, component) for component in ("hz", "ex", "ey")]
# Of the first the whole; of the others blocks, in which the probes are.
PARTS: dict[str, dict[str, tuple[int, int]]] = {
    "hz": {},
    "ex": {"rows": (20, 30), "columns": (10, 21)},
    "ey": {"columns": (14, 15)},
}
TRANSFORMS = [
    fdtd.FieldTransform(component, TONES, stride=stride, **part)
    for stride in (1, 4)
    for component, part in PARTS.items()
]


def source(end: float = np.inf, centre: float = 1e-12) -> tuple[fdtd.Functional, Breaking]:
    return HZ, Breaking(fdtd.Pulse(1.5 * THZ, 2e-13, centre), jnp.asarray(end))


def run(steps: int, *, bias: float = -0.25, end: float = np.inf, centre: float = 1e-12, **options: Any) -> Any:
    """All of these runs are one program."""
    update = filled(jnp.asarray(bias))
    sources = [source(end, centre)]
    return fdtd.propagate(update, steps, sources=sources, probes=PROBES, transforms=TRANSFORMS, **options)


def bits(recording: fdtd.Recording) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree_util.tree_leaves(recording)]


# --- Transforms ------------------------------------------------------------------------------------------------------

STEPS = 16_000


@pytest.fixture(scope="module")
def recorded() -> fdtd.Recording:
    return run(STEPS, centre=2e-12)  # ten times its width: it begins at 2e-22


@pytest.fixture(scope="module")
def by_hand() -> dict[str, np.ndarray]:
    """∑ F e^{−iωt} Δt of the whole fields, [frequency, x, y], stepped here."""
    update = filled(jnp.asarray(-0.25))
    (drive, pulse), step = source(centre=2e-12), update.step

    @jax.jit
    def sums(update: fdtd.Update) -> dict[str, Array]:
        def turn(i: Array, carry: tuple[fdtd.Fields, dict[str, Array]]) -> tuple[fdtd.Fields, dict[str, Array]]:
            fields, total = carry
            fields = update.electric(drive.drive(update, update.magnetic(fields), pulse(i * step)))
            for name, when in (("hz", 0.5), ("ex", 1.0), ("ey", 1.0)):
                wave = jnp.exp(-1j * TONES * (i + when) * step) * step
                total = {**total, name: total[name] + wave[:, None, None] * getattr(fields, name)}
            return fields, total

        zero = update.zero_fields()
        nothing = {name: jnp.zeros((2, *getattr(zero, name).shape), complex) for name in PARTS}
        return jax.lax.fori_loop(0, STEPS, turn, (zero, nothing))[1]

    return {name: np.asarray(total) for name, total in sums(update).items()}


def test_transforms_are_the_plain_sums(recorded: fdtd.Recording, by_hand: dict[str, np.ndarray]) -> None:
    for transform, result in zip(TRANSFORMS[:3], recorded.transforms, strict=False):
        rows, columns = (slice(*(ends or (None,))) for ends in (transform.rows, transform.columns))
        expected = by_hand[transform.component][:, rows, columns]
        assert result.shape == expected.shape
        # Round-off of a sum of 16,000 terms, and of fields stepped by another program.
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))


def test_strided_transforms_are_those_of_every_step(recorded: fdtd.Recording) -> None:
    update = filled(jnp.asarray(-0.25))
    for name, every, strided in zip(PARTS, recorded.transforms[:3], recorded.transforms[3:], strict=True):
        scale = np.max(np.abs(every))
        # A pulse of 1.5 THz and 0.2 ps, sampled at 33 THz, has aliases of e^{−700}. What is left at the end of the run
        # is cut off three steps apart; to this comes round-off.
        left = 3 * float(update.step) * np.max(np.abs(getattr(recorded.fields, name)))
        assert left < 1e-7 * scale
        np.testing.assert_allclose(strided, every, rtol=0, atol=left + 1e-12 * scale)


def test_transforms_are_the_spectra_of_probes(recorded: fdtd.Recording) -> None:
    spectra = recorded.spectrum(TONES)  # [probe, frequency]
    for probe, transform, result, spectrum in zip(PROBES, TRANSFORMS, recorded.transforms, spectra, strict=False):
        i, j = (
            at - (ends or (0,))[0] for at, ends in zip(probe.corner, (transform.rows, transform.columns), strict=True)
        )
        # Round-off of a sum of 16,000 terms; a probe at a point reads 1/V times V.
        np.testing.assert_allclose(result[:, i, j], spectrum, rtol=1e-11)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fdtd.FieldTransform("jx", 1.0), "Argument component must be one of 'ex', 'ey', 'hz', but was 'jx'"),
        (
            lambda: fdtd.FieldTransform("hz", 1.0, stride=0),
            r"Argument stride must be a whole number of at least 1, but was 0\.",
        ),
        (lambda: fdtd.FieldTransform("hz", [[1.0]]), r"Argument omega must be a number or a list of them"),
        (
            lambda: fdtd.propagate(
                filled(jnp.asarray(-0.25)), 10, transforms=[fdtd.FieldTransform("hz", [THZ, 2 * THZ], stride=17)]
            ),
            r"Argument stride must leave at least 4 samples a period of the highest frequency, but was 17, which "
            r"leaves 3\.\d+\.",
        ),
    ],
)
def test_transforms_that_cannot_be_are_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


# --- One program -----------------------------------------------------------------------------------------------------


def test_runs_of_one_structure_are_compiled_once(recorded: fdtd.Recording) -> None:
    run(1)
    Breaking.traced.clear()
    for steps in (1, 300):
        run(steps, bias=0.01 * steps, begin=7 * steps, fields=recorded.fields, end=1.0 * steps)
    run(LONGEST + 1)
    assert Breaking.traced == []
    # What the test counts: with one probe less it is another program.
    update = filled(jnp.asarray(-0.25))
    fdtd.propagate(update, 3, sources=[source()])
    assert len(Breaking.traced) == 1


# --- It goes on where it stopped -------------------------------------------------------------------------------------


def test_a_run_goes_on_from_its_file(tmp_path: Path) -> None:
    file, whole = tmp_path / "run", run(701)
    half = run(300, checkpoint=file)
    assert bits(half) == bits(run(300))
    assert bits(run(701, checkpoint=file, checkpoint_every=100)) == bits(whole)
    # A run that is complete is only read.
    before = file.read_bytes()
    assert bits(run(701, checkpoint=file)) == bits(whole)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupted_run_goes_on_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_at_once() -> None:
        raise KeyboardInterrupt

    file = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("diffnr.progress.REFRESH", 0.0)
        patched.setattr(sys, "stderr", Terminal(raise_at_once, 2))
        with pytest.raises(KeyboardInterrupt):
            run(701, checkpoint=file, checkpoint_every=64)
    assert file.exists()  # of the chunks before
    taken = []
    monkeypatch.setattr("diffnr.progress.ProgressBar.show", lambda bar, step, text: taken.append(step))
    assert bits(run(701, checkpoint=file)) == bits(run(701))
    # The first chunk after the file has 64 steps again: it went on, and did not begin anew.
    assert taken[0] > 64


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "run"
    run(100, checkpoint=file)
    return file


def moved(functionals: list[fdtd.Functional]) -> list[fdtd.Functional]:
    return [fdtd.Functional(f.component, (f.corner[0] + 1, f.corner[1]), f.weights) for f in functionals]


def other(change: str) -> dict[str, Any]:
    """What `propagate` is told, changed in one place."""
    update = filled(jnp.asarray(0.25 if change == "bias" else -0.25))
    asked = {"sources": [source()], "probes": PROBES, "transforms": TRANSFORMS, "begin": 0}
    if change == "begin":
        asked["begin"] = 5
    elif change == "source":
        asked["sources"] = [source(centre=1.1e-12)]
    elif change == "probe elsewhere":
        asked["probes"] = moved(PROBES)
    elif change == "fewer probes":
        asked["probes"] = PROBES[1:]
    elif change == "stride":
        asked["transforms"] = [*TRANSFORMS[:5], fdtd.FieldTransform("ey", TONES, stride=5, **PARTS["ey"])]
    elif change == "frequencies":
        asked["transforms"] = [*TRANSFORMS[:5], fdtd.FieldTransform("ey", 1.1 * TONES, stride=4, **PARTS["ey"])]
    return {"update": update, **asked}


CHANGES = ["bias", "begin", "source", "probe elsewhere", "fewer probes", "stride", "frequencies"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_of_another_problem_is_refused_and_kept(change: str, saved: Path) -> None:
    before = saved.read_bytes()
    what = "begin was 0 there and is 5 here" if change == "begin" else "problem was [0-9a-f]{64} there and is"
    sentence = f"^Argument checkpoint must belong to this problem, but .*run belongs to another: {what}"
    with pytest.raises(ValueError, match=sentence):
        fdtd.propagate(**other(change), steps=300, checkpoint=saved)
    assert saved.read_bytes() == before


def test_a_file_of_a_longer_run_is_refused_and_kept(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(
        ValueError, match=r"^Argument steps must be at least the 100 that the checkpoint holds, but was 99\.$"
    ):
        run(99, checkpoint=saved)
    assert saved.read_bytes() == before


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1],
    "one bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_and_kept(damage: str, saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "run"
    data = DAMAGES[damage](saved.read_bytes())
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"^Argument checkpoint must be a .*checkpoint.* but .*run is "):
        run(300, checkpoint=file)
    assert file.read_bytes() == data
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_does_not_exist_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Argument checkpoint must be a file in a folder that exists, but was .*run"):
        run(10**9, checkpoint=tmp_path / "no" / "run")


@pytest.mark.slow
def test_a_source_that_differs_after_one_call_of_march_belongs_to_another_run(tmp_path: Path) -> None:
    # Plain functions have no numbers of theirs by which they could be told apart.
    file, update, there = tmp_path / "run", filled(jnp.asarray(-0.25)), LONGEST + 200
    place = source(np.inf, 1e-12)[0]

    def run_until(steps: int, change: float) -> fdtd.Recording:
        at = change * update.step
        strength = lambda t: jnp.where(t > at, 3.0, 1.0) * jnp.sin(1e13 * t)  # noqa: E731
        return fdtd.propagate(update, steps, sources=[(place, strength)], probes=PROBES, checkpoint=file)

    run_until(there, np.inf)
    with pytest.raises(ValueError, match=rf"run, whose sources gave something else in its {there} steps"):
        run_until(there + 50, LONGEST + 100)
    # What differs after what was taken belongs to what is yet to come.
    assert run_until(there + 50, there + 20).traces.shape[-1] == there + 50


def test_a_full_disk_does_not_cost_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffnr.fdtd.time_domain.propagate.save_checkpoint", full)
    with pytest.warns(RuntimeWarning, match=r"The checkpoint .*run could not be written: .*No space left on device"):
        recording = run(300, checkpoint=tmp_path / "run")
    assert bits(recording) == bits(run(300))


# --- Nothing is lost -------------------------------------------------------------------------------------------------


def press_elsewhere() -> None:
    """From a thread, while the run goes on."""
    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()


@pytest.mark.parametrize("act", [press, press_elsewhere])
def test_an_interrupt_has_what_came_before(
    act: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, handler = tmp_path / "run", signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr("diffnr.progress.REFRESH", 0.0)
        patched.setattr(sys, "stderr", Terminal(act, 3))
        with pytest.raises(KeyboardInterrupt, match=r"^stopped after step \d+; .*\.recording$") as caught:
            run(10**9, checkpoint=file)  # half a day
    assert signal.getsignal(signal.SIGINT) is handler
    kept = caught.value.recording  # pyright: ignore[reportAttributeAccessIssue]
    taken = kept.traces.shape[1]
    assert taken >= 3
    assert str(taken) in str(caught.value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree_util.tree_leaves(kept))
    assert bits(kept) == bits(run(taken))
    # And the file has as much.
    assert bits(run(taken, checkpoint=file)) == bits(kept)
    assert bits(run(taken + 100, checkpoint=file)) == bits(run(taken + 100))


def test_fields_that_stop_being_finite_leave_all_that_came_before(tmp_path: Path) -> None:
    update = filled(jnp.asarray(-0.25))
    end, file = 700.5 * float(update.step), tmp_path / "run"
    with pytest.raises(FloatingPointError, match=r"^The fields stopped being finite at step 702: hz near ") as caught:
        run(1000, end=end, checkpoint=file)
    kept = caught.value.recording  # pyright: ignore[reportAttributeAccessIssue]
    assert kept.traces.shape == kept.ts.shape == (3, 701)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree_util.tree_leaves(kept))
    assert bits(kept) == bits(run(701, end=end))
    assert bits(kept) == bits(run(701, end=end, checkpoint=file))


# --- It says what it does --------------------------------------------------------------------------------------------


def test_progress_line(capsys: pytest.CaptureFixture) -> None:
    update = filled(jnp.asarray(-0.25))
    run(300, begin=500, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("\r[")
    assert err.endswith("\n")
    last = err.rstrip().split("\r")[-1].rstrip()
    found = re.fullmatch(r"\[#{20}\] 300/300  t = (\S+) ps  \S+ steps/s", last)
    assert found is not None
    assert float(found[1]) == pytest.approx(800e12 * float(update.step), rel=1e-3)  # four digits


def test_no_progress_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture) -> None:
    run(300)
    assert capsys.readouterr() == ("", "")


# --- What sources do -------------------------------------------------------------------------------------------------


def test_a_tone_rises_and_stays() -> None:
    tone = fdtd.Tone(1.5 * THZ, 4e-12, 0.3)
    times = jnp.linspace(0.0, 12e-12, 2401)
    values = np.asarray(jax.vmap(tone)(times))
    plain = np.cos(1.5 * THZ * np.asarray(times) + 0.3)
    late = np.asarray(times) >= 4e-12
    np.testing.assert_allclose(values[late], plain[late], atol=1e-13)  # round-off of phases up to 100
    share = np.asarray(times)[~late] / 4e-12
    np.testing.assert_allclose(values[~late], np.sin(np.pi / 2 * share) ** 2 * plain[~late], atol=1e-13)
    assert values[0] == 0.0


def test_a_pulse_has_the_spectrum_of_its_width() -> None:
    tau = 4e-13
    pulse = fdtd.Pulse(2 * THZ, tau)
    times = np.arange(0.0, 10 * tau, 1e-15)
    values = np.asarray(jax.vmap(pulse)(jnp.asarray(times)))
    power = lambda omega: np.abs(np.sum(values * np.exp(-1j * omega * times)) * 1e-15)  # noqa: E731
    peak = power(2 * THZ)
    assert peak == pytest.approx(tau * np.sqrt(np.pi / 2), rel=1e-5)  # ends of 4·10⁻⁶ are cut off
    for side in (-1, 1):
        assert power(2 * THZ + side / tau) / peak == pytest.approx(np.exp(-0.5), rel=1e-5)
        assert power(2 * THZ + 3 * side / tau) / peak == pytest.approx(np.exp(-4.5), rel=1e-3)
    assert abs(values[0]) < 4e-6


def test_a_mesh_too_coarse_for_the_source_is_refused() -> None:
    # Six cells of 1 µm in ε = 15.6: 12.65 THz.
    update = filled(jnp.asarray(-0.25))
    fdtd.propagate(update, 2, sources=[(HZ, fdtd.Tone(12.5 * THZ, 1e-12))])
    sentence = (
        r"^Argument scene must have at least 6 cells a wavelength of its sources, 5\.93 µm in its densest medium, "
        r"but was 5\.93, with a cell of 1 µm\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        fdtd.propagate(update, 2, sources=[(HZ, fdtd.Tone(12.8 * THZ, 1e-12))])


def test_another_length_compiles_nothing() -> None:
    """Sixty lengths kept 500 MB of programs that told when probes were read."""
    grid = fdtd.Grid.uniform((0.0, 20e-6), (0.0, 10e-6), 1e-6)
    update = fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(2.0)))
    probe = fdtd.Functional.at(grid, 5e-6, 5e-6)
    fdtd.propagate(update, 40, probes=[probe])
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    for steps in (41, 53):
        assert fdtd.propagate(update, steps, probes=[probe]).ts.shape == (1, steps)
    assert not any("backend_compile" in name for name in compiled)
