"""Arithmetic by numpy where all numbers are known: every kind of operation that JAX does one by one is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from diffnr.checks import is_concrete, staying_known

if TYPE_CHECKING:
    AnyArray = jax.Array
else:
    AnyArray = jax.Array | np.ndarray | np.generic
"""Arrays of either kind, of which `namespace` tells which; to checkers of types those of JAX, whose operators serve."""


def by_numpy(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, whose arrays are numpy's inside if none is traced; its answer's are JAX's either way.

    The function takes its operations from `namespace`, and makes no modules of arrays, whose fields are JAX's.
    """
    if not is_concrete(*jax.tree_util.tree_leaves(arguments)):
        return function(*arguments)
    answer = function(*jax.tree_util.tree_map(lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, arguments))
    with staying_known():
        return jax.tree_util.tree_map(
            # Not asarray, which there compiles a program for every shape.
            lambda x: jax.device_put(x) if isinstance(x, (np.ndarray, np.generic)) else x,
            answer,
        )


def namespace(*arrays: Any) -> Any:
    """numpy, if all of these are its own, or else jax.numpy."""
    return np if all(isinstance(array, (np.ndarray, np.generic)) for array in arrays) else jnp
