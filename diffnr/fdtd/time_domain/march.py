"""Many steps as one compiled program: a flat loop for runs, and one with checkpoints for gradients."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex, Inexact

from diffnr.checks import described, require, tried
from diffnr.fdtd.time_domain.functional import Functional
from diffnr.fdtd.time_domain.leapfrog import Fields, Update
from diffnr.fdtd.time_domain.transform import FieldTransform

LONGEST = 4096  # steps of one call of `march`; a compiled size, so the same in every run
Source = tuple[Functional, Callable[[Array], Array]]


class State(NamedTuple):
    """What goes on from step to step: the fields, and the running transforms."""

    fields: Fields
    sums: tuple[Complex[Array, "_frequency _p _q"], ...]


class Task(eqx.Module):
    """The step, what drives it, and what is read after it."""

    update: Update
    sources: tuple[Source, ...]
    probes: tuple[Functional, ...]
    transforms: tuple[FieldTransform, ...]

    def start(self, fields: Fields) -> State:
        """The state before the first step."""
        return State(fields, tuple(transform.start(fields) for transform in self.transforms))

    def tables(self, steps: Array) -> tuple[Any, Any]:
        """Of each source its strength, of each transform its factors, at steps counted from the very first."""
        now, step = steps * self.update.step, self.update.step
        strengths = tuple(
            strengths_of(source, waveform, now + _when(source.component, 0.0, 0.5) * step)
            for source, waveform in self.sources
        )
        factors = tuple(t.factors(now + _when(t.component, 0.5, 1.0) * step, step) for t in self.transforms)
        return strengths, factors

    def advance(self, state: State, step: Array, table: tuple[Any, Any]) -> tuple[State, Inexact[Array, " probe"]]:
        """The state one step later, and what the probes read there."""
        strengths, factors = table
        fields = driven_step(self.update, self.sources, state.fields, strengths)
        sums = tuple(
            # Not the bound method: lax.cond would hash it, and its arrays with it.
            lax.cond(step % t.stride == 0, lambda *a, t=t: t.add(*a), lambda total, *_: total, total, fields, factor)
            for t, total, factor in zip(self.transforms, state.sums, factors, strict=True)
        )
        return State(fields, sums), self.read(fields)

    def read(self, fields: Fields) -> Inexact[Array, " probe"]:
        """What the probes read."""
        if not self.probes:
            return jnp.zeros((0,), fields.hz.dtype)
        return jnp.stack([probe.read(self.update.scene.grid, fields) for probe in self.probes])

    def reading_dtype(self, fields: Fields) -> Any:
        """Of what the probes read."""
        return jnp.result_type(fields.hz.dtype, *(probe.reading_dtype(fields.hz.dtype) for probe in self.probes))


def strengths_of(source: Functional, waveform: Any, times: Array) -> Array:
    """What a source does at each of several times; raises one sentence where its strength is no such function.

    Here and not before, so that a user's function is called only where a program is made.
    """
    must = "be a list of pairs (Functional, function t -> s(t) of one number or one for each term)"

    def trial(function: Callable) -> Array:
        values = jax.vmap(function)(times)
        require(isinstance(values, jax.Array), "sources", must, f"with a function that returns {described(values)}")
        shape = source.weights.shape[:-2]
        was = f"with a function that returns the shape {values.shape[1:]}"
        require(values.shape[1:] == shape, "sources", must, was)
        numbers = jnp.issubdtype(values.dtype, jnp.number)
        require(numbers, "sources", must, f"with a function that returns {values.dtype}")
        return values

    return tried(waveform, "sources", must, trial)


def driven_step(update: Update, sources: tuple[Source, ...], fields: Fields, strengths: Any) -> Fields:
    """The fields one step later, with sources of these strengths added: those of Hz and those of E in their halves."""
    for half, magnetic in ((update.magnetic, True), (update.electric, False)):
        fields = half(fields)
        for (source, _), strength in zip(sources, strengths, strict=True):
            if (source.component == "hz") == magnetic:
                fields = source.drive(update, fields, strength)
    return fields


def march(
    task: Task, state: State, begin: Array, count: Array
) -> tuple[State, Inexact[Array, "time probe"], Bool[Array, ""]]:
    """`count` steps, at most LONGEST: the state, what was read (of which `count` rows hold), whether all is finite."""
    indices = begin + jnp.arange(LONGEST)
    tables = task.tables(indices)
    traces = jnp.zeros((LONGEST, len(task.probes)), task.reading_dtype(state.fields))

    def advance(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, traces = carry
        state, read = task.advance(state, begin + i, jax.tree_util.tree_map(lambda table: table[i], tables))
        return state, traces.at[i].set(read)

    state, traces = lax.fori_loop(0, count, advance, (state, traces))
    finite = jnp.stack([jnp.all(jnp.isfinite(field)) for field in jax.tree_util.tree_leaves(state)])
    return state, traces, jnp.all(finite)


def march_with_checkpoints(
    task: Task, state: State, begin: Any, count: int, checkpoints: int
) -> tuple[State, Inexact[Array, "time probe"]]:
    """`count` steps whose derivative keeps at most about `checkpoints` states, at one more run for each nesting.

    Each nesting keeps a state where each of its stretches begins; the innermost keeps two for each of its steps.
    """
    levels = next(n for n in range(1, 64) if (n + 1) * math.ceil(count ** (1 / n)) <= max(checkpoints, 2 * (n + 1)))
    indices = jnp.arange(count)

    def advance(state: State, item: tuple[Array, Any]) -> tuple[State, Array]:
        return task.advance(state, *item)

    items = begin + indices, task.tables(begin + indices)
    return _nested(advance, state, items, count, math.ceil(count ** (1 / levels)), levels)


def _nested(advance: Callable, state: Any, items: Any, count: int, inner: int, levels: int) -> tuple[Any, Any]:
    """A scan, as scans of scans of which each keeps only where it began."""
    block = inner ** (levels - 1)
    whole = count // block
    if levels == 1:
        return lax.scan(advance, state, items)
    if whole == 0:
        return _nested(advance, state, items, count, inner, levels - 1)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def stretch(state: Any, items: Any) -> tuple[Any, Any]:
        return _nested(advance, state, items, block, inner, levels - 1)

    parts = jax.tree_util.tree_map(lambda x: x[: whole * block].reshape(whole, block, *x.shape[1:]), items)
    state, read = lax.scan(stretch, state, parts)
    read = jax.tree_util.tree_map(lambda x: x.reshape(whole * block, *x.shape[2:]), read)
    if count > whole * block:
        rest = jax.tree_util.tree_map(lambda x: x[whole * block :], items)
        state, last = _nested(advance, state, rest, count - whole * block, inner, levels - 1)
        read = jax.tree_util.tree_map(lambda a, b: jnp.concatenate([a, b]), read, last)
    return state, read


def _when(component: str, magnetic: float, electric: float) -> float:
    return magnetic if component == "hz" else electric
