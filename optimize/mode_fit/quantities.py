"""Named quantities of a fitted model, with errors by the delta method, in the units of a laboratory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optimize.least_squares import parameter_covariance

Host = Any
TWO_PI = 2 * np.pi
KAPPA12, KAPPA21 = (6, 7), (8, 9)  # of the pair's vector: (Re, Im)
UNTOLD = 3.0  # errors: a complex number nearer to 0 has no phase that can be told


class Quantity(NamedTuple):
    """`unit`, "" for pure numbers; `symbol`, for axes; `of`: the vector of coefficients → the value and its gradient;
    `depends`: complex numbers, as indices of (Re, Im), that must be beyond their errors; `angle`: whether it is one."""

    unit: str
    symbol: str
    of: Callable[[Host], tuple[float, Host]]
    depends: tuple[tuple[int, int], ...] = ()
    angle: bool = False


class Leaves(NamedTuple):
    """What a model is made of: `names` of the real numbers of its vector; `groups`, {coefficient: its indices}, a
    complex one has two; `quantities`, {name: Quantity}."""

    names: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]
    quantities: dict[str, Quantity]

    def chosen(self, names: tuple[str, ...]) -> list[str] | None:
        """The coefficients named, each alone ("omega[0]") or all of a kind ("omega"); None for a strange name."""
        found: list[str] = []
        for name in names:
            own = [group for group in self.groups if name in (group, group.partition("[")[0])]
            if not own:
                return None
            found += [group for group in own if group not in found]
        return found


class Told(NamedTuple):
    """Quantities of n sets of coefficients: `names`; `values`, `errors` [name, n], NaN where the data do not tell;
    `covariance` [name, n, name, n]."""

    names: tuple[str, ...]
    values: Host
    errors: Host
    covariance: Host

    @classmethod
    def of(cls, leaves: Leaves, vectors: Host, root: Host, place: Host) -> Told:
        """**Arguments:** `vectors` [n, q], functions of p free numbers with the derivatives `place` [n q, p];
        `root` [m, p]: R, with RᵀR the inverse of the covariance of these."""
        n, size = vectors.shape
        blocks = np.eye(n)[:, :, None]
        asked = [[quantity.of(vector) for vector in vectors] for quantity in leaves.quantities.values()]
        values = np.array([[value for value, _ in row] for row in asked])
        slopes = [np.array([slope for _, slope in row])[:, None, :] * blocks for row in asked]
        parts = [np.eye(size)[k] * np.ones((n, 1)) for pair in (KAPPA12, KAPPA21) for k in pair if size > max(KAPPA21)]
        slopes += [part[:, None, :] * blocks for part in parts]
        covariance, _ = parameter_covariance(root, np.concatenate([slope.reshape(n, -1) @ place for slope in slopes]))
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(np.diagonal(covariance)).reshape(len(slopes), n)
        errors, own = errors[: len(asked)], dict(zip((*KAPPA12, *KAPPA21), errors[len(asked) :], strict=False))
        for row, quantity in zip(errors, leaves.quantities.values(), strict=True):
            for re, im in quantity.depends:
                seen = np.hypot(vectors[:, re], vectors[:, im]) > UNTOLD * np.hypot(own[re], own[im])
                row[~seen & np.isfinite(own[re])] = np.nan
        count = len(asked) * n
        shape = (len(asked), n) * 2
        return cls(tuple(leaves.quantities), values, errors, covariance[:count, :count].reshape(shape))


def rate(index: int, symbol: str) -> Quantity:
    """A coefficient itself, over 2π."""

    def of(vector: Host) -> tuple[float, Host]:
        return float(vector[index]) / TWO_PI, np.eye(len(vector))[index] / TWO_PI

    return Quantity("Hz", symbol, of)


def _logarithm(vector: Host, pair: tuple[int, int]) -> tuple[complex, Host]:
    """ln κ and its complex gradient; −∞ without a slope for κ = 0."""
    kappa, unit = complex(vector[pair[0]], vector[pair[1]]), np.eye(len(vector))
    if kappa == 0:
        return complex(-np.inf), np.zeros(len(vector), complex)
    return complex(np.log(kappa)), (unit[pair[0]] + 1j * unit[pair[1]]) / kappa


def _modulus(pair: tuple[int, int], symbol: str) -> Quantity:
    def of(vector: Host) -> tuple[float, Host]:
        log, slope = _logarithm(vector, pair)
        size = float(np.exp(log.real)) / TWO_PI
        return size, size * slope.real

    return Quantity("Hz", symbol, of)


def _mean_modulus(vector: Host) -> tuple[float, Host]:
    (log12, slope12), (log21, slope21) = _logarithm(vector, KAPPA12), _logarithm(vector, KAPPA21)
    size = float(np.exp((log12 + log21).real / 2)) / TWO_PI
    return size, size * (slope12 + slope21).real / 2


def _ratio(vector: Host) -> tuple[float, Host]:
    (log12, slope12), (log21, slope21) = _logarithm(vector, KAPPA12), _logarithm(vector, KAPPA21)
    decibel = 20 / np.log(10)
    return decibel * float((log21 - log12).real), decibel * (slope21 - slope12).real


def _phase(sign: int) -> Callable[[Host], tuple[float, Host]]:
    def of(vector: Host) -> tuple[float, Host]:
        (log12, slope12), (log21, slope21) = _logarithm(vector, KAPPA12), _logarithm(vector, KAPPA21)
        angle = (log21 + sign * log12).imag
        return float(np.pi - (np.pi - angle) % TWO_PI), (slope21 + sign * slope12).imag

    return of


_SYMBOLS = {
    "omega[0]": r"\omega_1",
    "omega[1]": r"\omega_2",
    "gamma[0]": r"\gamma_1",
    "gamma[1]": r"\gamma_2",
    "gamma_0[0]": r"\gamma_{10}",
    "gamma_0[1]": r"\gamma_{20}",
}
_BOTH = (KAPPA12, KAPPA21)

PAIR = Leaves(
    names=(*_SYMBOLS, "Re kappa12", "Im kappa12", "Re kappa21", "Im kappa21"),
    groups={**{name: (k,) for k, name in enumerate(_SYMBOLS)}, "kappa12": KAPPA12, "kappa21": KAPPA21},
    quantities={
        **{name: rate(k, rf"${symbol}/2\pi$") for k, (name, symbol) in enumerate(_SYMBOLS.items())},
        "kappa": Quantity("Hz", r"$\sqrt{|\kappa_{12}\kappa_{21}|}/2\pi$", _mean_modulus, _BOTH),
        "kappa12": _modulus(KAPPA12, r"$|\kappa_{12}|/2\pi$"),
        "kappa21": _modulus(KAPPA21, r"$|\kappa_{21}|/2\pi$"),
        "coupling_phase": Quantity("rad", r"$\arg\,\kappa_{12}\kappa_{21}$", _phase(1), _BOTH, angle=True),
        "nonreciprocity": Quantity("dB", r"$|\kappa_{21}/\kappa_{12}|$", _ratio, _BOTH),
        "nonreciprocal_phase": Quantity("rad", r"$\arg\,\kappa_{21}/\kappa_{12}$", _phase(-1), _BOTH, angle=True),
    },
)
"""The pair of resonators: ω, γ, γ₀ of both, κ12 and κ21, and what is said of these."""


def resonances(modes: int) -> Leaves:
    """N resonances, by their frequencies and amplitude rates."""
    names = tuple(f"{name}[{n}]" for name in ("omega", "gamma") for n in range(modes))
    symbols = [rf"$\{name}_{{{n + 1}}}/2\pi$" for name in ("omega", "gamma") for n in range(modes)]
    return Leaves(
        names=names,
        groups={name: (k,) for k, name in enumerate(names)},
        quantities={name: rate(k, symbol) for k, (name, symbol) in enumerate(zip(names, symbols, strict=True))},
    )


def leaves_of(modes: int | None) -> Leaves:
    """Of as many resonances, or of the pair of resonators."""
    return PAIR if modes is None else resonances(modes)
