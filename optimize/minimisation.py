"""Minimise any objective of a model over any of its leaves, with any optax optimiser.

The loop is compiled; between its chunks it can be watched, interrupted, saved and resumed.
"""

from __future__ import annotations

import math
import os
import re
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from diffnr.checkpoint import load_checkpoint, save_checkpoint
from diffnr.checks import (
    as_choice,
    as_count,
    as_flag,
    as_function,
    as_path,
    as_scalar,
    is_concrete,
    require,
    require_known,
)
from diffnr.progress import ProgressBar, interruptible
from optimize.transforms import Parametrisation, parametrise

# At most this many steps run between two looks at the clock; a compiled size, so the same in every run.
CHUNK = 256
# A look at the clock about this often, in seconds.
PACE = 0.5

History = dict[str, Any]


class Minimum(eqx.Module):
    """What `minimise` returns: the best iterate it met, that is the one with the least finite objective.

    **Fields:** `model`, of the class that went in; `objective` [], there; `values`, `{path: array}` of the
    free leaves; `gradient_norm` [], there, with respect to the unbounded vector; `history`, arrays over 0 … `steps`
    (entry k is after k steps): `{"objective": …, "gradient_norm": …, "values": {path: …}}`; `steps` taken; `converged`,
    whether `gradient_norm` is at most `tolerance`; `message`, how it ended.
    """

    model: Any
    objective: Float[Array, ""]
    values: dict[str, Array]
    gradient_norm: Float[Array, ""]
    history: History
    steps: int = eqx.field(static=True)
    converged: bool = eqx.field(static=True)
    message: str = eqx.field(static=True)

    def report(self) -> str:
        """How it ended, the value, and the free leaves, as text."""
        rows = {"objective": self.objective, "gradient norm": self.gradient_norm, **self.values}
        width = max(map(len, rows)) + 2
        lines = [
            f"{name:<{width}}{np.array2string(np.asarray(value), precision=9, separator=', ', threshold=20)}"
            for name, value in rows.items()
        ]
        return "\n".join([self.message, *lines])


