"""The cases in which a design is judged: every frequency of a band, with every corner of a tolerance box.

    x → x + s·δ,      s ∈ {0} ∪ {−1, +1}^p

around the design's own values x. Each case is a row of its own in a worst case, which therefore stays smooth (see
`optimize.constrained`), and all of them are one `vmap`: their number changes what a search costs, not what it compiles.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from diffnr.checks import Numbers, as_index, as_real, require, require_bounds, require_finite
from diffnr.parameters import bounds, get, paths, replace
from diffnr.ports import AbstractPortModel, Drive, port_response
from optimize.objectives import amplitude_ratio, passed_and_blocked

MOST_TOLERANCES = 8  # 257 corners: with a band of 21 frequencies 5397 cases
RATIO, LOSS, CONTRAST = range(3)  # the figures of a design, in each case

Model = TypeVar("Model")
Tolerances = Mapping[str, Numbers]  # {path: half-width}


class Scenarios(eqx.Module):
    """Frequencies and shifts of leaves, case by case; the first cases are the frequencies without any shift.

    **Fields:** `omegas` [case]; `shifts`, `{path: [case, *shape of the leaf]}`; `amplitude` [], of the drive; `out`,
    `into`, the direction that passes.
    """

    omegas: Float[Array, " case"]
    shifts: dict[str, Float[Array, "case ..."]]
    amplitude: Shaped[Array, ""]
    out: int = eqx.field(static=True)
    into: int = eqx.field(static=True)

    def powers(
        self, model: AbstractPortModel, omega: Float[Array, ""], shifts: dict[str, Array]
    ) -> Float[Array, " both"]:
        """What passes and what is blocked in one case: `objectives.passed_and_blocked`."""
        ports = sorted((self.out, self.into))
        response = port_response(shifted(model, shifts), Drive(omega, self.amplitude), ports=ports, throw=False)
        return passed_and_blocked(response, out=self.out, into=self.into)


class Assessment(eqx.Module):
    """How good a device is in the worst of the cases asked for; made by `assess`.

    **Fields:** `isolation` (dB, least over band and tolerances), `insertion_loss` (dB, largest), `contrast` (least);
    the last two are NaN where ports are not power-normalised.
    """

    isolation: float
    insertion_loss: float
    contrast: float


def assess(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    out: int,
    into: int,
    tolerances: Tolerances | None = None,
    amplitude: ArrayLike = 1.0,
    points: int = 21,
) -> Assessment:
    """A device as it is, judged as the searches judge their designs: at its worst over a band and a tolerance box.

        min I,  max L,  min (|S[out, into]|² − |S[into, out]|²)      over ω and x + s·δ

    **Arguments:** as `optimize.maximise_isolation`.

    **Returns:** an `Assessment`; NaN where the model cannot be evaluated in some case.

    **Raises:** `ValueError` for arguments that make no sense.
    """
    leaves = [leaf for leaf in jax.tree_util.tree_leaves(model) if eqx.is_inexact_array(leaf)]
    dtype = jnp.result_type(*(leaf.real.dtype for leaf in leaves)) if leaves else jnp.result_type(float)
    cases = scenarios(
        model,
        omega=omega,
        band=band,
        out=out,
        into=into,
        amplitude=amplitude,
        points=points,
        tolerances=tolerances,
        dtype=dtype,
    )
    return worst(np.asarray(jax.vmap(figures)(powers(model, cases))), model.power_normalised)


def scenarios(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None,
    band: tuple[float, float] | None,
    out: int,
    into: int,
    amplitude: ArrayLike,
    points: int,
    tolerances: Tolerances | None,
    dtype: Any,
) -> Scenarios:
    """The cases that arguments of `maximise_isolation` ask for.

    **Arguments:** as there; `dtype`: of the frequencies.

    **Raises:** `ValueError` for arguments that make no sense.
    """
    out = as_index(out, "out", model.num_ports, "port")
    into = as_index(into, "into", model.num_ports, "port")
    require(out != into, "into", "differ from out", f"{into} like out")
    drive = np.asarray(amplitude)
    require_finite("amplitude", drive)
    require(drive.ndim == 0 and drive != 0, "amplitude", "be a scalar other than 0", drive)
    tone = jnp.asarray(drive, jnp.result_type(dtype, jnp.complex64) if np.iscomplexobj(drive) else dtype)
    omegas = np.asarray(_frequencies(omega, band, points))
    widths = {path: width for path, width in half_widths(model, tolerances or {}).items() if np.any(width)}
    signs = _corners(_count(widths))
    columns, shifts = iter(signs.T), {}
    for path, width in widths.items():
        moved = np.zeros((len(signs), *width.shape))
        for index in zip(*np.nonzero(np.atleast_1d(width)), strict=True):
            entry = index if width.ndim else ()
            moved[(slice(None), *entry)] = next(columns) * width[entry]
        shifts[path] = jnp.asarray(np.repeat(moved, omegas.size, axis=0), get(model, path).dtype)
    return Scenarios(jnp.asarray(np.tile(omegas, len(signs)), dtype), shifts, tone, out, into)


def half_widths(model: Any, tolerances: Tolerances) -> dict[str, np.ndarray]:
    """The half-widths `{path: …}` of a model's leaves, each in its leaf's shape.

    **Raises:** `ValueError` for a path that names no real leaf, a half-width of another shape, negative or not finite,
    or too many of them.
    """
    widths = {}
    for path, given in tolerances.items():
        leaf, name = _real_leaf(model, path), f"tolerances[{path!r}]"
        width = as_real(given, name)
        shapes = " or ".join(str(shape) for shape in sorted({(), leaf.shape}))
        require(width.shape in ((), leaf.shape), name, f"have shape {shapes}", f"of shape {width.shape}")
        require_bounds(name, width, lower=0.0)
        widths[path] = np.broadcast_to(np.asarray(given, float), leaf.shape)
    count = _count(widths)
    most = f"give no more than {MOST_TOLERANCES} entries a half-width other than 0 (n of them have 2ⁿ corners)"
    require(count <= MOST_TOLERANCES, "tolerances", most, f"of {count} entries")
    return widths


def shifted(model: Model, shifts: Mapping[str, Array]) -> Model:
    """The model with leaves moved by `{path: shift}`, each no further than to its physical bounds."""
    for path, shift in shifts.items():
        model = replace(model, {path: jnp.clip(get(model, path) + shift, *bounds(model, path))})
    return model


@eqx.filter_jit
def powers(model: AbstractPortModel, cases: Scenarios) -> Float[Array, "case both"]:
    """What passes and what is blocked in every case."""
    return jax.vmap(cases.powers, (None, 0, 0))(model, cases.omegas, cases.shifts)


def figures(both: Float[Array, " both"]) -> Float[Array, " figure"]:
    """The ratio blocked/passed of amplitudes, the insertion loss in dB and the contrast, of one case."""
    passed, blocked = both
    return jnp.stack([amplitude_ratio(passed, blocked), -10 * jnp.log10(passed), passed - blocked])


def worst(values: Float[np.ndarray, "case figure"], power_normalised: bool) -> Assessment:
    """The worst of the figures [case, 3]."""
    ratio, loss, contrast = values.T
    return Assessment(
        isolation=decibel(float(ratio.max())),
        insertion_loss=float(loss.max()) if power_normalised else math.nan,
        contrast=float(contrast.min()) if power_normalised else math.nan,
    )


def decibel(ratio: float) -> float:
    """The isolation in dB of a ratio blocked/passed: inf where it is 0."""
    return math.inf if ratio == 0 else 0.0 - 20 * math.log10(ratio)


def _frequencies(omega: ArrayLike | None, band: tuple[float, float] | None, points: int) -> np.ndarray:
    given = [name for name, value in (("omega", omega), ("band", band)) if value is not None]
    require(len(given) == 1, "omega", "be given, or band, and not both", "given with band" if given else "not given")
    if band is None:
        frequency = np.asarray(omega, float)
        require_finite("omega", frequency)
        require(frequency.ndim == 0, "omega", "be a scalar (give band for a worst case)", f"of shape {frequency.shape}")
        return frequency[None]
    require(len(band) == 2, "band", "be a pair (lowest, highest)", band)
    require_finite("band", np.asarray(band, float))
    require(band[0] < band[1], "band", "be (lowest, highest), in this order", band)
    require(points >= 2, "points", "be at least 2", points)
    return np.linspace(*band, points)


def _count(widths: Mapping[str, np.ndarray]) -> int:
    return sum(int(np.count_nonzero(width)) for width in widths.values())


def _real_leaf(model: Any, path: str) -> Array:
    known = [name for name in paths(model) if _is_real(get(model, name))]
    with contextlib.suppress(ValueError):  # of a path that leads nowhere; its sentence is about another argument
        leaf = get(model, path)
        if _is_real(leaf):
            return leaf
    raise ValueError(
        f"Argument tolerances must name real parameters of {type(model).__name__} "
        f"({', '.join(map(repr, known))}), but had {path!r}."
    )


def _is_real(leaf: Any) -> bool:
    return eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _corners(count: int) -> np.ndarray:
    """The centre and the corners of a cube, [1 + 2^count, count]; of no dimensions, the centre alone."""
    corners = list(itertools.product((-1.0, 1.0), repeat=count)) if count else []
    return np.asarray([(0.0,) * count, *corners])
