"""What every model can answer: drive one port alone; what leaves every port?

    x_j(t) = Re Σ_h b[j, i, h] e^{ihωt}        when only port i is driven

For a linear model this is the S-matrix times the drive; for a nonlinear one, which does not obey superposition, it
is still well defined, and it is all that isolation, nonreciprocal phase and the reciprocity norm need.
"""

from __future__ import annotations

import abc
import math
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Inexact, Int

from diffnr.checks import (
    Numbers,
    as_flag,
    as_index,
    as_inexact,
    as_real,
    as_vector,
    described,
    is_concrete,
    require,
    require_bounds,
    require_finite,
    require_instance,
)
from diffnr.compilation import compiled
from diffnr.results import AbstractAnswer, raise_failures, with_unstable


def hertz(frequency: Any) -> Array:
    """Angular frequency ω = 2πf in rad/s of a frequency in hertz (any shape).

    **Raises:** `ValueError` for what is no real number, or not finite.

    Example: `nr.Drive(nr.hertz(5e9))`.
    """
    frequency = as_real(frequency, "frequency")
    _require_numbers("frequency", frequency)
    return 2 * math.pi * frequency


class Drive(eqx.Module):
    """A tone A e^{iωt} at one port.

    **Arguments:**

    - `omega`: [], angular frequency, in the model's rate unit (rad/s for measured devices and FDTD).
    - `amplitude`: [], real or complex wave amplitude A at the driven port; |A|² is the incident power where ports are
      power-normalised. Default 1.
    - `power`: [], instead of `amplitude`: the incident power, A = √power. Power 0 stands for the limit of a weak
      signal: A is so small (1e-77, in float32 3e-10) that `s`, the metrics and their derivatives in the model are those
      of the limit. So are derivatives of `s` in the power, of coupled modes; of other models they are NaN there.

    **Raises:** `ValueError` for a value that is not finite, a negative power, or both `amplitude` and `power`.

    Example: `nr.Drive(0.1, power=2.0)`. A drive of amplitude 0 drives nothing: `port_response` refuses it.
    """

    omega: Float[Array, "..."]
    amplitude: Inexact[Array, "..."]

    def __init__(self, omega: Any, amplitude: Any = None, *, power: Any = None):
        require(amplitude is None or power is None, "power", "be left out where amplitude is given", power)
        if power is not None:
            power = as_real(power, "power")
            _require_numbers("power", power)
            require_bounds("power", power, lower=0.0)
            # A root of what is not 0 has a derivative.
            amplitude = jnp.sqrt(jnp.where(power == 0, power + _weak(power.dtype) ** 2, power))
        self.omega = as_real(omega, "omega")
        amplitude = 1.0 if amplitude is None else amplitude
        # A number takes the precision of omega; not weakly typed, lest an array in its place retrace.
        kind = amplitude if hasattr(amplitude, "dtype") else as_inexact(amplitude, "amplitude").dtype.type(0).item()
        amplitude = as_inexact(amplitude, "amplitude")
        self.amplitude = lax.convert_element_type(amplitude, jnp.result_type(kind, self.omega))

    def __check_init__(self) -> None:
        _require_numbers("omega", self.omega)
        _require_numbers("amplitude", self.amplitude)


def _weak(dtype: Any) -> float:
    """An amplitude so small that its square, and what laws make of that, are still numbers."""
    return float(jnp.finfo(dtype).tiny) ** 0.25


@jax.custom_jvp
def _divisor(amplitude: Array) -> Array:
    """The amplitude, with NaN for its derivative where it is that of power 0: b/A changes there by less than
    round-off, and what the quotient's derivative would be is nothing but that."""
    return amplitude


@_divisor.defjvp
def _divisor_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    [amplitude], [change] = primals, tangents
    weak = jnp.abs(amplitude) <= 1.01 * _weak(amplitude.dtype)
    return amplitude, change * jnp.where(weak, jnp.nan, 1.0)


