"""Reciprocity of the Duffing pair at one harmonic, in closed form.

Where both oscillators move with the same amplitude A and have the same dynamic stiffness D, driving one is the mirror
image of driving the other, and the two outputs agree:

    (r − 1) + ¾ k_N (α − 1) A² = (μ − 1) ω²
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import Count, Numbers, as_choice, as_flag, as_scalar, is_concrete, require, require_instance
from diffnr.compilation import compiled
from diffnr.duffing.oscillators import DuffingPair
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import newton

RATIOS = ("stiffness_ratio", "mass_ratio", "cubic_ratio")


class OneHarmonicRestoration(AbstractAnswer):
    """What `one_harmonic_restoration` returns.

    **Fields:** `ratio` [], the value of the free ratio; `omega` [], ω*, the frequency; `displacement` [], A, the
    amplitude of both oscillators; `phasors` [2] complex, X of the driven oscillator and of the other one; `result`,
    of `RESULTS`. NaN where the response has no such resonance.
    """

    ratio: Float[Array, ""]
    omega: Float[Array, ""]
    displacement: Float[Array, ""]
    phasors: Complex[Array, " both"]
    result: Any


def one_harmonic_restoration(
    pair: Any, *, amplitude: Numbers, free: str, resonance: Count, throw: bool = True
) -> OneHarmonicRestoration:
    """The ratio that makes a pair reciprocal at one of its resonances, of orbits of one harmonic:

        (r − 1) + ¾ k_N (α − 1) A² = (μ − 1) ω*²,      A = P / (4 ζ ω*)
        ω*² = 1 + k_c ∓ √(k_c² − 4 ζ² ω*²) + ¾ k_N A²      (− at resonance 0, + at resonance 1)

    **Arguments:**

    - `pair`: its value of the free ratio does not matter.
    - `amplitude`: [], P, of the force, not 0 where `free` is "cubic_ratio".
    - `free`: "stiffness_ratio" (r), "mass_ratio" (μ) or "cubic_ratio" (α).
    - `resonance`: 0, the lower, where the oscillators move together, or 1.
    - `throw`: raise for a resonance that the response does not have; otherwise `result` says it, with NaN there.

    **Returns:** a `OneHarmonicRestoration`, to round-off, with exact derivatives.

    **Raises:** `ValueError` for an unknown ratio or resonance; `RuntimeError` if `throw` and the response has no such
    resonance, which is where 2 ζ ω* > k_c (the two have merged) or where the springs soften too much.

    **Notes:** with α = 1 it is exact for orbits of one harmonic. Third harmonics move the point by some 1e-4 (resonance
    1) or 1e-2 (resonance 0): `optimize.restore_reciprocity` starts from here.

    Source: paper 2, equations 3 and 9; the frequency is ours: the power P A ω*/2 of a force in phase with the
    velocity feeds the friction of both oscillators.
    """
    require_instance(pair, "pair", DuffingPair, "be a duffing.DuffingPair")
    amplitude, throw = as_scalar(amplitude, "amplitude"), as_flag(throw, "throw")
    as_choice(free, "free", RATIOS)
    whole = isinstance(resonance, (int, np.integer)) and not isinstance(resonance, bool)
    require(whole and resonance in (0, 1), "resonance", "be 0 or 1", resonance)
    if is_concrete(pair, amplitude):
        require(np.asarray(pair.damping) > 0, "pair", "have a damping for its peaks to be finite", "undamped")
    restored = _restoration(pair, amplitude, free, int(resonance))
    return raise_failures(restored, restored.result) if throw else restored


@compiled
def _restoration(pair: DuffingPair, amplitude: Array, free: str, resonance: int) -> OneHarmonicRestoration:
    sign = (-1.0, 1.0)[resonance]
    push = 0.75 * pair.cubic * (amplitude / (4 * pair.damping)) ** 2  # ¾ k_N A² ω²
    args = (pair.coupling, pair.damping, push, jnp.asarray(sign, push.dtype))
    # Without friction in the root, a quadratic equation in ω²; its larger solution is the one of a weak force.
    half = (1 + pair.coupling + sign * jnp.abs(pair.coupling)) / 2
    squared = newton(_frequency, lax.stop_gradient(half + jnp.sqrt(half**2 + push))[None], args).value[0]
    omega = jnp.sqrt(squared)
    displacement = amplitude / (4 * pair.damping * omega)
    shift = 0.75 * pair.cubic * displacement**2
    mu, r, alpha = pair.mass_ratio, pair.stiffness_ratio, pair.cubic_ratio
    ratio = {
        "stiffness_ratio": lambda: 1 + (mu - 1) * squared - shift * (alpha - 1),
        "mass_ratio": lambda: 1 + ((r - 1) + shift * (alpha - 1)) / squared,
        "cubic_ratio": lambda: 1 + ((mu - 1) * squared - (r - 1)) / shift,
    }[free]()
    own = 1 + pair.coupling - squared + shift + 2j * pair.damping * omega
    driven = amplitude / (own - pair.coupling**2 / own)
    phasors = jnp.stack([driven, pair.coupling / own * driven])
    found = jnp.all(jnp.stack([jnp.isfinite(ratio), jnp.isfinite(omega), jnp.all(jnp.isfinite(phasors))]))
    result = RESULTS.where(found, RESULTS.successful, RESULTS.no_ratio)
    ratio, omega, displacement, phasors = (
        jnp.where(found, number, jnp.nan) for number in (ratio, omega, displacement, phasors)
    )
    return OneHarmonicRestoration(ratio, omega, displacement, phasors, result)


def _frequency(squared: Array, args: Any) -> Array:
    coupling, damping, push, sign = args
    return squared**2 - squared * (1 + coupling + sign * jnp.sqrt(coupling**2 - 4 * damping**2 * squared)) - push
