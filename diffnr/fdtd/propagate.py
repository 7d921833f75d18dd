"""Fields over many steps, driven by sources and read by probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import Numbers, as_real, is_concrete, require
from diffnr.fdtd.functional import Functional, require_on_grid
from diffnr.fdtd.leapfrog import Fields, Update
from diffnr.fdtd.scene import Scene

CHUNK = 4096  # steps between two looks at whether fields are finite


class Pulse(eqx.Module):
    """A Gaussian pulse cos(ω(t − t0)) e^{−(t − t0)²/(2τ²)}.

    **Arguments:** `omega`: ω, rad/s; `width`: τ in s, positive: the spectrum falls by e^{−1/2} at ω ± 1/τ; `centre`: t0
    in s, default 5 τ, so that it begins at 4·10⁻⁶.
    """

    omega: Float[Array, ""]
    width: Float[Array, ""]
    centre: Float[Array, ""]

    def __init__(self, omega: Numbers, width: Numbers, centre: Numbers | None = None):
        self.omega, self.width = as_real(omega, "omega"), as_real(width, "width")
        self.centre = 5 * self.width if centre is None else as_real(centre, "centre")

    def __check_init__(self) -> None:
        require(not is_concrete(self.width) or bool(self.width > 0), "width", "be positive", self.width)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, ""]:
        late = t - self.centre
        return jnp.cos(self.omega * late) * jnp.exp(-(late**2) / (2 * self.width**2))


class Recording(eqx.Module):
    """What `propagate` returns.

    **Fields:** `traces` [probe, time], what probes read after every step; `ts` [time], when, s (that of the field read:
    E and Hz are half a step apart); `fields`, at the end.
    """

    traces: Float[Array, "probe time"]
    ts: Float[Array, "probe time"]
    fields: Fields

    def spectrum(self, omega: Numbers) -> Complex[Array, "probe *omega"]:
        """∫ trace e^{−iωt} dt by the rectangle rule, [probe, ...], at frequencies ω in rad/s."""
        omega = as_real(omega, "omega")
        step = self.ts[:, 1:2] - self.ts[:, :1]
        phase = jnp.exp(-1j * omega.reshape(-1, 1, 1) * self.ts)
        return jnp.sum(phase * self.traces * step, axis=-1).T.reshape(-1, *omega.shape)


def propagate(
    scene: Scene,
    update: Update,
    steps: int,
    *,
    sources: Sequence[tuple[Functional, Callable[[Array], Array]]] = (),
    probes: Sequence[Functional] = (),
    fields: Fields | None = None,
    begin: int = 0,
) -> Recording:
    """The fields after many steps, with what probes read on the way.

    **Arguments:**

    - `scene`, `update`: `Update.of(scene)`. `steps`: how many.
    - `sources`: pairs of a functional and its strength s(t), a function of the time in s (`Pulse`).
    - `probes`: functionals. `fields`: to begin with, default zero; `begin`: the number of steps taken before, by which
      the sources' time goes on: a run in parts is the run in one, bit for bit.

    **Returns:** a `Recording`. It may be jitted, vmapped and differentiated.

    **Raises:** `ValueError` for a functional off the grid, or steps that are no positive number; `FloatingPointError`
    where fields stop being finite: it names the step and place, and has the last finite fields as `.fields`.
    """
    require(isinstance(steps, int) and steps >= 1, "steps", "be an integer of at least 1", repr(steps))
    for name, functionals in (("sources", [source for source, _ in sources]), ("probes", probes)):
        for functional in functionals:
            require_on_grid(name, functional, scene.grid)
    fields = update.still() if fields is None else fields
    parts, chunk = [], CHUNK if is_concrete(scene, update, sources, probes, fields) else steps
    for first in range(0, steps, chunk):
        count = min(chunk, steps - first)
        before = fields
        fields, traces = _advance(scene, update, tuple(sources), tuple(probes), fields, begin + first, count)
        parts.append(traces)
        if is_concrete(fields):
            _require_finite(scene, update, tuple(sources), before, begin + first, count, fields)
    traces = jnp.concatenate(parts)
    when = jnp.stack([begin + jnp.arange(steps) + (0.5 if probe.component == "hz" else 1.0) for probe in probes] or
                     [jnp.zeros(steps)])[: len(probes)]  # fmt: skip
    return Recording(traces.T, when * update.step, fields)


@eqx.filter_jit
def _advance(
    scene: Scene, update: Update, sources: tuple, probes: tuple, fields: Fields, begin: Any, steps: int
) -> tuple[Fields, Float[Array, "time probe"]]:
    now = (begin + jnp.arange(steps)) * update.step
    strengths = [
        jax.vmap(waveform)(now + (0.0 if source.component == "hz" else 0.5) * update.step)
        for source, waveform in sources
    ]

    def step(fields: Fields, strengths: tuple) -> tuple[Fields, Array]:
        fields = _driven(update, sources, update.magnetic(fields), strengths, ("hz",))
        fields = _driven(update, sources, update.electric(fields), strengths, ("ex", "ey"))
        return fields, jnp.stack([probe.read(scene.grid, fields) for probe in probes] or [jnp.zeros(())])[: len(probes)]

    return lax.scan(step, fields, tuple(strengths), length=steps)


def _driven(update: Update, sources: tuple, fields: Fields, strengths: tuple, components: tuple) -> Fields:
    for (source, _), strength in zip(sources, strengths, strict=True):
        if source.component in components:
            fields = source.drive(update, fields, strength)
    return fields


def _require_finite(
    scene: Scene, update: Update, sources: tuple, before: Fields, begin: int, steps: int, after: Fields
) -> None:
    """Raise if fields are not finite, at the first step at which they are not, found by halving the stretch."""
    if all(bool(jnp.all(jnp.isfinite(field))) for field in after):
        return
    while steps > 1:
        half, _ = _advance(scene, update, sources, (), before, begin, steps // 2)
        if all(bool(jnp.all(jnp.isfinite(field))) for field in half):
            before, begin, steps = half, begin + steps // 2, steps - steps // 2
        else:
            after, steps = half, steps // 2
    # In the order in which a step makes them.
    name = next(name for name in ("hz", "jx", "jy", "ex", "ey") if not np.all(np.isfinite(getattr(after, name))))
    field = getattr(after, name)
    i, j = np.argwhere(~np.isfinite(np.asarray(field)))[0]
    cx, cy = scene.grid.centres
    x, y = float(cx[min(i, cx.size - 1)]), float(cy[min(j, cy.size - 1)])
    error = FloatingPointError(
        f"The fields stopped being finite at step {begin + 1}: {name} near x = {x:g} m, y = {y:g} m. The fields before "
        "are this error's .fields. Look for a source that is not finite, or media that changed since the step was made."
    )
    error.fields = before  # pyright: ignore[reportAttributeAccessIssue]
    raise error