class AbstractPortModel(eqx.Module):
    """A model with ports. Subclass it, give its five members, and every metric and optimiser applies."""

    @property
    @abc.abstractmethod
    def num_ports(self) -> int:
        """The number of ports M."""

    @property
    @abc.abstractmethod
    def harmonics(self) -> tuple[Any, ...]:
        """The harmonics of the drive that `respond` returns, 1 among them: (1,) where the response is a tone."""

    @property
    @abc.abstractmethod
    def power_normalised(self) -> bool:
        """Whether |b|² is a power, so that insertion loss and transmission mean something."""

    @property
    @abc.abstractmethod
    def linear(self) -> bool:
        """Whether responses to several ports superpose."""

    @abc.abstractmethod
    def respond(
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Any, Any]:
        """The outgoing amplitudes b[out, harmonic] when `port` alone is driven, the state, and a `RESULTS`.

        `guess` is a state that an earlier call returned for this port, to start from.
        """

    def respond_per_amplitude(
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, "out harmonic"], Any, Any]:
        """b/A [out, harmonic], and what `respond` returns. A model that can tell how b/A changes with the power from
        power 0 on overrides it."""
        b, state, result = self.respond(drive, port, guess)
        return b / _divisor(drive.amplitude), b, state, result

    def require_drive(self, drive: Drive) -> None:
        """Raise for a drive that the model has no answer to, where its numbers are known."""
        return

    def explain(self, drive: Drive, result: Any) -> str:
        """What there is to say of results besides their own sentences: asked where a response fails."""
        return ""

    def scatter(
        self, omegas: Float[Array, " frequency"], throw: bool = True, allow_unstable: bool = False
    ) -> Complex[Array, "frequency out in"]:
        """What `scattering` returns: frequency by frequency, unless a model knows a shorter way."""
        s, result = _scattering(self, omegas, allow_unstable)
        return raise_failures(s, result) if throw else s


class PortResponse(AbstractAnswer):
    """The answer of a model to one drive, applied to one port after another.

    **Fields:** `b` complex [out, in, harmonic], column i for port i driven alone (NaN where port i was not asked for);
    `harmonics`, which harmonic each entry of the last axis is; `drive`; `state`, per driven port, what a next call may
    start from; `result` [in], a `RESULTS` per driven port; `power_normalised`; `per_amplitude`, b per drive amplitude,
    with derivatives from power 0 on, where it is known.
    """

    b: Complex[Array, "out in harmonic"]
    harmonics: tuple[Any, ...] = eqx.field(static=True)
    drive: Drive
    state: Any
    result: Any
    power_normalised: bool = eqx.field(static=True)
    per_amplitude: Complex[Array, "out in harmonic"] | None = None

    @property
    def fundamental(self) -> Complex[Array, "*batch out in"]:
        """The amplitudes at the drive's own frequency, [out, in]."""
        return self.b[..., self.harmonics.index(1)]

    @property
    def s(self) -> Complex[Array, "*batch out in"]:
        """`fundamental` per drive amplitude: the S-matrix of a linear model, [out, in]."""
        amplitude = self.drive.amplitude
        zero = is_concrete(amplitude) and not np.all(np.asarray(amplitude))
        require(not zero, "amplitude", "not be 0 for s to exist", amplitude)
        if self.per_amplitude is not None:
            return self.per_amplitude[..., self.harmonics.index(1)]
        return self.fundamental / self.drive.amplitude[..., None, None]


def port_response(
    model: AbstractPortModel,
    drive: Drive,
    *,
    ports: Sequence[int] | None = None,
    guess: Any = None,
    throw: bool = True,
    allow_unstable: bool = False,
) -> PortResponse:
    """Drive each port alone with `drive` and collect what leaves every port.

    **Arguments:**

    - `model`: any `AbstractPortModel`.
    - `drive`: the tone, with scalar frequency and amplitude; for many, `jax.vmap` over this function.
    - `ports`: the ports to drive (default all). Columns of other ports are NaN.
    - `guess`: the `state` of an earlier response to the same ports, to start from; it also chooses the branch of a
      model that has several.
    - `throw`: raise if any solve fails; otherwise `result` says it per port, with NaN values and gradients there.
    - `allow_unstable`: let an unstable state pass for a success. Otherwise it is `RESULTS.unstable`, which raises; with
      `throw=False` its values are there.

    **Returns:** a `PortResponse`.

    **Raises:** `ValueError` for a port that does not exist, a drive that is not scalar or whose amplitude is 0, or a
    guess of another shape; `RuntimeError` with the cause if `throw` and a solve fails, or its state is unstable.

    Example: `nr.port_response(model, nr.Drive(0.1, power=2.0)).s`.
    """
    require_port_model(model)
    allow_unstable = as_flag(allow_unstable, "allow_unstable")
    require_instance(drive, "drive", Drive, "be a Drive")
    throw = as_flag(throw, "throw")
    ports = tuple(range(model.num_ports)) if ports is None else as_ports(ports, "ports", model.num_ports)
    require(
        drive.omega.ndim == drive.amplitude.ndim == 0,
        "drive",
        "have a scalar omega and amplitude (use jax.vmap for many)",
        f"of shapes {drive.omega.shape} and {drive.amplitude.shape}",
    )
    zero = is_concrete(drive.amplitude) and not np.any(np.asarray(drive.amplitude))
    must = "have an amplitude other than 0, which drives nothing (power=0 is the limit of a weak signal)"
    require(not zero, "drive", must, "one of amplitude 0")
    model.require_drive(drive)
    _check_guess(guess, len(ports))
    response = _port_response(model, drive, ports, guess, allow_unstable)
    if is_concrete(response.result, drive, model) and not np.all(response.converged):
        more = model.explain(drive, response.result)
        if throw:
            raise RuntimeError(f"{response.message} {more}".strip())
        if more:
            warnings.warn(more, RuntimeWarning, stacklevel=2)
    return raise_failures(response, response.result) if throw else response


