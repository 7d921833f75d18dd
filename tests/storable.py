"""Classes of a user's own for tests of saved files, and whether what comes back is the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffnr.checks import is_concrete


class Law(eqx.Module):
    gamma_k: Array
    mode: int = eqx.field(static=True)


class Checked(eqx.Module):
    rate: Array
    twice: Array

    def __init__(self, rate):
        self.rate = jnp.asarray(rate)
        self.twice = 2 * self.rate

    def __check_init__(self):
        if self.rate.ndim > 0:
            raise ValueError("Argument rate must have shape [].")
        if is_concrete(self.rate) and self.rate < 0:
            raise ValueError("Argument rate must not be negative.")


class Model(eqx.Module):
    s: Array
    laws: tuple[Law, ...]
    checked: Checked | None
    name: str = eqx.field(static=True)
    harmonics: tuple[int, ...] = eqx.field(static=True)
    note: str | None = None


class Fit(eqx.Module):
    model: Any
    history: dict[str, Any]
    result: Any = None


class Holder(eqx.Module):
    law: Callable = eqx.field(static=True)


class Outcome(eqx.Enumeration):
    fine = ""
    poor = "It went badly."


TYPES = (Law, Checked, Model, Fit, Outcome)


def model() -> Model:
    laws = (Law(jnp.array(0.3), mode=1), Law(jnp.arange(3.0, dtype=jnp.float32), mode=0))
    return Model(jnp.array([[1.5 - 2j, 0], [3j, 4]]), laws, Checked(0.25), name="pair", harmonics=(1, 3))


def assert_same(a: Any, b: Any) -> None:
    """The same structure, static fields, classes, dtypes, array types and values, NaN being equal to NaN."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            assert x.dtype == y.dtype
            assert x.shape == y.shape
            np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_equal(x, y)


def rewrite(path: Path, change: Callable[[dict], Any]) -> None:
    """Change the header of a saved file, as an attacker or another version of diffnr would."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("__diffnr__")))
    changed = change(header)
    with open(path, "wb") as file:
        np.savez(file, __diffnr__=np.array(json.dumps(changed if changed is not None else header)), **arrays)
