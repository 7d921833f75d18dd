"""Layers of gyrotropic media in closed form: what a stack reflects, and the waves that it guides.

Waves e^{i(ωt − qx − k_y y)} with Hz, Ex, Ey, in layers across x, B along z. With ε_xx = ε_yy, ε_xy = −ε_yx and
τ = ε_xy/ε_xx, Maxwell's equations are, k0 = ω/c and H in V/m (times the vacuum's impedance),

    d/dx (Hz, Ey) = −i [[k_y τ, k0 ε_v], [k0 − k_y²/(k0 ε_xx), −k_y τ]] (Hz, Ey),      q² = k0² ε_v − k_y²

Hz and Ey go through faces unchanged, so that a stack is the product of its layers' matrices. That τ stands beside k_y
is what tells k_y from −k_y at a face, and with it forward from backward. Each matrix goes into the product over the
e^{iqd} by which it grows, so that layers may be as thick as they like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from diffnr.checks import (
    Numbers,
    as_complex,
    as_flag,
    as_frequency,
    as_inexact,
    as_real,
    described,
    is_concrete,
    require,
    require_finite,
    require_instance,
    require_shape,
)
from diffnr.fdtd.scene.media import LIGHT, AbstractMedium, Layers, as_layers
from diffnr.results import RESULTS, raise_failures
from diffnr.root import newton


def voigt_permittivity(medium: Any, omega: Numbers) -> Complex[Array, "*omega"]:
    """ε_v = (ε_xx² + ε_xy²)/ε_xx, over ε0: what waves with E across the bias see, q² + k_y² = k0² ε_v.

    **Arguments:** `medium`: of numbers, not of arrays over cells; `omega`: [...], rad/s.

    **Returns:** complex [...]. It is even in the bias; a face tells the bias's sign nevertheless.

    **Raises:** `ValueError` for a medium that varies over cells, frequencies at which it is not finite.
    """
    _require_one(medium, "medium")
    omega = _as_finite(omega, "omega")
    eps, tilt = _eps_and_tilt(medium, omega)
    return _finite(eps * (1 + tilt**2), omega=omega)


def layer_matrix(medium: Any, thickness: Numbers, omega: Numbers, ky: Numbers = 0.0) -> Complex[Array, "*batch 2 2"]:
    """(Hz, Ey) behind a layer from those before it: exp(M d) = cos(qd) + M sin(qd)/q, of determinant 1.

    **Arguments:** `medium`; `thickness`: d in m; `omega`: rad/s; `ky`: k_y in rad/m, may be complex; all but the medium
    may be arrays that go together.

    **Returns:** complex [..., 2, 2], of Hz (in V/m) and Ey. M is the matrix at the head of this module.

    **Raises:** `ValueError` for numbers that are not finite, arrays that do not go together, a matrix that overflows.
    """
    _require_one(medium, "medium")
    values = {"thickness": thickness, "omega": omega, "ky": ky}
    given = _together(**values)
    return _finite(_layer_matrix(medium, *given.values()), **given)


def _layer_matrix(medium: AbstractMedium, thickness: Array, omega: Array, ky: Array) -> Array:
    matrix, z = _over_growth(medium, thickness, omega, ky)
    return matrix * jnp.exp(1j * z)[..., None, None]


def _over_growth(medium: AbstractMedium, thickness: Array, omega: Array, ky: Array) -> tuple[Array, Array]:
    """A layer's matrix times e^{−iqd}, Im qd ≤ 0, and qd."""
    (eps, tilt), k0 = _eps_and_tilt(medium, omega), omega / LIGHT
    voigt = eps * (1 + tilt**2)
    z = _falling(k0**2 * voigt - ky**2) * thickness
    zero, back = z == 0, jnp.exp(-2j * z)
    # Nearly 0 differences lose digits: sin z/z by its own function there.
    small = jnp.abs(z) < 1
    near, far = jnp.where(small & ~zero, z, 1.0), jnp.where(small, 1.0, z)
    sine = jnp.where(small, jnp.exp(-1j * near) * jnp.sin(near) / near, (1 - back) / (2j * far))
    sine = jnp.where(zero, 1.0, sine) * -1j * thickness
    turn, rows = (1 + back) / 2, (ky * tilt, k0 * voigt, k0 - ky**2 / (k0 * eps))
    return _matrix(turn + sine * rows[0], sine * rows[1], sine * rows[2], turn - sine * rows[0]), z


