"""What modulated oscillators do under a tone: sidebands of the drive, from a ladder of equations."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_index,
    as_tolerance,
    is_concrete,
    require,
    require_instance,
)
from diffnr.compilation import compiled
from diffnr.duffing.modulated import ModulatedOscillators, require_modulated
from diffnr.ports import AbstractPortModel, Drive
from diffnr.results import RESULTS, AbstractAnswer, raise_failures

FEWEST, MOST = 24, 192  # sidebands to either side: tried first, and tried at most where they are chosen

Answer = TypeVar("Answer", bound=AbstractAnswer)


class ModulatedResponse(AbstractAnswer):
    """What modulated oscillators do when each of them alone is driven by F cos ωt:

        x_out(t) = Re Σ_n b[out, in, n] e^{i(ω + nω_m)t},     n = −N … N

    **Fields:** `b` complex [out, in, sideband]; `drive`; `omega_m` []; `multipliers` [2n], of the undriven oscillators;
    `result` [in], a `RESULTS`: `b` is NaN where it is no success.
    """

    b: Complex[Array, "*batch out in sideband"]
    drive: Drive
    omega_m: Float[Array, "*batch"]
    multipliers: Complex[Array, "*batch state"]
    result: Any

    @property
    def sidebands(self) -> tuple[int, ...]:
        """Which n each entry of the last axis is."""
        highest = self.b.shape[-1] // 2
        return tuple(range(-highest, highest + 1))

    @property
    def omegas(self) -> Float[Array, "*batch sideband"]:
        """ω + nω_m of each sideband; a negative one is no conjugate's, but belongs to the ladder."""
        return self.drive.omega[..., None] + self.omega_m[..., None] * np.asarray(self.sidebands)

    @property
    def fundamental(self) -> Complex[Array, "*batch out in"]:
        """The amplitudes at the drive's own frequency, n = 0."""
        return self.b[..., self.b.shape[-1] // 2]

    @property
    def norm(self) -> Float[Array, "*batch out in"]:
        """N = √(½ Σ_n |b_n|²), the root mean square of each displacement over a long time.

        Where 2ω is a multiple of ω_m two tones have one frequency, and this is the mean over the phase between drive
        and modulation.
        """
        return jnp.sqrt(_half_square(self.b))

    @property
    def stable(self) -> Bool[Array, "*batch"]:
        """Whether the undriven oscillators come to rest."""
        return jnp.abs(self.multipliers[..., 0]) < 1

    def reciprocity_norm(self, *, out: Any = 1, into: Any = 0, squared: bool = False) -> Float[Array, "*batch"]:
        """R = √(½ Σ_n |b_n[out, into] − b_n[into, out]|²) over all sidebands; or R², which has a derivative at 0.

        **Raises:** `ValueError` for oscillators that do not exist or are the same.
        """
        out, into = self._direction(out, into)
        total = _half_square(self.b[..., out, into, :] - self.b[..., into, out, :])
        return total if as_flag(squared, "squared") else jnp.sqrt(total)

    def nonreciprocal_phase(self, *, out: Any = 1, into: Any = 0) -> Float[Array, "*batch"]:
        """Δφ = arg b_0[out, into] − arg b_0[into, out] of the fundamentals, rad, in [−π, π].

        **Raises:** `ValueError` for oscillators that do not exist or are the same.
        """
        out, into = self._direction(out, into)
        fundamental = self.fundamental
        return jnp.angle(fundamental[..., out, into] * jnp.conj(fundamental[..., into, out]))

    def _direction(self, out: Any, into: Any) -> tuple[int, int]:
        n = self.b.shape[-2]
        out, into = as_index(out, "out", n, "oscillator"), as_index(into, "into", n, "oscillator")
        require(out != into, "into", "differ from out", f"{into} like out")
        return out, into


def modulated_response(
    model: Any,
    drive: Any,
    *,
    num_sidebands: Count | None = None,
    rtol: Numbers | None = None,
    throw: bool = True,
) -> ModulatedResponse:
    """Drive each modulated oscillator alone, and collect all sidebands of every displacement:

        [K − (ω + nω_m)² M + i(ω + nω_m)(C + G)] X_n + Σ_k (K_k X_{n−k} + K_k* X_{n+k}) = F δ_n0

    **Arguments:**

    - `model`: `ModulatedOscillators`. `drive`: F = its amplitude, at its ω, both scalar; for many, `jax.vmap`.
    - `num_sidebands`: N to either side. Default: 24, doubled up to 192 until the outermost are small enough; inside
      of a transformation, where values are not known, 24.
    - `rtol`: the largest share of the outermost sidebands (default ε^¾: 2e-12 in float64).
    - `throw`: raise where there is no response, or sidebands are too few; otherwise `result` says it, with NaN.

    **Returns:** a `ModulatedResponse`, differentiable in the model's leaves, ω and F.

    **Raises:** `ValueError` for what is no such model, or a drive that is not scalar; `RuntimeError` if `throw` and the
    oscillators are unstable (what grows by itself hides any response), sidebands are too few, or nothing finite exists.

    Example: `duffing.modulated_response(model, nr.Drive(1.05)).norm`.
    """
    require_modulated(model)
    require_instance(drive, "drive", Drive, "be a Drive")
    was = f"of shapes {drive.omega.shape} and {drive.amplitude.shape}"
    must = "have a scalar omega and amplitude (use jax.vmap for many)"
    require(drive.omega.ndim == drive.amplitude.ndim == 0, "drive", must, was)
    rtol = as_sideband_tolerance(rtol, drive.omega)
    throw = as_flag(throw, "throw")
    answer = with_enough_sidebands(lambda num: _respond(model, drive, num, rtol), num_sidebands)
    return raise_failures(answer, answer.result) if throw else answer


class Fundamental(AbstractPortModel):
    """What modulated oscillators do at the drive's own frequency, as a model with ports: b = X_0, sidebands left out.

    A linear model, though not reciprocal: `scattering`, isolation, the nonreciprocal phase and the optimisers apply.
    Norms over a period (`metrics.reciprocity_norm`) are of this tone alone; `ModulatedResponse` has those of all tones.

    **Arguments:** `modulated`: `ModulatedOscillators`, whose leaves keep their paths below "modulated";
    `num_sidebands`: N to either side (default 24); a response says where they are too few.

    **Raises:** `ValueError` for what is no such model or count.

    Example: `nr.scattering(duffing.Fundamental(model), omegas)[:, 1, 0]`.
    """

    modulated: ModulatedOscillators
    num_sidebands: int = eqx.field(static=True)

    def __init__(self, modulated: Any, num_sidebands: Count = FEWEST):
        require_modulated(modulated, "modulated")
        self.modulated = modulated
        self.num_sidebands = as_count(num_sidebands, "num_sidebands")

    @property
    def num_ports(self) -> int:
        return self.modulated.num_ports

    @property
    def harmonics(self) -> tuple[int, ...]:
        return (1,)

    @property
    def power_normalised(self) -> bool:
        return False

    @property
    def linear(self) -> bool:
        return True

    def respond(
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, "out sideband"], Any]:
        """The fundamental, with all sidebands as the state; a guess is not needed."""
        rtol = as_sideband_tolerance(None, drive.omega)
        answer = _respond(self.modulated, drive, self.num_sidebands, rtol)
        result = jax.tree_util.tree_map(lambda x: x[port], answer.result)
        return answer.fundamental[:, port, None], answer.b[:, port], result


