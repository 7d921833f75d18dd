"""Checkpoint files: one line of JSON that says what is in the file, then the arrays of a pytree.

They are written whole or not at all, and loading one executes nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

FORMAT = "diffnr checkpoint"
VERSION = 1


def save_checkpoint(path: str | os.PathLike, tree: PyTree, about: dict[str, Any]) -> None:
    """Write the arrays of `tree` and the facts `about` them to `path`, replacing it in one step.

    **Arguments:** `path`; `tree`: a pytree of arrays; `about`: what `load_checkpoint` shall be able to ask for, in
    types that JSON knows.

    **Raises:** `OSError` where the file cannot be written; what stood there before is then untouched.
    """
    path = Path(path)
    tree = _without_keys(tree)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, tree)
    arrays = buffer.getvalue()
    header = {"format": FORMAT, "version": VERSION, **about, "arrays": _describe(tree), "sha256": _digest(arrays)}
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(json.dumps(header, ensure_ascii=False).encode() + b"\n" + arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_checkpoint(
    path: str | os.PathLike, like: Callable[[dict[str, Any]], PyTree], must_be: dict[str, Any]
) -> tuple[PyTree, dict[str, Any]]:
    """Read a checkpoint back.

    **Arguments:** `path`; `like`: `header -> pytree` of arrays or `jax.ShapeDtypeStruct`, of the structure, shapes and
    dtypes that were saved; `must_be`: facts that have to stand in the header as they stand here.

    **Returns:** the pytree, and the header.

    **Raises:** `ValueError` for a file that is no checkpoint, is damaged, or belongs to something else.
    """
    with open(path, "rb") as file:
        line, _, arrays = file.read().partition(b"\n")
    header = _header(line)
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise ValueError(f"Argument checkpoint must be a checkpoint of this version of diffnr, but {path} is none.")
    if _digest(arrays) != header.get("sha256"):
        raise ValueError(f"Argument checkpoint must be a whole checkpoint, but {path} is truncated or damaged.")
    for name, here in must_be.items():
        _require_same(path, name, header.get(name), here)
    tree = like(header)
    bare = _without_keys(tree)
    here, there = _describe(bare), header["arrays"]
    _require_same(path, "arrays", sorted(set(there) - set(here)), sorted(set(here) - set(there)))
    for name in here:
        _require_same(path, name, there[name], here[name])
    return _with_keys(eqx.tree_deserialise_leaves(io.BytesIO(arrays), bare), tree), header


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _require_same(path: Any, name: str, there: Any, here: Any) -> None:
    if there != here:
        raise ValueError(
            f"Argument checkpoint must belong to this problem, but {path} belongs to another: {name} was {there} there "
            f"and is {here} here. Pass another file, or delete this one to start anew."
        )


def _describe(tree: PyTree) -> dict[str, str]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(keys): f"{leaf.dtype}{list(leaf.shape)}" for keys, leaf in leaves}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_keys(tree: PyTree) -> PyTree:
    # Typed PRNG keys are no arrays that a file could hold; their data are.
    return jax.tree_util.tree_map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _with_keys(bare: PyTree, like: PyTree) -> PyTree:
    def wrap(data: Any, leaf: Any) -> Any:
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else data

    return jax.tree_util.tree_map(wrap, bare, like)