def _falling(square: Array) -> Array:
    """The root q with e^{−iqx} that does not grow with x."""
    q = jnp.sqrt(square + 0j)
    return jnp.where(q.imag > 0, -q, q)


def slab_scattering(
    before: Any, layers: Any, after: Any, omega: Numbers, ky: Numbers = 0.0
) -> Complex[Array, "*batch 2 2"]:
    """S [..., out, in] of layers between two dielectric half spaces, at one k_y: port 0 is before them, 1 behind.

        Hz = a e^{−iqx} + b e^{+iqx} before;      S[0, 0] = b/a,      S[1, 0] = (Hz behind/a) √(Y1/Y0),   Y = q/(k0 ε)

    Reference planes are the first face and the last one; waves are normalised by power, so that |S|² are shares of it
    and S is unitary without loss. Without layers it has Fresnel's coefficients.

    **Arguments:**

    - `before`: a medium without carriers; `after`: any medium. `layers`: pairs of thickness in m and medium.
    - `omega`: [...], rad/s; `ky`: [...], rad/m, k0 n sin(angle), the same everywhere.

    **Returns:** complex [..., 2, 2]. At one k_y transmission is reciprocal, S[0, 1] = S[1, 0], however strong the bias;
    but S(−k_y, B) = S(k_y, −B) reflects with another phase than S(k_y, B), and with collisions another share (of a
    magnetised metal: the transverse Kerr effect). Where `after` carries no wave (total reflection, a metal) or loses,
    only S[0, 0] has a meaning. Layers may be of any thickness.

    **Raises:** `ValueError` for a half space before with carriers, a thickness that is not positive, S that is not
    finite.
    """
    given = _together(omega=as_real(omega, "omega"), ky=as_real(ky, "ky"))
    for name, medium in (("before", before), ("after", after)):
        _require_one(medium, name)
    free = not is_concrete(before) or bool(jnp.all(before.omega_p == 0))
    require(free, "before", "be a medium without carriers", f"a {type(before).__name__}")
    # No layers at all are a face.
    slab = _checked(layers) if not isinstance(layers, (tuple, list)) or layers else []
    return _finite(_slab_scattering(before, slab, after, *given.values()), **given, layers=slab)


@eqx.filter_jit
def _slab_scattering(before: AbstractMedium, layers: Layers, after: AbstractMedium, omega: Array, ky: Array) -> Array:
    (y0, _), (y1, tilt) = _admittance(before, omega, ky), _admittance(after, omega, ky)
    # P (a0 (1, Y0) + b0 (1, −Y0)) = b1 (1, Y1 − t) + a1 (1, −Y1 − t)
    total, growth = _product([_over_growth(medium, thickness, omega, ky) for thickness, medium in layers])
    (a, b), (c, d) = (tuple(total[..., i, j] for j in (0, 1)) for i in (0, 1))
    into, back = (a + b * y0, c + d * y0), (a - b * y0, c - d * y0)
    scale = back[1] - back[0] * (y1 - tilt)
    root = jnp.sqrt(y0 + 0j) * jnp.sqrt(y1 + 0j)
    across = -2 * root / scale * jnp.exp(-1j * growth)  # the same both ways, for the determinant of P is 1
    return _matrix(
        (into[0] * (y1 - tilt) - into[1]) / scale, across, across, -(back[0] * (y1 + tilt) + back[1]) / scale
    )


def guide_dispersion(layers: Any, omega: Numbers, k: Numbers) -> Complex[Array, "*batch"]:
    """What vanishes where layers between two perfect conductors guide a wave e^{i(ωt − kx)}: Ex/Hz, from wall to wall.

    **Arguments:** `layers`: pairs of thickness in m and medium, from the lower wall (y = 0) to the upper one, where the
    bias is along z and x along the guide; `omega`: rad/s; `k`: rad/m, signed, may be complex.

    **Returns:** complex [...], Ex at the upper wall for Hz = 1 and Ex = 0 at the lower one. It is entire in k, unlike
    forms with tanh; where layers are so thick that it has no number (10¹⁵⁰ and more) it is over the rest of its growth.

    **Raises:** `ValueError` for a thickness that is not positive, numbers at which it is not finite.

    Source: paper 3 (nonreciprocal cavities, supplement), the dispersion of its guide, as a product of matrices.
    """
    layers = _checked(layers)
    given = _together(omega=omega, k=k)
    return _finite(_guide_dispersion(layers, *given.values()), **given, layers=layers)