def minimise(
    objective: Any,
    model: Any,
    *,
    free: Any,
    optimiser: Any = None,
    steps: Any = 1000,
    transforms: Any = None,
    tolerance: Any = None,
    args: PyTree = None,
    progress: Any = None,
    history: Any = True,
    checkpoint: Any = None,
    checkpoint_every: Any = 100,
    throw: Any = False,
) -> Minimum:
    """Minimise a real function of a model over its free leaves x, which stay inside their bounds:

        min_u objective(model(x(u))),      x = transform(u),   u ∈ ℝ^p

    **Arguments:**

    - `objective`: `model -> real scalar`, or `(model, args) -> real scalar`; differentiable, traced by JAX. Inside it
      call solvers with `throw=False`: a trial point where one fails is then NaN, from which a line search draws back.
    - `model`: where to start, and the class that comes back.
    - `free`: the leaves to move: a path, several, or a callable (see `diffnr.parameters.select`).
    - `optimiser`: any of optax, with schedules and chains; default `optax.lbfgs()`.
    - `steps`: how many to take at most, those of the checkpoint included.
    - `transforms`: `{path: transform}`, instead of those that follow from the leaf's physical bounds.
    - `tolerance`: stop when the gradient norm with respect to u is at most this; None takes all steps.
    - `args`: any pytree; large arrays that the objective needs are better here than in its closure.
    - `progress`: a line on stderr with step, value, gradient norm and speed; None shows it only on a terminal.
    - `history`: True records objective and gradient norm of every step; `"values"` the free leaves too; False nothing.
    - `checkpoint`: a file to save to every `checkpoint_every` steps and at the end. If it exists the run goes on from
      it, and ends bit for bit as one that was never stopped (on the same machine, with the same versions). It holds the
      optimiser's state, but not its settings: pass the same.
    - `throw`: raise unless it converged, for which it takes a `tolerance`. By default the best iterate is returned in
      any case.

    **Returns:** a `Minimum`, always: after Ctrl-C too (what is under way is finished first; a second Ctrl-C drops it),
    and after a value, a gradient or a solve that failed on the way. Look at `converged` and `message`.

    **Raises:** `ValueError` for an unknown path; for an objective that is not a real scalar, or that is not finite with
    its gradient at the start; for a checkpoint that is damaged or of another problem (it is left as it is);
    `RuntimeError` with the message if `throw` and it did not converge.

    **Notes:** it compiles once per call, and sees the clock and Ctrl-C about twice a second, or after each step where
    that takes longer. Good values: `optax.lbfgs()` for smooth objectives of up to some thousand unknowns, else
    `optax.adam(1e-2)` (by default u is scaled so that 1 is a large move).
    """
    steps, checkpoint_every = as_count(steps, "steps"), as_count(checkpoint_every, "checkpoint_every")
    throw, progress = as_flag(throw, "throw"), None if progress is None else as_flag(progress, "progress")
    _check(optimiser, tolerance, history, checkpoint)
    require(tolerance is not None or not throw, "throw", "go with a tolerance: without one nothing converges", throw)
    parametrisation = parametrise(model, free, transforms)
    must = f"be a function {'model' if args is None else '(model, args)'} -> real scalar"
    given = (model,) if args is None else (model, args)
    as_function(objective, "objective", must, lambda f: _tried(f, *given))
    begin, advance = _programs(objective, optax.lbfgs() if optimiser is None else optimiser, history)
    problem = (parametrisation, args)
    require(is_concrete(problem), "model", "hold numbers (minimise cannot run inside jit, vmap or grad)", "traced")

    state, rows = begin(problem)
    was = f"{float(state.value):g}, with a gradient of norm {float(state.norm):g}"
    require(bool(state.finite), "objective", "be finite with its gradient at the start", was)
    file = None if checkpoint is None else _File(checkpoint, parametrisation, state, history)
    state, records = file.load(state, rows) if file and file.path.exists() else (state, [rows])

    run = _Run(lambda state, count: advance(state, count, tolerance, problem), state, records)
    every = steps if file is None else checkpoint_every
    with interruptible() as interrupts, ProgressBar(progress, steps) as bar:
        try:
            while not interrupts and run.going(tolerance) and run.step < steps:
                if not run.chunk(min(steps - run.step, every - run.step % every)):
                    break
                bar.show(run.step, f"value {float(run.state.value):.6g}  gradient {float(run.state.norm):.2e}")
                if file and run.step % every == 0:
                    file.save(run)
        except KeyboardInterrupt:
            interrupts.append(signal.SIGINT)
        finally:
            if file:
                file.save(run)
    u, value, norm = run.state.best
    model, refusal = _built(parametrisation, u)
    converged = tolerance is not None and bool(norm <= tolerance)
    message = _ending(run, steps, tolerance, bool(interrupts)) + refusal
    if throw and not converged:
        raise RuntimeError(message)
    return Minimum(
        model=model,
        objective=value,
        values=parametrisation.values(u),
        gradient_norm=norm,
        history=_joined(run.records),
        steps=run.step,
        converged=converged,
        message=message,
    )


class _State(eqx.Module):
    """All that a step needs and changes; on file, it is the checkpoint."""

    u: Float[Array, " parameter"]
    step: Int[Array, ""]
    value: Float[Array, ""]
    gradient: Float[Array, " parameter"]
    optimiser: PyTree
    best: tuple[Float[Array, " parameter"], Float[Array, ""], Float[Array, ""]]

    @property
    def norm(self) -> Array:
        return jnp.linalg.norm(self.gradient)

    @property
    def finite(self) -> Array:
        return jnp.isfinite(self.value) & jnp.all(jnp.isfinite(self.gradient))

    def going(self, tolerance: ArrayLike | None) -> Array:
        return self.finite if tolerance is None else self.finite & (self.norm > tolerance)


