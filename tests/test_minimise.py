"""The optimiser loop: it finds optima, keeps bounds, and whatever stops it, loses nothing."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float, TypeCheckError

from diffnr import Drive, metrics, port_response, tcmt
from diffnr.checks import rate_field, real_field, require
from optimize import Interval
from optimize.minimise import CHUNK, Minimum, minimise
from terminal import Terminal, as_in_a_terminal, press  # noqa: F401 (a fixture that acts by itself)

ROOT = Path(__file__).parents[1]
EPS = np.finfo(float).eps
# Cheaper to compile than the default, where any optimiser will do.
ADAM = optax.adam(1e-2)


class Valley(eqx.Module):
    """Rosenbrock's banana valley, a cheap thing to minimise: least at x = y = 1."""

    x: Float[Array, ""] = real_field(default=-1.2)
    y: Float[Array, ""] = real_field(default=1.0)
    width: Float[Array, ""] = rate_field(default=0.5)


def height(valley: Valley) -> Array:
    return (1 - valley.x) ** 2 + 100 * (valley.y - valley.x**2) ** 2


def bits(minimum: Minimum) -> list[bytes]:
    """Every number of a result, to the bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(minimum)] + [minimum.message.encode()]


# --- It finds optima ---------------------------------------------------------------------------------------------


def pair(kappa: float) -> tcmt.TwoResonators:
    gamma = np.hypot(0.5, kappa)
    loss = tcmt.NonlocalLoss(0.5 * kappa, mode=1, sensed=0)
    return tcmt.two_resonators((0.0, 0.0), (gamma, gamma), (0.5, 0.5), kappa, loss)


def negative_contrast(model: tcmt.TwoResonators) -> Array:
    return -metrics.contrast(port_response(model, Drive(0.0), throw=False), out=0, into=1)


@pytest.mark.parametrize(
    ("optimiser", "kappa", "optimum"),
    [
        (None, 0.3, 0.94890),
        (None, 3.0, 0.94062),
        (optax.adam(3e-2), 1.0, 0.91968),
        (optax.sgd(0.5, momentum=0.9), 1.0, 0.91968),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.exponential_decay(0.1, 50, 0.5))), 1.0, 0.91968),
        (optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(20, max_learning_rate=10.0)), 1.0, 0.91968),
    ],
    ids=["lbfgs", "lbfgs", "adam", "momentum", "clip and schedule", "backtracking"],
)
def test_any_optimiser_finds_the_loss_of_most_contrast(optimiser: Any, kappa: float, optimum: float) -> None:
    steps = 15 if optimiser is None else 250
    best = minimise(negative_contrast, pair(kappa), free="loss.gamma_k", optimiser=optimiser, steps=steps)
    # The optimum is known to five digits, and is flat: at a gradient of 1e-6 it is found to better than that.
    assert float(best.values["loss.gamma_k"]) / kappa == pytest.approx(optimum, abs=5e-6)
    assert float(best.gradient_norm) < 1e-6
    assert best.steps == steps
    assert float(best.model.loss.gamma_k) == float(best.values["loss.gamma_k"])
    # Computed by another program: to rounding.
    assert float(best.value) == pytest.approx(float(negative_contrast(best.model)), rel=8 * EPS)


def test_lbfgs_descends_and_its_history_is_what_it_says() -> None:
    best = minimise(height, Valley(), free=("x", "y"), steps=60, history="values")
    values = best.history["value"]
    assert {name: row.shape for name, row in best.history["values"].items()} == {"x": (61,), "y": (61,)}
    assert values.shape == best.history["gradient_norm"].shape == (61,)
    # To rounding of the terms, which are of order 1 times ε in the sums of squares: no step goes up.
    assert np.all(np.diff(values) <= EPS)
    # √ε of the parameters, as values and the least curvature are of order 1.
    assert [float(x) for x in best.values.values()] == pytest.approx([1.0, 1.0], abs=1e-7)
    # Values that the line search hands over are those of the objective, to rounding of terms of up to 100.
    x, y = best.history["values"]["x"], best.history["values"]["y"]
    assert values == pytest.approx((1 - x) ** 2 + 100 * (y - x**2) ** 2, rel=1e-12, abs=1e-13)
    assert values[0] == pytest.approx(24.2, rel=4 * EPS)
    # dh/du at the start: scales are |x| and |y|, and dh/dx = -215.6, dh/dy = -88 there.
    assert best.history["gradient_norm"][0] == pytest.approx(np.hypot(1.2 * 215.6, 88.0), rel=1e-12)


@pytest.mark.parametrize("behind", [(), (optax.scale(0.5),)], ids=["last", "not last"])
def test_a_line_search_vouches_only_for_the_point_it_chose(behind: tuple) -> None:
    # Where its step is scaled afterwards, the value that it computed is that of another point.
    search = optax.scale_by_backtracking_linesearch(20, store_grad=True)
    optimiser = optax.chain(optax.sgd(1e-3), search, *behind)
    best = minimise(height, Valley(), free=("x", "y"), optimiser=optimiser, steps=6, history="values")
    x, y = best.history["values"]["x"], best.history["values"]["y"]
    # To rounding of terms of up to 100.
    assert best.history["value"] == pytest.approx((1 - x) ** 2 + 100 * (y - x**2) ** 2, rel=1e-12)
    slope = np.hypot(-1.2 * (-2 * (1 - x) - 400 * x * (y - x**2)), 200 * (y - x**2))
    assert best.history["gradient_norm"] == pytest.approx(slope, rel=1e-11)


def test_the_best_iterate_is_returned_not_the_last() -> None:
    # Momentum swings through the minimum of a parabola again and again.
    best = minimise(lambda v: v.x**2, Valley(), free="x", optimiser=optax.sgd(0.05, momentum=0.99), steps=97)
    values = best.history["value"]
    assert float(best.value) == np.min(values) < values[-1]


def test_bounds_hold_all_the_way() -> None:
    best = minimise(
        lambda v: (v.width + 1) ** 2 + (v.x - 7) ** 2,
        Valley(),
        free=("width", "x"),
        transforms={"x": Interval(-2.0, 2.0)},
        optimiser=optax.adam(0.5),
        steps=200,
        history="values",
    )
    width, x = best.history["values"]["width"], best.history["values"]["x"]
    assert np.all((width > 0) & (np.abs(x) < 2))
    assert width[-1] < 1e-3
    assert x[-1] > 1.99
    assert isinstance(best.model, Valley)


def test_paths_and_callables_are_the_same() -> None:
    by_path = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=7)
    by_callable = minimise(height, Valley(), free=lambda v: (v.x, v.y), optimiser=ADAM, steps=7)
    assert list(by_callable.values) == ["x", "y"]
    assert bits(by_path) == bits(by_callable)


def test_arguments_reach_the_objective() -> None:
    target = jnp.asarray([2.0, -3.0])

    def distance(model: Any, args: tuple[Array, str]) -> Array:
        return jnp.sum((model.omega - args[0]) ** 2)

    best = minimise(distance, pair(1.0), free="omega", args=(target, "a word"), optimiser=optax.sgd(0.5), steps=1)
    # For |x - target|² with a scale of 1, one step of ½ arrives, to rounding.
    assert np.asarray(best.values["omega"]) == pytest.approx(np.asarray(target), rel=1e-12)


def test_single_precision_stays_single() -> None:
    with jax.enable_x64(False):
        best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=3)
        assert best.model.x.dtype == best.value.dtype == best.history["value"].dtype == np.float32
        assert float(best.value) < 24.2


@pytest.mark.parametrize("optimiser", [None, ADAM], ids=["lbfgs", "adam"])
def test_nothing_retraces(tmp_path: Path, optimiser: Any) -> None:
    traces = []

    def counted(valley: Valley) -> Array:
        traces.append(None)
        return height(valley)

    run = functools.partial(minimise, counted, Valley(), free=("x", "y"), optimiser=optimiser, checkpoint_every=70)
    run(steps=2 * CHUNK + 5, checkpoint=tmp_path / "run")  # in chunks of many lengths
    many = len(traces)
    traces.clear()
    run(steps=2 * CHUNK + 6, checkpoint=tmp_path / "run")  # resumed, for a single step
    assert len(traces) == many <= 4


# --- It stops ----------------------------------------------------------------------------------------------------


def test_tolerance_stops_it() -> None:
    best = minimise(height, Valley(), free=("x", "y"), steps=500, tolerance=1e-6)
    assert best.converged
    assert best.steps < 100
    assert best.history["gradient_norm"][-1] == float(best.gradient_norm) <= 1e-6
    assert np.all(best.history["gradient_norm"][:-1] > 1e-6)
    assert best.message.startswith(f"Converged after {best.steps} steps")


def test_steps_run_out_before_the_tolerance() -> None:
    best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=3, tolerance=1e-9)
    assert not best.converged
    assert "Took all 3 steps" in best.message
    assert "the tolerance is 1e-09" in best.message


def test_a_stationary_point_that_is_not_the_best_is_not_called_converged() -> None:
    # Thrown out of the deep well at x = -1 by momentum, the iterate comes to rest in the shallow one at x = +1.
    def wells(v: Valley) -> Array:
        return (v.x**2 - 1) ** 2 + 0.3 * v.x

    momentum = optax.sgd(0.03, momentum=0.8)
    best = minimise(wells, Valley(x=-1.6), free="x", optimiser=momentum, steps=1000, tolerance=1e-9, history="values")
    assert best.steps < 1000
    assert best.history["values"]["x"][-1] > 0.9
    assert best.history["gradient_norm"][-1] <= 1e-9
    assert float(best.values["x"]) < 0
    assert float(best.value) == np.min(best.history["value"]) < 0
    assert not best.converged
    assert "an iterate before had a lower objective" in best.message


def test_a_value_that_is_not_finite_ends_it_with_the_best_so_far() -> None:
    # A fixed stride of 1/4 downhill: x = 2, 1.75, …, 0.25, and then 0, where the logarithm is -inf.
    def rising(v: Valley) -> Array:
        return jnp.log(v.x)

    stride = optax.chain(optax.sign_sgd(0.125), optax.identity())
    best = minimise(rising, Valley(x=2.0), free="x", optimiser=stride, steps=50)
    assert best.steps == 8
    assert not best.converged
    assert float(best.values["x"]) == 0.25
    assert best.history["value"].shape == (9,)
    assert np.all(np.isfinite(best.history["value"][:-1]))
    assert best.history["value"][-1] == -np.inf
    assert "Stopped at step 8: the objective was -inf" in best.message
    assert "lower the learning rate" in best.message


def test_a_gradient_that_is_not_finite_ends_it_with_the_best_so_far() -> None:
    best = minimise(lambda v: jnp.sqrt(v.x**2), Valley(x=1.0), free="x", optimiser=optax.sgd(1.0), steps=50)
    assert best.steps == 1
    assert float(best.values["x"]) == 1.0
    assert "Stopped at step 1: the objective was 0 with a gradient of norm nan" in best.message
    assert "use squares" in best.message


def test_a_solve_that_raises_costs_no_step() -> None:
    def failing(v: Valley) -> Array:
        x = eqx.error_if(v.x, v.x < 0.26, "No solution there.")
        return x**2

    best = minimise(failing, Valley(x=2.0), free="x", optimiser=optax.sign_sgd(0.125), steps=50, history="values")
    assert best.history["values"]["x"] == pytest.approx(np.arange(2.0, 0.3, -0.25), abs=4 * EPS)
    assert best.steps == 6
    assert not best.converged
    assert "step 7 failed" in best.message
    assert "No solution there" in best.message
    assert "throw=False" in best.message


class Picky(eqx.Module):
    x: Float[Array, ""] = real_field()

    def __check_init__(self) -> None:
        require(isinstance(self.x, jax.core.Tracer) or self.x < 1, "x", "be below 1", self.x)


def test_a_model_that_refuses_the_end_costs_no_step() -> None:
    best = minimise(lambda m: (m.x - 2) ** 2, Picky(0.5), free="x", optimiser=optax.sgd(1.0), steps=200)
    assert float(best.model.x) == pytest.approx(2.0, abs=1e-8)  # as below, with a gradient of at most 1e-8
    assert float(best.gradient_norm) < 1e-8
    assert best.message.endswith("The model itself refuses these values: Argument x must be below 1, but was 2.")


def raise_at_once() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("interrupt", "saved"), [(press, True), (raise_at_once, False)])
def test_interrupt_returns_what_there_is(
    interrupt: Callable[[], None], saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffnr.progress.REFRESH", 0.0)
    # By module: the name optimize.minimise may as well be the function.
    monkeypatch.setattr(sys.modules["optimize.minimise"], "PACE", np.inf)
    monkeypatch.setattr(sys, "stderr", Terminal(interrupt, 3))
    handler = signal.getsignal(signal.SIGINT)
    options = {"free": ("x", "y"), "optimiser": ADAM, "steps": 40}
    file = {"checkpoint": tmp_path / "run"} if saved else {}
    best = minimise(height, Valley(), **options, **file)
    # Chunks of 1, 2 and 4 steps had been taken, each twice the one before where none is slow.
    assert best.steps == 7
    assert not best.converged
    assert best.message.startswith("Interrupted after 7 of 40 steps")
    assert best.history["value"].shape == (8,)
    assert float(best.value) == np.min(best.history["value"])
    assert signal.getsignal(signal.SIGINT) is handler
    if saved:
        monkeypatch.undo()
        assert bits(minimise(height, Valley(), **options, **file)) == bits(minimise(height, Valley(), **options))


@pytest.mark.parametrize(("presses", "steps"), [(1, 1), (2, 0)])
def test_a_second_interrupt_does_not_wait(presses: int, steps: int) -> None:
    traces = []

    def pressed(valley: Valley) -> Array:
        traces.append(None)
        if len(traces) == 2:  # the first is at the start, this one in the first chunk
            for _ in range(presses):
                press()
        return height(valley)

    best = minimise(pressed, Valley(), free="x", optimiser=ADAM, steps=40)
    assert best.steps == steps
    assert best.history["value"].shape == (steps + 1,)
    assert best.message.startswith(f"Interrupted after {steps} of 40 steps")


# --- It goes on where it stopped ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimiser",
    [None, ADAM, optax.chain(optax.trace(0.9), optax.noisy_sgd(1e-4, key=3))],
    ids=["lbfgs", "adam", "momentum and noise"],
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(optimiser: Any, tmp_path: Path) -> None:
    run = functools.partial(minimise, height, Valley(), free=("x", "y"), optimiser=optimiser, history="values")
    whole = run(steps=41)
    file = tmp_path / "run"
    assert run(steps=17, checkpoint=file, checkpoint_every=10).steps == 17
    assert bits(run(steps=41, checkpoint=file, checkpoint_every=3)) == bits(whole)
    # A run that is complete is only read.
    before = file.read_bytes()
    assert bits(run(steps=41, checkpoint=file)) == bits(whole)
    assert file.read_bytes() == before


SCRIPT = """
import os, signal, sys
import jax; jax.config.update("jax_enable_x64", True)
import equinox as eqx, jax.numpy as jnp, numpy as np, optax
from diffnr.checks import as_real, rate_field
from optimize.minimise import minimise

