"""The equations of motion of coupled modes as diffrax takes them: real unknowns, and parameters that are real."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from diffnr.tcmt.loss import AbstractLaw
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.proximal import resolvent, settled, velocity
from diffnr.tcmt.solve import outgoing
from diffnr.waveforms import Waveform


class EquationsOfMotion(eqx.Module):
    """The equations of motion of y = [Re a, Im a, energies in, energies out], with waves and amplitudes in `unit`s."""

    matrices: Matrices
    A: Complex[Array, "mode mode"]
    laws: tuple[AbstractLaw, ...]
    waveform: Waveform
    unit: Float[Array, ""]

    def split(self, y: Array) -> tuple[Array, Array]:
        modes = self.A.shape[0]
        return y[:modes] + 1j * y[modes : 2 * modes], y[2 * modes :]

    def join(self, a: Array, energies: Array) -> Array:
        return jnp.concatenate([a.real, a.imag, energies])

    def waves(self, t: Array, a: Array) -> tuple[Array, Array]:
        s_plus = self.waveform(t).astype(self.A.dtype)
        return s_plus, outgoing(self.matrices, s_plus, a)

    def drive(self, s_plus: Array) -> Array:
        return jnp.sum(self.matrices.K.T * s_plus, axis=1)

    def powers(self, t: Array, a: Array) -> Array:
        waves = jnp.concatenate(self.waves(t, self.unit * a)) / self.unit
        return waves.real**2 + waves.imag**2

    # A law need not be homogeneous: it sees the amplitudes as they are.
    def velocity(self, t: Array, y: Array, args: Any) -> Array:
        a, _ = self.split(y)
        s_plus, _ = self.waves(t, self.unit * a)
        slope = velocity(self.A, self.laws, self.unit * a, self.drive(s_plus)) / self.unit
        return self.join(slope, self.powers(t, a))

    def resolvent(self, t: Array, h: Array, r: Array, guess: Array, args: Any) -> Array:
        (a, energies), (near, _) = self.split(r), self.split(guess)
        s_plus, _ = self.waves(t, near)
        unit = self.unit
        a = resolvent(self.A, self.laws, self.drive(s_plus), h, unit * a, unit * near) / unit
        return self.join(a, energies + h * self.powers(t, a))

    def settled(self, t: Array, h: Array, y0: Array, y: Array, args: Any) -> Array:
        (before, _), (a, energies) = self.split(y0), self.split(y)
        s_plus, _ = self.waves(t, a)
        unit = self.unit
        return self.join(settled(self.A, self.laws, self.drive(s_plus), h, unit * before, unit * a) / unit, energies)


class RealLeaves(eqx.Module):
    """A pytree whose complex leaves are held as pairs of reals, which is all that diffrax promises to treat right."""

    leaves: list[Any]
    is_complex: tuple[bool, ...] = eqx.field(static=True)
    treedef: Any = eqx.field(static=True)

    @classmethod
    def of(cls, tree: Any) -> RealLeaves:
        leaves, treedef = jax.tree_util.tree_flatten(tree)
        is_complex = tuple(eqx.is_array(x) and jnp.iscomplexobj(x) for x in leaves)
        pairs = [(x.real, x.imag) if split else x for x, split in zip(leaves, is_complex, strict=True)]
        return cls(pairs, is_complex, treedef)

    def whole(self) -> Any:
        joined = [x[0] + 1j * x[1] if split else x for x, split in zip(self.leaves, self.is_complex, strict=True)]
        return jax.tree_util.tree_unflatten(self.treedef, joined)


class Method(eqx.Module):
    """One method of a `EquationsOfMotion` whose leaves are held as reals."""

    motion: RealLeaves
    name: str = eqx.field(static=True)

    def __call__(self, *args: Any) -> Array:
        return getattr(self.motion.whole(), self.name)(*args)