@compiled
def _respond(model: ModulatedOscillators, drive: Drive, num_sidebands: int, rtol: float) -> ModulatedResponse:
    n, rungs = model.num_ports, 2 * num_sidebands + 1
    multipliers = model.multipliers
    known, stable = jnp.isfinite(multipliers[0]), jnp.abs(multipliers[0]) < 1
    matrix = ladder(model, drive.omega, num_sidebands)
    # The solve waits for the multipliers: see "Two LAPACK calls at once" in docs/oscillators.md.
    matrix = jnp.where(stable, matrix, jnp.eye(rungs * n))
    pushes = np.zeros((rungs, n, n))
    pushes[num_sidebands] = np.eye(n)
    b = jnp.linalg.solve(matrix, drive.amplitude * pushes.reshape(-1, n)).reshape(rungs, n, n)

    def ended(b: Array) -> Any:
        result = RESULTS.where(outermost(b, len(model.fourier)) > rtol, RESULTS.too_few_sidebands, RESULTS.successful)
        result = RESULTS.where(jnp.all(jnp.isfinite(b)), result, RESULTS.nonfinite)
        return RESULTS.where(stable, result, RESULTS.where(known, RESULTS.no_rest, RESULTS.too_slow))

    result = jax.vmap(ended, in_axes=-1)(b)
    b = jnp.where(result == RESULTS.successful, b, jnp.nan)
    return ModulatedResponse(jnp.moveaxis(b, 0, -1), drive, model.omega_m, multipliers, result)


def ladder(
    model: ModulatedOscillators, omega: Float[Array, ""], num_sidebands: int
) -> Complex[Array, "unknown unknown"]:
    """The matrix of the equations of all sidebands at ω, sideband by sideband."""
    own, fourier, top = model.oscillators, model.fourier, 2 * num_sidebands
    orders = np.arange(-num_sidebands, num_sidebands + 1)
    omegas = (omega + orders * model.omega_m)[:, None, None]
    diagonal = own.stiffness - omegas**2 * own.inertia + 1j * omegas * own.dissipation
    upper = fourier[:top]
    room = jnp.zeros((top - len(upper), *upper.shape[1:]), upper.dtype)
    links = jnp.concatenate([room, jnp.conj(upper[::-1]), jnp.zeros_like(upper[:1]), upper, room])
    blocks = links[top + orders[:, None] - orders]
    places = orders + num_sidebands
    size = orders.size * own.num_ports
    return blocks.at[places, places].add(diagonal).transpose(0, 2, 1, 3).reshape(size, size)


def outermost(b: Complex[Array, "sideband oscillator *rest"], reach: int) -> Float[Array, "*rest"]:
    """The largest share of the outermost sidebands: as many to either side as one step of the ladder goes."""
    size = jnp.max(jnp.abs(b), axis=1)
    edge = jnp.maximum(jnp.max(size[:reach], axis=0), jnp.max(size[-reach:], axis=0))
    return edge / jnp.max(size, axis=0)


def with_enough_sidebands(run: Callable[[int], Answer], num_sidebands: Any) -> Answer:
    """What `run` answers with the number asked for, or the first of 24, 48, … that is enough, where that is known."""
    if num_sidebands is not None:
        return run(as_count(num_sidebands, "num_sidebands"))
    num = FEWEST
    answer = run(num)
    while num < MOST and is_concrete(answer.result) and bool(np.any(answer.result == RESULTS.too_few_sidebands)):  # pyright: ignore[reportAttributeAccessIssue]
        num *= 2
        answer = run(num)
    return answer


def as_sideband_tolerance(value: Any, omega: Array) -> float:
    """`value` as the share that the outermost sidebands may have."""
    return float(jnp.finfo(omega.dtype).eps) ** 0.75 if value is None else as_tolerance(value, "rtol")


def _half_square(b: Array) -> Array:
    return jnp.sum(b.real**2 + b.imag**2, axis=-1) / 2
