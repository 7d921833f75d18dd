"""Fields over many steps, driven by sources and read by probes."""

from __future__ import annotations

import functools
import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from diffnr.checkpoint import load_checkpoint, save_checkpoint
from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_path,
    as_real,
    is_concrete,
    require,
    require_finite,
    require_instance,
)
from diffnr.fdtd.scene.media import LIGHT
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.time_domain.functional import Functional, as_list, as_probes, as_waveforms
from diffnr.fdtd.time_domain.leapfrog import COARSEST, Fields, as_fields, as_update, coarsest
from diffnr.fdtd.time_domain.march import LONGEST, Source, State, Task, march, march_with_checkpoints
from diffnr.fdtd.time_domain.transform import FieldTransform
from diffnr.host import AnyArray, by_numpy, namespace
from diffnr.progress import ProgressBar, interruptible
from diffnr.results import RESULTS, AbstractAnswer

PACE = 1.0  # seconds between two looks at the clock, about


class Recording(AbstractAnswer):
    """What `propagate` returns.

    **Fields:** `traces` [probe, time], what probes read after every step; `ts` [probe, time], when, s (that of the
    field read: E and Hz are half a step apart); `transforms`, of each running transform [frequency, p, q]; `fields`, at
    the end; `result`: whether these are finite.
    """

    traces: Inexact[Array, "probe time"]
    ts: Float[Array, "probe time"]
    transforms: tuple[Complex[Array, "_frequency _p _q"], ...]
    fields: Fields
    result: Any = eqx.field(default_factory=lambda: RESULTS.successful)

    def spectrum(self, omega: Numbers) -> Complex[Array, "probe *omega"]:
        """∫ trace e^{−iωt} dt by the rectangle rule.

        **Arguments:** `omega`: [...], rad/s.

        **Returns:** [probe, ...], in units of the trace times s.

        **Raises:** `ValueError` for frequencies that are not real and finite, a recording of one step.
        """
        omega = as_real(omega, "omega")
        require(omega.size > 0, "omega", "be a number, or an array that is not empty", omega)
        require_finite("omega", omega)
        require(self.ts.shape[1] > 1, "self", "hold two steps at least", f"of {self.ts.shape[1]}")
        step = self.ts[:, 1:2] - self.ts[:, :1]
        phase = jnp.exp(-1j * omega.reshape(-1, 1, 1) * self.ts)
        return jnp.sum(phase * self.traces * step, axis=-1).T.reshape(-1, *omega.shape)


def propagate(
    update: Any,
    steps: Count,
    *,
    sources: Any = (),
    probes: Any = (),
    transforms: Any = (),
    fields: Any = None,
    begin: Any = 0,
    progress: Any = None,
    checkpoint: Any = None,
    checkpoint_every: Count = 10_000,
    checkpoints: Count = 128,
) -> Recording:
    """The fields after many steps, with what probes read on the way.

        recorded = fdtd.propagate(update, 10_000, sources=[(source, fdtd.Pulse(1e13, 1e-12))], probes=[probe])

    **Arguments:**

    - `update`: `Update.of(scene)`. `steps`: how many.
    - `sources`: pairs of a functional and its strength s(t), a function of the time in s (`Pulse`, `Tone`).
    - `probes`: functionals; `transforms`: parts of fields at given frequencies.
    - `fields`: to begin with, default zero; `begin`: the number of steps taken before, by which the sources' time goes
      on: a run in parts is the run in one, bit for bit.
    - `progress`: a line on stderr; None shows it only on a terminal.
    - `checkpoint`: a file to save to every `checkpoint_every` steps and at the end; a run goes on from it if it exists.
    - `checkpoints`: the most states that a derivative keeps, about. Each nesting costs one more run forward: with 128
      one up to 1,764 steps, two to 32,768, three to 390,625.

    **Returns:** a `Recording`. It may be jitted, vmapped and differentiated, in both modes.

    **Raises:** `ValueError` for a functional off the grid, steps that are no positive number, a strength that is no
    function of the time, cells too coarse for a source's wave, a stride too long; `FloatingPointError` where fields
    stop being finite: it names the step and place, and has what came before as `.recording`, as has the
    `KeyboardInterrupt` of a Ctrl-C. Under a transformation nothing is raised for such fields: `result` tells.
    """
    update = as_update(update)
    steps, begin = as_count(steps, "steps"), as_count(begin, "begin", least=0)
    checkpoint_every = as_count(checkpoint_every, "checkpoint_every")
    checkpoints = as_count(checkpoints, "checkpoints")
    progress = None if progress is None else as_flag(progress, "progress")
    file = None if checkpoint is None else as_path(checkpoint, "checkpoint")
    scene = update.scene
    sources = as_waveforms(sources, update)
    _require_fine(scene, sources)
    task = Task(update, sources, as_probes(probes, scene.grid), _as_transforms(transforms))
    fields = update.zero_fields() if fields is None else as_fields(fields, update)
    for transform in task.transforms:
        transform.require_samples(update.step)
        transform.require_fits(fields)
    state = task.start(fields)
    if not is_concrete(task, state):
        state, traces = march_with_checkpoints(task, state, begin, steps, checkpoints)
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree_util.tree_leaves(state)]))
        return _recording(task, state, traces, begin, RESULTS.where(finite, RESULTS.successful, RESULTS.nonfinite))
    run = _Run(task, state, begin, file)
    require(run.taken <= steps, "steps", f"be at least the {run.taken} that the checkpoint holds", steps)
    saved = run.taken
    try:
        with interruptible() as interrupts, ProgressBar(progress, steps) as bar:
            while run.taken < steps and not interrupts:
                run.chunk(steps)
                bar.show(run.taken, f"t = {1e12 * (begin + run.taken) * float(update.step):.4g} ps")
                if run.taken - saved >= checkpoint_every:
                    run.save()
                    saved = run.taken
        if run.taken < steps:
            raise KeyboardInterrupt(f"stopped after step {begin + run.taken}; what came before is .recording")
    except (KeyboardInterrupt, FloatingPointError) as stop:
        stop.recording = run.recording  # pyright: ignore[reportAttributeAccessIssue]
        raise
    finally:
        run.save()
    return run.recording


