"""Runs of the optimiser loop: one program serves all, Ctrl-C, kills and a full disk lose nothing, progress is shown."""

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

import jax
import numpy as np
import optax
import pytest
from jax import Array

from optimize.minimisation import minimise
from optimize.minimisation_steps import CHUNK
from terminal import Terminal, as_in_a_terminal, press  # noqa: F401 (a fixture that acts by itself)
from valley import ADAM, Valley, bits, height

ROOT = Path(__file__).parents[1]


# --- One program -------------------------------------------------------------------------------------------------


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


# --- It is interrupted -------------------------------------------------------------------------------------------


def raise_at_once() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("interrupt", "saved"), [(press, True), (raise_at_once, False)])
def test_interrupt_returns_what_there_is(
    interrupt: Callable[[], None], saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffnr.progress.REFRESH", 0.0)
    monkeypatch.setattr("optimize.minimisation_run.PACE", np.inf)
    monkeypatch.setattr(sys, "stderr", Terminal(interrupt, 3))
    handler = signal.getsignal(signal.SIGINT)
    options = {"free": ("x", "y"), "optimiser": ADAM, "steps": 40}
    file = {"checkpoint": tmp_path / "run"} if saved else {}
    best = minimise(height, Valley(), **options, **file)
    # Chunks of 1, 2 and 4 steps had been taken, each twice the one before where none is slow.
    assert best.steps == 7
    assert not best.converged
    assert best.message.startswith("Interrupted after 7 of 40 steps")
    assert best.history["objective"].shape == (8,)
    assert float(best.objective) == np.min(best.history["objective"])
    assert signal.getsignal(signal.SIGINT) is handler
    if saved:
        monkeypatch.undo()
        assert bits(minimise(height, Valley(), **options, **file)) == bits(minimise(height, Valley(), **options))


@pytest.mark.parametrize(("presses", "steps"), [(1, 1), (2, 0)])
def test_a_second_interrupt_does_not_wait(presses: int, steps: int) -> None:
    traces = []

    def pressed(valley: Valley) -> Array:
        traces.append(None)
        if len(traces) == 3:  # the first tries it, the second is at the start, this one in the first chunk
            for _ in range(presses):
                press()
        return height(valley)

    best = minimise(pressed, Valley(), free="x", optimiser=ADAM, steps=40)
    assert best.steps == steps
    assert best.history["objective"].shape == (steps + 1,)
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
from optimize.minimisation import minimise

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
np.savez(result, best.objective, best.gradient_norm, best.steps, *jax.tree.leaves((best.values, best.history)))
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
