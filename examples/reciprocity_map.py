r"""A quarter of a million pairs in one call
========================================

How far from reciprocity two coupled Duffing oscillators are at a resonance, over the ratios of their masses :math:`\mu`
and of their stiffnesses :math:`r`: 512 × 512 pairs, driven from both sides, by one compiled call for each resonance. At
each of them the frequency is held on the peak of the forward output, as an experiment would hold it, and :math:`R/N_F`
is the difference of both outputs as a part of the forward one.

Every column is followed from the closed form of one harmonic (dotted) to larger and to smaller :math:`r`, in small
steps of Newton's method; all columns are followed at once. Where the backward response has several branches, its orbit
stays on the one that it was on at the closed form until that ends in a fold: the step above the valley of the lower
resonance. The valleys are straight, of slope :math:`\omega_*^2`, and at their bottom is the locus of
``optimize.reciprocity_locus`` (points). At the upper resonance they are reciprocal to a part in :math:`10^4`; at the
lower one third harmonics, which lie near the upper one, fill the valley up to 2 %. Along the thin blank line, where
three times the frequency passes the upper resonance, the peak leaps, and Newton's method does not arrive at 480 pairs.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
import optimize as op
from diffnr import duffing, plot
from diffnr.duffing.harmonic_balance import forcing, residual
from diffnr.duffing.oscillators import with_harmonics

jax.config.update("jax_enable_x64", True)

AMPLITUDE = 0.15
# Orbits of up to five harmonics: R differs from that of nine by parts in 1e6.
PAIR = duffing.DuffingPair(
    mass_ratio=1.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=5
)
MASSES = (1.0, 3.0)
STIFFNESSES = ((0.5, 4.5), (0.5, 26.0))  # for either resonance
STEPS = 12  # of Newton's method before it starts again
PRECISION = 1e-8  # of its last step, so that the root is known to the square of it


class Point(NamedTuple):
    """Both orbits at one pair: the forward one [n] with the multipliers [n] of its peak, ω [], the backward one [n]."""

    forward: Array
    multipliers: Array
    omega: Array
    backward: Array


class Map(NamedTuple):
    """R, N_F and ω, each [stiffness, mass]; NaN where no orbit was found."""

    mass_ratio: Array
    stiffness_ratio: Array
    reciprocity_norm: Array
    norm: Array
    omega: Array


def at_peak(pair: duffing.AbstractOscillators, *guesses: Point) -> Point:
    """The forward orbit that is a stationary point of N_F along its branch, and the backward one at its frequency."""
    forward, backward = (forcing(pair, port, AMPLITUDE) for port in (0, 1))
    n = forward.size

    def peak(z: Array) -> Array:
        """N_F²/2 is stationary where F(y, ω) = 0: λᵀ ∂F/∂y = ∂(N_F²/2)/∂y and λᵀ ∂F/∂ω = 0."""
        y, multipliers, omega = z[:n], z[n:-1], z[-1]
        f, pull = jax.vjp(lambda y, omega: residual(y, (pair, omega, forward)), y, omega)
        by_y, by_omega = pull(multipliers)
        return jnp.concatenate([f, by_y - _output(y), by_omega[None]])

    z = newton(peak, *(jnp.concatenate([p.forward, p.multipliers, p.omega[None]]) for p in guesses))
    omega, at_rest = z[-1], jnp.zeros(n)  # one step from there is the linear response
    y = newton(lambda y: residual(y, (pair, omega, backward)), *(p.backward for p in guesses), at_rest)
    return Point(z[:n], z[n:-1], omega, y)


def _output(y: Array) -> Array:
    """∂(N²/2)/∂y of oscillator 1."""
    return y.at[: y.size // 2].set(0.0) / 2


def newton(equations: Callable[[Array], Array], *guesses: Array) -> Array:
    """The root near to the first guess or, where twelve steps do not lead to one, to the next; else NaN."""
    starts = jnp.stack(guesses)

    def iterate(carry: tuple) -> tuple:
        z, _, count = carry
        z = jnp.where(count % STEPS == 0, starts[count // STEPS], z)
        jacobian, f = jax.jacfwd(lambda z: (equations(z),) * 2, has_aux=True)(z)
        step = -jnp.linalg.solve(jacobian, f)
        return z + step, jnp.linalg.norm(step) / jnp.linalg.norm(z + step), count + 1

    def going(carry: tuple) -> Array:
        _, error, count = carry
        return ~(error <= PRECISION) & (count < len(guesses) * STEPS)

    z, error, _ = lax.while_loop(going, iterate, (starts[0], jnp.inf, 0))
    return jnp.where(error <= PRECISION, z, jnp.nan)


def follow(mass_ratio: Array, stiffness_ratio: Array, resonance: int) -> tuple[Array, Array, Array]:
    """R, N_F and ω at every stiffness ratio [r], which rises, of pairs of one mass ratio []."""
    pair = nr.replace(PAIR, {"mass_ratio": mass_ratio})
    tone = with_harmonics(pair, 1)
    closed = duffing.one_harmonic_restoration(pair, amplitude=AMPLITUDE, free="stiffness_ratio", resonance=resonance)
    start = from_closed_form(nr.replace(tone, {"stiffness_ratio": closed.ratio}), closed)
    # First up from the closed form, then down from there.
    count, first = stiffness_ratio.size, jnp.searchsorted(stiffness_ratio, closed.ratio)
    step = jnp.arange(count)
    down = step - (count - first)
    index = jnp.where(down < 0, first + step, first - 1 - down)

    def onwards(last: tuple[Point, Point], now: tuple[Array, Array]) -> tuple:
        r, again = now
        last = jax.tree.map(lambda start, last: jnp.where(again, start, last), (start, wider(start, pair)), last)
        simple = at_peak(nr.replace(tone, {"stiffness_ratio": r}), last[0])
        point = at_peak(nr.replace(pair, {"stiffness_ratio": r}), last[1], wider(simple, pair))
        found = jnp.isfinite(point.omega) & jnp.all(jnp.isfinite(point.backward))
        kept = jax.tree.map(lambda new, spare: jnp.where(found, new, spare), point, wider(simple, pair))
        return (simple, kept), seen(point)

    _, numbers = lax.scan(onwards, (start, wider(start, pair)), (stiffness_ratio[index], down == 0))
    R, norm, omega = (jnp.zeros_like(x).at[index].set(x) for x in numbers)
    return R, norm, omega


def from_closed_form(pair: duffing.AbstractOscillators, closed: duffing.OneHarmonicRestoration) -> Point:
    """The point of one harmonic that is reciprocal."""
    y, backward = (pair.basis.coefficients(X[:, None]).ravel() for X in (closed.phasors, closed.phasors[::-1]))
    jacobian = jax.jacfwd(residual)(y, (pair, closed.omega, forcing(pair, 0, AMPLITUDE)))
    return Point(y, jnp.linalg.solve(jacobian.T, _output(y)), closed.omega, backward)


def wider(point: Point, pair: duffing.AbstractOscillators) -> Point:
    """A point of one harmonic as one of several."""

    def orbit(y: Array) -> Array:
        return jnp.zeros((2, pair.basis.size)).at[:, :2].set(y.reshape(2, 2)).ravel()

    return Point(orbit(point.forward), orbit(point.multipliers), point.omega, orbit(point.backward))


def seen(point: Point) -> tuple[Array, Array, Array]:
    """R, N_F and ω."""
    m = point.forward.size // 2
    forward, backward = point.forward[m:], point.backward[:m]
    return jnp.linalg.norm(forward - backward) / 2**0.5, jnp.linalg.norm(forward) / 2**0.5, point.omega


over_plane = jax.jit(jax.vmap(follow, (0, None, None), 1), static_argnums=2)


def compute(resonance: int, small: bool = False) -> Map:
    """The map of one resonance; `small` has 16 × 16 pairs, of masses for which no peak leaps."""
    count, masses = (16, (1.0, 1.7)) if small else (512, MASSES)
    mass_ratio, stiffness_ratio = jnp.linspace(*masses, count), jnp.linspace(*STIFFNESSES[resonance], count)
    return Map(mass_ratio, stiffness_ratio, *over_plane(mass_ratio, stiffness_ratio, resonance))


def locus(resonance: int) -> op.ReciprocityLocus:
    """Where R is least, for a few masses."""
    return op.reciprocity_locus(
        PAIR,
        amplitude=AMPLITUDE,
        along="mass_ratio",
        bounds=MASSES,
        free="stiffness_ratio",
        resonance=resonance,
        points=21,
    )


def draw(ax: Axes, data: Map, resonance: int) -> None:
    """R/N_F in colour, with the line of the closed form."""
    share = np.log10(np.maximum(data.reciprocity_norm / data.norm, 1e-6))
    plot.image(data.mass_ratio, data.stiffness_ratio, share, vmin=-3, vmax=0, ax=ax)
    closed = jax.vmap(
        lambda mass: duffing.one_harmonic_restoration(
            nr.replace(PAIR, {"mass_ratio": mass}), amplitude=AMPLITUDE, free="stiffness_ratio", resonance=resonance
        )
    )(data.mass_ratio)
    ax.plot(data.mass_ratio, closed.ratio, ":", color="black", lw=0.8, label="one harmonic")
    ax.set(xlabel=r"mass ratio $\mu$", ylabel="stiffness ratio $r$")
    ax.set_title(f"{('lower', 'upper')[resonance]} resonance")


def main(small: bool = False) -> Figure:
    """Draw both maps, print how long each took, and draw the loci, which are left out where `small`."""
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1))
        for resonance, ax in enumerate(axes):
            start = time.perf_counter()
            data = jax.block_until_ready(compute(resonance, small))
            blank = int(jnp.sum(jnp.isnan(data.reciprocity_norm)))
            took = time.perf_counter() - start
            print(f"resonance {resonance}: {data.norm.size} pairs in {took:.1f} s with compilation, {blank} left blank")
            draw(ax, data, resonance)
            if not small:
                found = locus(resonance)
                ax.plot(found.parameter, found.ratio, "o", color=plot.BACKWARD, ms=2.4, mew=0, label="locus")
        figure.colorbar(axes[-1].collections[0], ax=axes, label=r"$\log_{10}\, R/N_F$", extend="min")
        axes[0].legend(loc="upper left")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