@compiled
def _port_response(
    model: AbstractPortModel, drive: Drive, ports: tuple[int, ...], guess: Any, allow_unstable: bool
) -> PortResponse:
    def respond(port: Array, guess: Any) -> tuple[Array, Array, Any, Any]:
        unit, b, state, result = model.respond_per_amplitude(drive, port, guess)
        return unit, b, state, with_unstable(result) if allow_unstable else result

    def whole(columns: Array) -> Array:
        columns = jnp.moveaxis(columns, 0, 1)
        if ports == tuple(range(model.num_ports)):
            return columns
        every = jnp.full((columns.shape[0], model.num_ports, columns.shape[2]), jnp.nan, columns.dtype)
        return every.at[:, jnp.asarray(ports)].set(columns)

    unit, b, state, result = eqx.filter_vmap(respond)(jnp.asarray(ports), guess)
    return PortResponse(
        whole(b), model.harmonics, drive, state, result, model.power_normalised, per_amplitude=whole(unit)
    )


def scattering(
    model: AbstractPortModel, omegas: Numbers, *, throw: bool = True, allow_unstable: bool = False
) -> Complex[Array, "frequency out in"]:
    """The scattering matrix S(ω) of a linear model: s₋ = S(ω) s₊.

    **Arguments:** `model`: a linear model; `omegas`: [frequency], angular frequencies in the model's rate unit;
    `throw`: raise where a solve fails; otherwise S is NaN there; `allow_unstable`: do not raise for a model with a mode
    that grows, whose S(ω) no measurement shows.

    **Returns:** S [frequency, out, in].

    **Raises:** `ValueError` for a model that does not obey superposition (use `port_response`), or for frequencies
    that are not a finite vector; `RuntimeError` if `throw` and the model has no finite response, at a resonance without
    loss, or is unstable, or a run in time does not come to its end.

    Example: `nr.scattering(model, jnp.linspace(-1.0, 1.0, 201))[:, 1, 0]`.
    """
    require_port_model(model)
    omegas, throw = as_vector(omegas, "omegas"), as_flag(throw, "throw")
    require(model.linear, "model", "be linear for an S-matrix to exist (use port_response)", "a nonlinear model")
    return model.scatter(omegas, throw, as_flag(allow_unstable, "allow_unstable"))


@compiled
def _scattering(model: AbstractPortModel, omegas: Array, allow_unstable: bool) -> tuple[Array, Any]:
    def at(omega: Array) -> tuple[Array, Any]:
        response = port_response(model, Drive(omega), throw=False, allow_unstable=allow_unstable)
        return response.s, response.result

    return eqx.filter_vmap(at)(omegas)


def _require_numbers(name: str, value: Array) -> None:
    require(value.size > 0, name, "hold at least one number", value)
    require_finite(name, value)


def _check_guess(guess: Any, driven: int) -> None:
    """Raise unless every leaf of `guess` is a finite array with one entry per driven port."""
    for leaf in jax.tree_util.tree_leaves(guess):
        fits = isinstance(leaf, (jax.Array, np.ndarray)) and leaf.ndim > 0 and leaf.shape[0] == driven
        must = f"be the state of a response to the same ports ({driven} of them), or None"
        require(fits, "guess", must, described(leaf) if leaf is guess else f"one with {described(leaf)}")
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            require_finite("guess", leaf)


def as_ports(value: Any, name: str, num_ports: int) -> tuple[int, ...]:
    """`value` as one or several different ports of a model."""
    listed = isinstance(value, (tuple, list, range)) or getattr(value, "ndim", 0) > 0
    must = "name one or several different ports"
    require(listed, name, must, value)
    ports = tuple(as_index(port, name, num_ports, "port") for port in value)
    require(len(set(ports)) == len(ports) > 0, name, must, value)
    return ports


def require_port_model(model: Any, name: str = "model") -> None:
    """Raise unless `model` is one with ports."""
    require_instance(model, name, AbstractPortModel, "be a model with ports, such as those of tcmt, duffing and fdtd")
