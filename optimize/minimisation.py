"""Minimise any objective of a model over any of its leaves, with any optax optimiser.

The loop is compiled; between its chunks it can be watched, interrupted, saved and resumed.
"""

from __future__ import annotations

import math
import signal
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

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
from optimize.minimisation_run import History, Run, RunFile, joined
from optimize.minimisation_steps import compiled_steps, real_scalar
from optimize.transforms import Parametrisation, parametrise


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
      An unstable state keeps its values: where one is no answer, make it NaN by `jnp.where(converged, value, jnp.nan)`.
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
    begin, advance = compiled_steps(objective, optax.lbfgs() if optimiser is None else optimiser, history)
    problem = (parametrisation, args)
    require(is_concrete(problem), "model", "hold numbers (minimise cannot run inside jit, vmap or grad)", "traced")

    state, rows = begin(problem)
    was = f"{float(state.value):g}, with a gradient of norm {float(state.norm):g}"
    require(bool(state.finite), "objective", "be finite with its gradient at the start", was)
    file = None if checkpoint is None else RunFile(checkpoint, parametrisation, state, history)
    state, records = file.load(state, rows) if file and file.path.exists() else (state, [rows])

    run = Run(lambda state, count: advance(state, count, tolerance, problem), state, records)
    interrupted = _carried_out(run, steps, tolerance, file, steps if file is None else checkpoint_every, progress)
    u, value, norm = run.state.best
    model, refusal = _built(parametrisation, u)
    converged = tolerance is not None and bool(norm <= tolerance)
    message = _ending(run, steps, tolerance, interrupted) + refusal
    if throw and not converged:
        raise RuntimeError(message)
    return Minimum(
        model=model,
        objective=value,
        values=parametrisation.values(u),
        gradient_norm=norm,
        history=joined(run.records),
        steps=run.step,
        converged=converged,
        message=message,
    )


def _carried_out(run: Run, steps: int, tolerance: Any, file: RunFile | None, every: int, progress: bool | None) -> bool:
    """Take the steps of a run, saving it `every` so many and at the end; whether somebody interrupted it."""
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
    return bool(interrupts)


def _tried(objective: Any, *given: Any) -> None:
    eqx.filter_eval_shape(lambda *given: real_scalar(objective(*given), jnp.result_type(float)), *given)


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


def _ending(run: Run, steps: int, tolerance: float | None, interrupted: bool) -> str:
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