@eqx.filter_jit
def _guide_dispersion(layers: Layers, omega: Array, k: Array) -> Array:
    value, growth = _over_all_growth(layers, omega, k)
    most = 0.5 * math.log(float(jnp.finfo(value.dtype).max))
    return value * jnp.exp(1j * growth - jnp.maximum(-growth.imag - most, 0.0))


def _over_all_growth(layers: Layers, omega: Array, k: Array) -> tuple[Array, Array]:
    # The head of this module turned by 90°: x → y, y → −x, (Hz, Ey) → (Hz, −Ex).
    total, growth = _product([_over_growth(medium, thickness, omega, -k) for thickness, medium in layers])
    return -total[..., 1, 0], growth


def guide_wavenumber(layers: Any, omega: Numbers, guess: Numbers, *, throw: Any = True) -> Complex[Array, ""]:
    """k of the wave e^{i(ωt − kx)} that layers between two perfect conductors guide, nearest to a guess.

    **Arguments:** `layers`: as for `guide_dispersion`; `omega`: [], rad/s; `guess`: [], rad/m, real or complex, its
    sign the direction of the phase. It carries no derivative. `throw`: raise where Newton's iteration does not arrive;
    otherwise k is NaN there.

    **Returns:** complex []. It has derivatives in all of the layers'
    numbers and in ω. Loss is Im k < 0 for waves whose power goes to +x.

    **Raises:** `ValueError` for a thickness or a frequency that is not positive, a guess that is not one number, or is
    0; `RuntimeError` if `throw` and the iteration does not arrive.
    """
    layers, throw = _checked(layers), as_flag(throw, "throw")
    omega, start = as_frequency(omega, "omega"), as_complex(guess, "guess")
    require_shape(start, "guess", ())
    require_finite("guess", start)
    require(not is_concrete(start) or bool(start != 0), "guess", "not be 0", guess)
    k, result = _guide_wavenumber(layers, omega, start)
    return raise_failures(k, result) if throw else k


def guide_profile(layers: Any, omega: Numbers, k: Numbers, y: Numbers) -> Complex[Array, "*y"]:
    """Hz(y) of a guided wave, 1 at the lower wall (or in size at its strongest face, where that is beyond numbers).

    **Arguments:** `layers`: as for `guide_dispersion`; `omega`: [], rad/s; `k`: [], rad/m, a root of it; `y`: [...], m,
    from the lower wall on.

    **Returns:** complex [...].

    **Raises:** `ValueError` for a thickness that is not positive, ω or k that is not one number, y that is not finite.
    """
    layers = _checked(layers)
    given = {"omega": _as_finite(omega, "omega"), "k": _as_finite(k, "k"), "y": _as_finite(as_real(y, "y"), "y")}
    for name in ("omega", "k"):
        require_shape(given[name], name, ())
    return _finite(_guide_profile(layers, *given.values()), **given, layers=layers)


@eqx.filter_jit
def _guide_wavenumber(layers: Layers, omega: Array, guess: Array) -> tuple[Array, Any]:
    start = guess * LIGHT / omega
    found = newton(_mismatch, jnp.stack([start.real, start.imag]), (layers, omega))
    k = (found.value[0] + 1j * found.value[1]) * omega / LIGHT
    solved = RESULTS.where(jnp.isfinite(k), RESULTS.successful, RESULTS.nonfinite)
    return k, RESULTS.where(found.result == RESULTS.successful, solved, found.result)


@eqx.filter_jit
def _guide_profile(layers: Layers, omega: Array, k: Array, y: Array) -> Array:
    # From both walls to the face where the wave is strongest: beyond it, what falls off would be lost in what grows.
    wall, none = jnp.array([1.0, 0.0]) + 0j, jnp.zeros(()) + 0j
    matrices = [_over_growth(medium, thickness, omega, -k) for thickness, medium in layers]
    up, down = [(wall, none)], [(wall, none)]
    for matrix, z in matrices:
        up.append((matrix @ up[-1][0], up[-1][1] + 1j * z))
    for matrix, z in matrices[::-1]:
        down.insert(0, (_turned(matrix) @ down[0][0], down[0][1] + 1j * z))
    logs = [[jnp.log(state[0]) + grown for state, grown in side] for side in (up, down)]
    size = jnp.stack([(one + other).real for one, other in zip(*logs, strict=True)])
    strongest = jnp.argmax(size)
    here = [jnp.stack(side)[strongest] for side in logs]
    most = 0.5 * math.log(float(jnp.finfo(y.dtype).max))
    over = jnp.where(here[0].real > most, here[0].real, 0.0)
    bottom, hz = jnp.zeros((), y.dtype), jnp.zeros(y.shape, wall.dtype)
    for number, (thickness, medium) in enumerate(layers):
        inside = jnp.clip(y - bottom, 0.0, thickness)
        rise, grown = _over_growth(medium, inside, omega, -k)
        state, before = up[number]
        below = (rise[..., 0, :] @ state) * jnp.exp(1j * grown + before - over)
        rise, grown = _over_growth(medium, thickness - inside, omega, -k)
        state, before = down[number + 1]
        above = (_turned(rise)[..., 0, :] @ state) * jnp.exp(1j * grown + before - over + here[0] - here[1])
        hz = jnp.where(y >= bottom, jnp.where(number < strongest, below, above), hz)
        bottom = bottom + thickness
    return hz


