"""A cheap thing to minimise, and how results are compared, for the tests of the optimiser loop."""

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Array, Float

from diffnr.checks import rate_field, real_field
from optimize.minimisation import Minimum

# Cheaper to compile than the default, where any optimiser will do.
ADAM = optax.adam(1e-2)


class Valley(eqx.Module):
    """Rosenbrock's banana valley, a cheap thing to minimise: least at x = y = 1."""

    x: Float[Array, ""] = real_field(default=-1.2)
    y: Float[Array, ""] = real_field(default=1.0)
    width: Float[Array, ""] = rate_field(default=0.5)


def height(valley: Valley) -> Array:
    return (1 - valley.x) ** 2 + 100 * (valley.y - valley.x**2) ** 2


def bits(minimum: Minimum) -> list[bytes]:
    """Every number of a result, to the bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(minimum)] + [minimum.message.encode()]
