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
from jaxtyping import Array, Float, Shaped

from diffnr.checks import (
    Numbers,
    as_count,
    as_index,
    as_inexact,
    as_range,
    as_real,
    require,
    require_bounds,
    require_finite,
    require_instance,
    require_known,
)
from diffnr.parameters import bounds, get, paths, replace
from diffnr.ports import AbstractPortModel, Drive, port_response, require_port_model
from diffnr.results import RESULTS
from optimize.objectives import amplitude_ratio, passed_and_blocked
from optimize.scenarios import Scenarios, with_uncertainty

MOST_POINTS = 100_000
MOST_TOLERANCES = 8  # 257 corners: with a band of 21 frequencies 5397 cases
RATIO, LOSS, CONTRAST = range(3)  # the figures of a design, in each case

Model = TypeVar("Model")
Tolerances = Mapping[str, Numbers] | Scenarios  # {path: half-width}


class Cases(eqx.Module):
    """Frequencies and shifts of leaves, case by case; the first cases are the frequencies without any shift.

    **Fields:** `omegas` [case]; `shifts`, `{path: [case, *shape of the leaf]}`; `amplitude` [], of the drive; `out`,
    `into`, the direction that passes.
    """

    omegas: Float[Array, " case"]
    shifts: dict[str, Float[Array, "case ..."]]
    amplitude: Shaped[Array, ""]
    out: int = eqx.field(static=True)
    into: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        model: AbstractPortModel,
        *,
        omega: Any = None,
        band: Any = None,
        out: Any,
        into: Any,
        tolerances: Any = None,
        amplitude: Any = 1.0,
        points: Any = 21,
    ) -> Cases:
        """The cases that arguments of `maximise_isolation` ask for.

        **Raises:** `ValueError` for arguments that make no sense.
        """
        require_port_model(model)
        out = as_index(out, "out", model.num_ports, "port")
        into = as_index(into, "into", model.num_ports, "port")
        require(out != into, "into", "differ from out", f"{into} like out")
        require_known(amplitude, "amplitude")
        drive = np.asarray(as_inexact(amplitude, "amplitude"))
        require_finite("amplitude", drive)
        require(drive.ndim == 0 and drive != 0, "amplitude", "be a scalar other than 0", drive)
        leaves = [leaf for leaf in jax.tree_util.tree_leaves(model) if eqx.is_inexact_array(leaf)]
        dtype = jnp.result_type(*(leaf.real.dtype for leaf in leaves)) if leaves else jnp.result_type(float)
        tone = jnp.asarray(drive, jnp.result_type(dtype, jnp.complex64) if np.iscomplexobj(drive) else dtype)
        omegas = _frequencies(omega, band, points)
        count, shifts = _shifts(model, tolerances)
        tiled = {path: np.repeat(moved, omegas.size, axis=0) for path, moved in shifts.items()}
        return cls(
            omegas=jnp.asarray(np.tile(omegas, count), dtype),
            shifts={path: jnp.asarray(moved, get(model, path).dtype) for path, moved in tiled.items()},
            amplitude=tone,
            out=out,
            into=into,
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """The two ports that are driven, in turn."""
        return tuple(sorted((self.out, self.into)))

    @property
    def middle(self) -> Drive:
        """The drive of the middle case: in the middle of the band, since corners come in pairs beside the centre."""
        return Drive(self.omegas[self.omegas.size // 2], self.amplitude)

    def powers(
        self, model: AbstractPortModel, omega: Float[Array, ""], shifts: dict[str, Array]
    ) -> Float[Array, " both"]:
        """What passes and what is blocked in one case, `objectives.passed_and_blocked`; NaN in an unstable state."""
        response = port_response(shifted(model, shifts), Drive(omega, self.amplitude), ports=self.ports, throw=False)
        unstable = jnp.any(response.result == RESULTS.unstable)
        return jnp.where(unstable, jnp.nan, passed_and_blocked(response, out=self.out, into=self.into))

    def figures(self, model: AbstractPortModel) -> Float[Array, "case figure"]:
        """The figures of a model in every case."""
        return jax.vmap(figures)(jax.vmap(self.powers, (None, 0, 0))(model, self.omegas, self.shifts))


class Assessment(eqx.Module):
    """How good a device is in the worst of the cases asked for; made by `assess`.

    **Fields:** `isolation` (dB, least over band and tolerances), `insertion_loss` (dB, largest), `contrast` (least);
    the last two are NaN where ports are not power-normalised. `valid`: whether the model could be evaluated in every
    case, is stable there, and passes something; otherwise there is no worst case, and the figures are NaN or infinite.
    """

    isolation: float
    insertion_loss: float
    contrast: float

    @property
    def valid(self) -> bool:
        return not (math.isnan(self.isolation) or math.isinf(self.insertion_loss))


def assess(
    model: Any,
    *,
    omega: Numbers | None = None,
    band: Any = None,
    out: Any,
    into: Any,
    tolerances: Tolerances | None = None,
    amplitude: Numbers = 1.0,
    points: Any = 21,
) -> Assessment:
    """A device as it is, judged as the searches judge their designs: at its worst over a band and a tolerance box.

        min I,  max L,  min (|S[out, into]|² − |S[into, out]|²)      over ω and x + s·δ

    **Arguments:** as `optimize.maximise_isolation`; of a fit, its model with its uncertainty.

    **Returns:** an `Assessment`; NaN where the model cannot be evaluated, or is unstable, in some case.

    **Raises:** `ValueError` for arguments that make no sense.

    Usage: `assess(model, band=(-0.5, 0.5), out=0, into=1, tolerances={"kappa": 0.1}).isolation`.
    """
    model, tolerances = with_uncertainty(model, tolerances)
    cases = Cases.of(
        model, omega=omega, band=band, out=out, into=into, tolerances=tolerances, amplitude=amplitude, points=points
    )
    return worst(np.asarray(jax.vmap(figures)(powers(model, cases))), model.power_normalised)


def half_widths(model: Any, tolerances: Mapping[str, Numbers]) -> dict[str, np.ndarray]:
    """The half-widths `{path: …}` of a model's leaves, each in its leaf's shape.

    **Raises:** `ValueError` for a path that names no real leaf, a half-width of another shape, negative or not finite,
    or too many of them.
    """
    must = "be a dict {path: half-width}, such as {'kappa': 0.1}"
    require_instance(tolerances, "tolerances", Mapping, must)
    require(all(isinstance(path, str) for path in tolerances), "tolerances", must, tolerances)
    widths = {}
    for path, given in tolerances.items():
        require_known(given, f"tolerances[{path!r}]")
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
def powers(model: AbstractPortModel, cases: Cases) -> Float[Array, "case both"]:
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


def _frequencies(omega: Any, band: Any, points: Any) -> np.ndarray:
    given = [name for name, value in (("omega", omega), ("band", band)) if value is not None]
    require(len(given) == 1, "omega", "be given, or band, and not both", "given with band" if given else "not given")
    points = as_count(points, "points", least=2, most=MOST_POINTS)
    require_known((omega, band), given[0])
    if band is None:
        frequency = np.asarray(as_real(omega, "omega"))
        require(frequency.ndim == 0, "omega", "be a scalar (give band for a worst case)", f"of shape {frequency.shape}")
        require_finite("omega", frequency)
        return frequency[None]
    low, high = as_range(band, "band")
    return np.linspace(float(low), float(high), points)


def _shifts(model: Any, tolerances: Any) -> tuple[int, dict[str, np.ndarray]]:
    """How many models there are, the nominal one and those of its tolerances, and `{path: shift [model, *shape]}`."""
    if isinstance(tolerances, Scenarios):
        return 1 + tolerances.draws, {path: _drawn(model, path, drawn) for path, drawn in tolerances.shifts.items()}
    widths = {
        path: width
        for path, width in half_widths(model, {} if tolerances is None else tolerances).items()
        if np.any(width)
    }
    signs = _corners(_count(widths))
    columns, shifts = iter(signs.T), {}
    for path, width in widths.items():
        shifts[path] = np.zeros((len(signs), *width.shape))
        for index in zip(*np.nonzero(np.atleast_1d(width)), strict=True):
            entry = index if width.ndim else ()
            shifts[path][(slice(None), *entry)] = next(columns) * width[entry]
    return len(signs), shifts


def _drawn(model: Any, path: str, drawn: Array) -> np.ndarray:
    """The shifts of one leaf, with none in front."""
    leaf = _real_leaf(model, path)
    must = f"be of this model, whose {path!r} has shape {leaf.shape}"
    require(drawn.shape[1:] == leaf.shape, "tolerances", must, f"scenarios of shape {drawn.shape[1:]}")
    return np.concatenate([np.zeros((1, *leaf.shape)), np.asarray(drawn)])


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