def _turned(matrix: Array) -> Array:
    """From behind a layer to before it: the inverse, but for what the matrix is over."""
    (a, b), (c, d) = (tuple(matrix[..., i, j] for j in (0, 1)) for i in (0, 1))
    return _matrix(d, -b, -c, a)


def _mismatch(n: Array, args: Any) -> Array:
    """`guide_dispersion` at k/k0 over its growth, in reals."""
    layers, omega = args
    value, _ = _over_all_growth(layers, omega, (n[0] + 1j * n[1]) * omega / LIGHT)
    return jnp.stack([value.real, value.imag])


def _checked(layers: Layers) -> Layers:
    """Thicknesses as arrays, so that none is compiled anew."""
    pairs = as_layers(layers)
    for number, (_, medium) in enumerate(pairs):
        _require_one(medium, f"layers[{number}][1]")
    return [(as_real(thickness, "layers"), medium) for thickness, medium in pairs]


def _require_one(medium: Any, name: str) -> None:
    """Raise unless it is a medium of numbers."""
    require_instance(medium, name, AbstractMedium, "be a medium")
    shapes = {jnp.shape(leaf) for leaf in jax.tree_util.tree_leaves(medium)}
    require(shapes <= {()}, name, "be a medium of numbers, not of arrays over cells", f"one of shapes {shapes}")


def _as_finite(value: Any, name: str) -> Array:
    array = as_inexact(value, name)
    require(array.size > 0, name, "be a number, or an array that is not empty", value)
    require_finite(name, array)
    return array


def _together(**values: Numbers) -> dict[str, Array]:
    """Finite numbers, in arrays that can be broadcast with each other."""
    given = {name: _as_finite(value, name) for name, value in values.items()}
    first = next(iter(given))
    try:
        jnp.broadcast_shapes(*(value.shape for value in given.values()))
    except ValueError:
        was = " and ".join(str(value.shape) for value in given.values())
        require(False, first, f"go together with {', '.join(list(given)[1:])}", f"of shape {was}")
    return given


def _finite(answer: Array, **given: Any) -> Array:
    """`answer`, unless known numbers have made it overflow, or divided by 0."""
    if is_concrete(answer) and not bool(jnp.all(jnp.isfinite(answer))):
        first, *others = given
        must = f"have a finite answer together with {', '.join(others)}" if others else "have a finite answer"
        require(False, first, must, ", ".join(f"{name} {described(value)}" for name, value in given.items())[:200])
    return answer


def _eps_and_tilt(medium: AbstractMedium, omega: Numbers) -> tuple[Array, Array]:
    """ε_xx and τ = ε_xy/ε_xx."""
    eps = medium.permittivity(omega)
    return eps[..., 0, 0], eps[..., 0, 1] / eps[..., 0, 0]


def _admittance(medium: AbstractMedium, omega: Array, ky: Array) -> tuple[Array, Array]:
    """(q, k_y τ)/(k0 ε_v) of a half space: Ey/Hz is their difference for what goes or falls away from its face."""
    (eps, tilt), k0 = _eps_and_tilt(medium, omega), omega / LIGHT
    voigt = k0 * eps * (1 + tilt**2)
    return _falling(k0 * voigt - ky**2) / voigt, ky * tilt / voigt


def _matrix(a: Array, b: Array, c: Array, d: Array) -> Array:
    entries = jnp.broadcast_arrays(a, b, c, d)
    return jnp.stack(entries, axis=-1).reshape(*entries[0].shape, 2, 2)


def _product(layers: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The last matrix times … times the first, and the sum of what they are over, in exponents."""
    total, growth = jnp.eye(2) + 0j, jnp.zeros(()) + 0j
    for matrix, grown in layers:
        total, growth = matrix @ total, growth + grown
    return total, growth