class _Run:
    """A run in chunks: where it is, and what it has read so far."""

    def __init__(self, task: Task, state: State, begin: int, file: Path | None):
        self.task, self.begin, self.file = task, begin, file
        self.state, self.parts = state, [np.zeros((0, len(task.probes)), task.reading_dtype(state.fields))]
        self.taken, self.pace, self.timed = 0, 64, False
        self.hashed = [""]  # of what sources give up to the end of each whole call of `march`
        if file is not None:
            self.problem = self._problem()
            require(file.absolute().parent.is_dir(), "checkpoint", "be a file in a folder that exists", file)
            if file.exists():
                self._load(file)

    @property
    def recording(self) -> Recording:
        # What is kept has been looked at.
        return _recording(self.task, self.state, np.concatenate(self.parts), self.begin, RESULTS.successful)

    def chunk(self, steps: int) -> None:
        """As many steps as fit between two looks at the clock."""
        count = min(self.pace, LONGEST, steps - self.taken)
        began = time.perf_counter()
        state, traces, finite = self._march(count)
        if not finite:
            self._refuse(state, count)
        elapsed = time.perf_counter() - began
        self._keep(state, traces, count)
        # The first chunk has been compiled as well.
        if self.timed and elapsed > 2 * PACE:
            self.pace = max(1, count // 2)
        elif elapsed < PACE / 4 or not self.timed:
            self.pace = min(LONGEST, 4 * self.pace)
        self.timed = True

    def save(self) -> None:
        if self.file is not None:
            tree = self.state, jax.device_put(np.concatenate(self.parts))
            about = {**self.problem, "steps": self.taken, "driven": self._driven(self.taken)}
            try:
                save_checkpoint(self.file, tree, about)
            except OSError as error:  # A full disk must not cost the run.
                said = f"The checkpoint {self.file} could not be written: {error}."
                warnings.warn(said, RuntimeWarning, stacklevel=3)

    def _driven(self, steps: int) -> str:
        """A digest of what sources give in the first steps; `problem` knows those of one call of `march` alone."""
        digest = self.hashed[-1]
        for first in range(LONGEST * (len(self.hashed) - 1), steps, LONGEST):
            found = jax.tree_util.tree_leaves(self.task.tables(self.begin + first + jnp.arange(LONGEST))[0])
            rows = [np.asarray(part).reshape(LONGEST, -1)[: steps - first] for part in found]
            digest = hashlib.sha256(b"".join([digest.encode(), *(row.tobytes() for row in rows)])).hexdigest()
            if first + LONGEST <= steps:
                self.hashed.append(digest)
        return digest

    def _march(self, count: int) -> tuple[State, Array, bool]:
        # Numbers as arrays: every Python number would be compiled anew.
        state, traces, finite = _program(jax.default_backend())(
            self.task, self.state, jnp.asarray(self.begin + self.taken), jnp.asarray(count)
        )
        return state, traces, bool(finite)

    def _keep(self, state: State, traces: Array, count: int) -> None:
        # One assignment, so that an interrupt finds everything in agreement.
        self.state, self.parts, self.taken = state, [*self.parts, np.asarray(traces)[:count]], self.taken + count

    def _refuse(self, after: State, count: int) -> None:
        """Raise at the first step after which fields are not finite, found by halving the stretch."""
        while count > 1:
            half, traces, finite = self._march(count // 2)
            if finite:
                self._keep(half, traces, count // 2)
                count -= count // 2
            else:
                after, count = half, count // 2
        if count == 1:
            after, _, _ = self._march(1)
        # In the order in which a step makes them.
        fields = {name: np.asarray(getattr(after.fields, name)) for name in ("hz", "jx", "jy", "ex", "ey")}
        bad = next((name for name, field in fields.items() if not np.all(np.isfinite(field))), None)
        where = "a wall, a layer or a transform"
        if bad is not None:
            i, j = np.argwhere(~np.isfinite(fields[bad]))[0]
            cx, cy = self.task.update.scene.grid.centres
            x, y = float(cx[min(i, cx.size - 1)]), float(cy[min(j, cy.size - 1)])
            where = f"{bad} near x = {x * 1e6:.6g} µm, y = {y * 1e6:.6g} µm"
        raise FloatingPointError(
            f"The fields stopped being finite at step {self.begin + self.taken + 1}: {where}. What came before is this "
            "error's .recording. Look for a source that is not finite, or media that changed since the step was made."
        )

    def _problem(self) -> dict[str, Any]:
        # Strengths by their values: sources may be any functions.
        strengths = self.task.tables(self.begin + jnp.arange(LONGEST))[0]
        places = [(f.component, f.corner) for f in (*(f for f, _ in self.task.sources), *self.task.probes)]
        parts = [(t.component, t.rows, t.columns, t.stride) for t in self.task.transforms]
        arrays = hashlib.sha256(repr((places, parts)).encode())
        # What 0.1 took in as well, in its order: of the scene the grid alone, since the step has all else.
        task = eqx.tree_at(lambda task: task.update.scene, self.task, self.task.update.scene.grid)
        for leaf in jax.tree_util.tree_leaves(eqx.filter((task, self.state, strengths), eqx.is_array)):
            arrays.update(np.asarray(leaf).tobytes())
        return {"kind": "fdtd.propagate", "begin": self.begin, "problem": arrays.hexdigest()}

    def _load(self, file: Path) -> None:
        probes, dtype = len(self.task.probes), self.task.reading_dtype(self.state.fields)
        like = lambda header: (self.state, jax.ShapeDtypeStruct((header["steps"], probes), dtype))  # noqa: E731
        (self.state, traces), header = load_checkpoint(file, like, self.problem)
        # What 0.1 saved has no such digest.
        same = header.get("driven") in (None, self._driven(header["steps"]))
        was = f"{file}, whose sources gave something else in its {header['steps']} steps"
        require(same, "checkpoint", "be a file of the same run", was)
        self.parts, self.taken = [np.asarray(traces)], header["steps"]


@functools.cache
def _program(platform: str) -> Callable[..., Any]:
    # On CPUs XLA would otherwise copy fields in the loop, and use half of the widest vectors there are.
    cpu = {"xla_cpu_copy_insertion_use_region_analysis": True, "xla_cpu_prefer_vector_width": 512}
    options: Any = cpu if platform == "cpu" else None
    return eqx.filter_jit(march, compiler_options=options)  # pyright: ignore[reportCallIssue]


def _recording(task: Task, state: State, traces: Any, begin: Any, result: Any) -> Recording:
    # By numpy where numbers are known: jnp would compile a program for every length.
    when = by_numpy(functools.partial(_times, task.probes, traces.shape[0]), jnp.asarray(begin), task.update.step)
    return Recording(by_numpy(lambda traces: traces.T, traces), when, state.sums, state.fields, result)


def _times(probes: tuple[Functional, ...], count: int, begin: AnyArray, step: AnyArray) -> AnyArray:
    """When each probe's field is, after each of so many steps, s."""
    xp = namespace(begin, step)
    shifts = xp.asarray([0.5 if probe.component == "hz" else 1.0 for probe in probes]).reshape(-1, 1)
    return (begin + xp.arange(count) + shifts.astype(step.dtype)) * step


def _as_transforms(value: Any) -> tuple[FieldTransform, ...]:
    must = "be a list of FieldTransform"
    transforms = as_list(value, "transforms", must)
    for transform in transforms:
        require_instance(transform, "transforms", FieldTransform, must)
    return transforms


def _require_fine(scene: Scene, sources: tuple[Source, ...]) -> None:
    """Raise where cells are too coarse for the waves of sources that tell their frequency."""
    for _, waveform in sources:
        omega = getattr(waveform, "omega", None)
        if omega is None or not is_concrete(omega, scene.grid, scene.eps, scene.metal):
            continue
        cell, index = coarsest(scene)
        if float(omega) == 0:
            continue
        wavelength = 2 * np.pi * LIGHT / (abs(float(omega)) * index)
        what = f"a wavelength of its sources, {wavelength * 1e6:.3g} µm in its densest medium"
        must = f"have at least {COARSEST:g} cells {what}"
        require(
            wavelength / cell >= COARSEST, "scene", must, f"{wavelength / cell:.3g}, with a cell of {cell * 1e6:.3g} µm"
        )
