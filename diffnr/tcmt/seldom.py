"""Work that a batch seldom needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool


def unless(known: Bool[Array, ""], answer: Array, find: Callable[[Any], Array], matter: Any) -> Array:
    """`answer` where it is known, else find(matter).

    By a loop run once or not at all: unlike `cond` it costs a batch nothing in which everything is known. As its matter
    goes through it, and comes out as another, XLA does not move the work in front of it.
    """

    def once(state: tuple[Array, Array, Any]) -> tuple[Array, Array, Any]:
        return find(state[2]), jnp.ones((), bool), jax.tree_util.tree_map(jnp.zeros_like, state[2])

    return lax.while_loop(lambda state: ~state[1], once, (answer, known, matter))[0]