class _Run:
    """Where a run is: the state, the records of all steps up to it, and why it failed."""

    def __init__(self, advance: Callable[..., Any], state: _State, records: list[History]):
        self.advance = advance
        self.reached = state, records
        self.pace = 1
        self.failure = ""

    @property
    def state(self) -> _State:
        return self.reached[0]

    @property
    def records(self) -> list[History]:
        return self.reached[1]

    @property
    def step(self) -> int:
        return int(self.state.step)

    def going(self, tolerance: float | None) -> bool:
        return bool(self.state.going(tolerance))

    def chunk(self, most: int) -> bool:
        """Take at most `most` steps, as many as fit between two looks at the clock; False where the first one fails."""
        count = min(self.pace, CHUNK, most)
        began = time.perf_counter()
        try:
            state, rows, done = jax.block_until_ready(self.advance(self.state, count))
        except RuntimeError as error:
            # Step by step up to the one that fails, so that none before it is lost.
            self.pace = 1
            self.failure = _cause(error) if count == 1 else ""
            return count > 1
        elapsed = time.perf_counter() - began
        if elapsed < PACE / 2:
            self.pace = min(CHUNK, 2 * self.pace)
        elif elapsed > 2 * PACE:
            self.pace = max(1, count // 2)
        # One assignment, so that an interrupt finds state and records in agreement.
        self.reached = state, [*self.records, jax.tree_util.tree_map(lambda x: np.asarray(x)[: int(done)], rows)]
        return True


def _programs(objective: Callable[..., Any], optimiser: Any, history: bool | str) -> tuple[Callable, Callable]:
    """The two compiled functions of a run: evaluate at the start, and take up to CHUNK steps."""
    optimiser = optax.with_extra_args_support(optimiser)

    def function(problem: tuple[Parametrisation, Any]) -> Callable[[Array], Array]:
        parametrisation, args = problem

        def value_fn(u: Array) -> Array:
            model = parametrisation.build(u)
            return _real_scalar(objective(model) if args is None else objective(model, args), u.dtype)

        return value_fn

    def row(state: _State, parametrisation: Parametrisation) -> dict[str, Any]:
        row = {"objective": state.value, "gradient_norm": state.norm} if history else {}
        return {**row, "values": parametrisation.values(state.u)} if history == "values" else row

    def step(state: _State, value_fn: Callable[[Array], Array]) -> _State:
        updates, changed = optimiser.update(
            state.gradient, state.optimiser, state.u, value=state.value, grad=state.gradient, value_fn=value_fn
        )
        inner = jax.tree_util.tree_map(_like, changed, state.optimiser)
        u: Any = optax.apply_updates(state.u, updates)
        known = _known(inner)
        value, gradient = jax.value_and_grad(value_fn)(u) if known is None else known
        new = _State(u, state.step + 1, value, gradient, inner, state.best)
        norm, (_, least, least_norm) = new.norm, state.best
        # Where values are equal but for rounding, the smaller gradient is nearer to the minimum.
        level = least + 4 * jnp.finfo(u.dtype).eps * jnp.abs(least)
        better = new.finite & ((value < least) | ((value <= level) & (norm < least_norm)))
        best = jax.tree_util.tree_map(lambda a, b: jnp.where(better, a, b), (u, value, norm), state.best)
        return eqx.tree_at(lambda s: s.best, new, best)

    @eqx.filter_jit
    def begin(problem: tuple[Parametrisation, Any]) -> tuple[_State, dict[str, Any]]:
        u = problem[0].start
        value, gradient = jax.value_and_grad(function(problem))(u)
        inner = jax.tree_util.tree_map(_strong, optimiser.init(u))
        best = (u, value, jnp.linalg.norm(gradient))
        state = _State(u, jnp.zeros((), int), value, gradient, inner, best)
        return state, jax.tree_util.tree_map(lambda x: x[None], row(state, problem[0]))

    @eqx.filter_jit
    def advance(
        state: _State, count: Array, tolerance: Array | None, problem: tuple[Parametrisation, Any]
    ) -> tuple[_State, dict[str, Any], Array]:
        value_fn = function(problem)

        def iteration(carry: tuple) -> tuple:
            i, state, rows = carry
            state = step(state, value_fn)
            rows = jax.tree_util.tree_map(lambda kept, x: kept.at[i].set(x), rows, row(state, problem[0]))
            return i + 1, state, rows

        def going(carry: tuple) -> Array:
            i, state, _ = carry
            return (i < count) & state.going(tolerance)

        rows = jax.tree_util.tree_map(lambda x: jnp.zeros((CHUNK, *x.shape), x.dtype), row(state, problem[0]))
        i, state, rows = lax.while_loop(going, iteration, (jnp.zeros((), int), state, rows))
        return state, rows, i

    def take(state: _State, count: int, tolerance: float | None, problem: tuple[Parametrisation, Any]) -> Any:
        # Numbers as arrays: every Python number would be compiled anew.
        return advance(state, jnp.asarray(count), None if tolerance is None else jnp.asarray(tolerance), problem)

    return begin, take


def _known(inner: PyTree) -> tuple[Any, Any] | None:
    """Value and gradient at the new point, where a line search at the end of the chain has just computed them."""
    while type(inner) is tuple and inner:
        inner = inner[-1]
    if isinstance(inner, (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)):
        return None if inner.grad is None else (inner.value, inner.grad)
    return None


def _real_scalar(value: Any, dtype: Any) -> Array:
    array = hasattr(value, "dtype") and hasattr(value, "shape")
    was = f"{value.dtype} of shape {value.shape}" if array else f"a {type(value).__name__}"
    real = eqx.is_array_like(value) and jnp.issubdtype(jnp.result_type(value), jnp.floating) and jnp.shape(value) == ()
    require(real, "objective", "return a real scalar", was)
    return lax.convert_element_type(value, dtype)


def _strong(x: Any) -> Array:
    # Weak types would become strong in the first step, and a second compilation would follow.
    x = jnp.asarray(x)
    return _like(x, x)


def _like(new: Array, old: Array) -> Array:
    return new if jnp.issubdtype(old.dtype, jax.dtypes.prng_key) else lax.convert_element_type(new, old.dtype)


def _tried(objective: Any, *given: Any) -> None:
    eqx.filter_eval_shape(lambda *given: _real_scalar(objective(*given), jnp.result_type(float)), *given)


def _check(optimiser: Any, tolerance: Any, history: Any, checkpoint: Any) -> None:
    ours = optimiser is None or isinstance(optimiser, optax.GradientTransformation)
    require(ours, "optimiser", "be an optax optimiser, e.g. optax.adam(1e-2)", optimiser)
    if tolerance is not None:
        require_known(tolerance, "tolerance")
        as_scalar(tolerance, "tolerance", lower=0.0)
    as_choice(history, "history", (True, False, "values"))
    if checkpoint is not None:
        folder = as_path(checkpoint, "checkpoint").absolute().parent
        require(folder.is_dir(), "checkpoint", "be a file in a folder that exists", checkpoint)


def _built(parametrisation: Parametrisation, u: Array) -> tuple[Any, str]:
    """The model at u, and a sentence where its own checks, of which traced code knows nothing, refuse it."""
    try:
        return parametrisation.build(u), ""
    except ValueError as error:
        return eqx.filter_jit(parametrisation.build)(u), f" The model itself refuses these values: {error}"


def _joined(records: list[History]) -> History:
    return jax.tree_util.tree_map(lambda *parts: np.concatenate(parts), *records)


def _cause(error: RuntimeError) -> str:
    """The one line of an error that says what was wrong; equinox puts it amid advice on debugging."""
    said = re.search("EquinoxRuntimeError: (.+)", str(error)) or re.search("(.+)", str(error))
    return said[1].strip() if said else repr(error)


def _ending(run: _Run, steps: int, tolerance: float | None, interrupted: bool) -> str:
    state, step, norm = run.state, run.step, float(run.state.norm)
    if run.failure:
        return (
            f"Stopped after {step} steps: step {step + 1} failed ({run.failure}). The best iterate before it is "
            "returned. If a solver in the objective raised this, call it with throw=False."
        )
    if not bool(state.finite):
        cause = (
            "a step too long, into values for which the model has no solution: lower the learning rate, add "
            "optax.clip_by_global_norm, or give the leaf an Interval"
            if not math.isfinite(float(state.value))
            else "the derivative of a square root, norm or logarithm at 0: use squares in the objective"
        )
        return (
            f"Stopped at step {step}: the objective was {float(state.value):g} with a gradient of norm {norm:g}. "
            f"The best iterate before it is returned. Likely cause: {cause}."
        )
    if tolerance is not None and norm <= tolerance:
        if float(state.best[2]) > tolerance:
            return (
                f"Stopped after {step} steps, where the gradient norm is {norm:.3g}; but an iterate before had a lower "
                "objective and is returned: minimise again from there."
            )
        return f"Converged after {step} steps: gradient norm {norm:.3g}, at most the tolerance {tolerance:g}."
    if step < steps and interrupted:
        return (
            f"Interrupted after {step} of {steps} steps, with a gradient norm of {norm:.3g}; "
            "the best iterate so far is returned."
        )
    wanted = "no tolerance was asked for" if tolerance is None else f"the tolerance is {tolerance:g}: raise steps"
    return f"Took all {step} steps; the last gradient norm is {norm:.3g} ({wanted})."


class _File:
    """The checkpoint of one run: saves each state once, and loads only what is of the same problem."""

    def __init__(self, path: str | os.PathLike, parametrisation: Parametrisation, start: _State, history: Any):
        self.path = Path(path)
        self.about = {"kind": "minimise", "parameters": list(parametrisation.names), "history": history}
        leaves = [np.ravel(x) for x in parametrisation.values(start.u).values()]
        self.start = np.concatenate([np.ravel(start.value), *leaves])
        self.saved = 0

    def save(self, run: _Run) -> None:
        if run.step == self.saved:
            return
        run.records[:] = [_joined(run.records)]
        try:
            save_checkpoint(self.path, (run.state, run.records[0], self.start), {**self.about, "step": run.step})
            self.saved = run.step
        except OSError as error:  # A full disk must not cost the run.
            warnings.warn(f"The checkpoint {self.path} could not be written: {error}.", RuntimeWarning, stacklevel=3)

    def load(self, state: _State, rows: History) -> tuple[_State, list[History]]:
        def like(header: dict[str, Any]) -> Any:
            count = header["step"] + 1
            then = jax.tree_util.tree_map(lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype), rows)
            return state, then, jax.ShapeDtypeStruct(self.start.shape, self.start.dtype)

        (state, rows, start), _ = load_checkpoint(self.path, like, self.about)
        # The objective is code, of which a file knows only what it gave. Other machines may round it otherwise.
        same = np.allclose(np.asarray(start), self.start, rtol=float(np.sqrt(np.finfo(self.start.dtype).eps)), atol=0.0)
        if not same:
            raise ValueError(
                f"Argument checkpoint must belong to this problem, but {self.path} belongs to another: objective and "
                f"free leaves were {np.asarray(start)[:8]} at the start there and are {self.start[:8]} here. "
                "Pass another file, or delete this one to start anew."
            )
        self.saved = int(state.step)
        return state, [jax.tree_util.tree_map(np.asarray, rows)]