result, checkpoint, kill_at = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
evaluations = 0

class Chain(eqx.Module):
    x: jax.Array = eqx.field(converter=as_real)
    rate: jax.Array = rate_field()

def kill(_):
    global evaluations
    evaluations += 1
    if evaluations == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

def objective(chain):
    x = chain.x
    value = jnp.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2) + jnp.sin(chain.rate)
    jax.debug.callback(kill, value)
    return value

best = minimise(objective, Chain(np.linspace(-1, 2, 40), 1.0), free=("x", "rate"), optimiser=optax.adam(1e-2),
                steps=300, checkpoint=checkpoint, checkpoint_every=20, history="values")
np.savez(result, best.value, best.gradient_norm, best.steps, *jax.tree.leaves((best.values, best.history)))
"""


def start(result: Path, checkpoint: Path | str = "", kill_at: int = -1) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(result), str(checkpoint), str(kill_at)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> int:
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode


@pytest.mark.slow
def test_a_killed_process_is_taken_up_bit_for_bit(tmp_path: Path) -> None:
    file, whole, resumed = tmp_path / "run", tmp_path / "whole.npz", tmp_path / "resumed.npz"
    uninterrupted, killed = start(whole), start(resumed, file, kill_at=133)
    assert finish(killed) == -signal.SIGKILL
    assert not resumed.exists()
    saved = json.loads(file.read_bytes().partition(b"\n")[0])["step"]
    # Evaluation 133 is step 132, between two checkpoints (callbacks may lag behind it).
    assert 120 <= saved < 300
    assert finish(start(resumed, file)) == 0
    assert finish(uninterrupted) == 0
    with np.load(whole) as a, np.load(resumed) as b:
        assert len(a.files) == len(b.files) == 3 + 2 + 4
        assert [a[name].tobytes() for name in a.files] == [b[name].tobytes() for name in b.files]
        assert a["arr_2"] == 300


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "run"
    minimise(height, Valley(), free="x", optimiser=ADAM, steps=5, checkpoint=file)
    return file


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1],
    "cut in the header": lambda data: data[:40],
    "one bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "another file": lambda data: b"[1, 2]\nomega, s\n",
    "another version": lambda data: data.replace(b'"version": 1', b'"version": 2'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_kept(damage: str, saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "run"
    data = DAMAGES[damage](saved.read_bytes())
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"^Argument checkpoint must be a .*checkpoint.* but .*run is "):
        minimise(height, Valley(), free="x", optimiser=ADAM, steps=9, checkpoint=file)
    assert file.read_bytes() == data
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"free": "y"}, r"parameters was \['x'\] there and is \['y'\] here"),
        ({"free": ("x", "y")}, r"parameters was \['x'\] there and is \['x', 'y'\] here"),
        ({"optimiser": optax.sgd(1e-2, momentum=0.9)}, r"arrays was .*optimiser.*\.mu.* there and is .*\.trace.* here"),
        ({"history": "values"}, "history was True there and is values here"),
        ({"model": Valley(x=-1.1)}, r"were \[.*-1.2 *\] at the start there and are \[.*-1.1 *\] here"),
        ({"model": Valley(y=1.1)}, r"were \[24.2 .* at the start there and are \[16.4 .* here"),
        ({"objective": lambda v: 2 * height(v)}, r"were \[24.2 .* at the start there and are \[48.4 .* here"),
    ],
    ids=["free", "more free", "optimiser", "history", "start", "model", "objective"],
)
def test_a_checkpoint_of_another_problem_is_refused_and_kept(change: dict, sentence: str, saved: Path) -> None:
    before = saved.read_bytes()
    options = {"objective": height, "model": Valley(), "free": "x", "optimiser": ADAM, **change}
    with pytest.raises(
        ValueError, match=f"(?s)^Argument checkpoint must belong .*.*run belongs to another: .*{sentence}"
    ):
        minimise(**options, steps=9, checkpoint=saved)
    assert saved.read_bytes() == before


def test_a_checkpoint_in_double_precision_is_refused_in_single(saved: Path) -> None:
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"u was float64\[1\] there and is float32\[1\] here"):
        minimise(height, Valley(), free="x", optimiser=ADAM, steps=9, checkpoint=saved)


def test_a_write_cut_short_leaves_the_checkpoint_before(tmp_path: Path, saved: Path) -> None:
    file = tmp_path / "run"
    file.write_bytes(saved.read_bytes())
    (tmp_path / "run.partial").write_bytes(b"half of a")
    run = functools.partial(minimise, height, Valley(), free="x", optimiser=ADAM, steps=9)
    assert bits(run(checkpoint=file)) == bits(run())
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_does_not_cost_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match=r"run could not be written: .*No space left"):
        best = minimise(height, Valley(), free="x", optimiser=ADAM, steps=5, checkpoint=tmp_path / "run")
    assert best.steps == 5
    assert not (tmp_path / "run").exists()


# --- It says what it does ----------------------------------------------------------------------------------------


def test_progress_line(capsys: pytest.CaptureFixture) -> None:
    minimise(height, Valley(), free="x", optimiser=ADAM, steps=40, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("\r[")
    assert err.endswith("\n")
    last = err.rstrip().split("\r")[-1]
    assert re.fullmatch(r"\[#{20}\] 40/40  value \S+  gradient \S+e[+-]\d\d  \S+ steps/s", last.rstrip())


def test_no_progress_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture) -> None:
    minimise(height, Valley(), free="x", optimiser=ADAM, steps=2)
    assert capsys.readouterr() == ("", "")


def test_no_progress_line_on_a_terminal_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(lambda: None, 0)
    monkeypatch.setattr(sys, "stderr", terminal)
    minimise(height, Valley(), free="x", optimiser=ADAM, steps=2, progress=False)
    assert terminal.text == ""


def test_report_and_history() -> None:
    best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=2, history=False)
    assert best.history == {}
    lines = best.report().splitlines()
    assert lines[0] == best.message
    assert re.fullmatch(r"objective +\S+", lines[1])
    assert re.fullmatch(r"gradient norm +\S+", lines[2])
    # Adam's first steps are of its learning rate, in units of |x| and |y|.
    assert re.fullmatch(r"x +-1\.1[78]\d+", lines[3])
    assert re.fullmatch(r"y +1\.0[12]\d*", lines[4])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"objective": lambda v: v.x + 1j}, r"objective must return a real scalar, but was complex128 of shape \(\)"),
        ({"objective": lambda v: v.x * jnp.ones(2)}, r"must return a real scalar, but was float64 of shape \(2,\)"),
        ({"objective": lambda v: (v.x, v.y)}, "must return a real scalar, but was a tuple"),
        ({"objective": lambda v: jnp.asarray(3)}, r"must return a real scalar, but was int64 of shape \(\)"),
        ({"objective": lambda v: jnp.log(v.x)}, "must be finite with its gradient at the start, but was nan, with"),
        ({"objective": lambda v: jnp.sqrt(v.y - 1), "free": "y"}, "but was 0, with a gradient of norm inf"),
        ({"free": "z"}, "must name a parameter of Valley"),
        ({"transforms": {"z": Interval(0.0, 1.0)}}, "transforms must name free parameters"),
        ({"steps": 0}, "Argument steps must be at least 1, but was 0"),
        ({"tolerance": -1.0}, "Argument tolerance must not be negative"),
        ({"checkpoint_every": 0}, "Argument checkpoint_every must be at least 1"),
        ({"checkpoint": "/no/such/folder/run"}, "Argument checkpoint must be a file in a folder that exists"),
    ],
)
def test_bad_input_is_refused(change: dict, sentence: str) -> None:
    options = {"objective": height, "model": Valley(), "free": "x", "steps": 1, **change}
    with pytest.raises(ValueError, match=sentence):
        minimise(**options)


@pytest.mark.parametrize("change", [{"optimiser": optax.adam}, {"history": "all"}])
def test_bad_types_are_refused(change: dict) -> None:
    # Where annotations are checked at run time, as in these tests, they are the first to complain.
    with pytest.raises((ValueError, TypeCheckError), match=next(iter(change))):
        minimise(height, Valley(), free="x", **change)


def test_it_cannot_run_inside_a_transformation() -> None:
    with pytest.raises(ValueError, match="Argument model must hold numbers"):
        jax.jit(lambda x: minimise(height, Valley(x=x), free="y", steps=1).value)(1.0)
