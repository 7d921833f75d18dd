"""Save and load models, responses, data and results: one file, which plain numpy reads and which can execute nothing.

A file is an uncompressed .npz archive. Each array stands under its path ("model.loss.gamma_k", "laws.0.coefficient",
"free[loss.gamma_k]" for a key of a dictionary that is no name), so that

    numpy.load(path, allow_pickle=False)["model.loss.gamma_k"]

works without diffnr. The entry `__diffnr__` is JSON text: the version of the format and of diffnr, and the tree of
classes, fields and plain values that the arrays belong to. A class stands there under its public name, that of the
package which exports it. Loading looks it up among the classes of diffnr, of optimize once that is imported, and those
it is given; nothing else is imported, unpickled or evaluated because a file says so.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from diffnr.checks import is_concrete
from diffnr.saved_formats import FORMAT, MEMBERS, PACKAGES, public_name, todays_fields, todays_name
from diffnr.version import __version__
from diffnr.whole_files import write_whole

PathLike = str | Path

_HEADER = "__diffnr__"


def save(path: PathLike, obj: Any) -> None:
    """Save models, responses, field data, results, or any tree of them.

    **Arguments:**

    - `path`: the file, under exactly this name; one that is there is replaced, at once and only when the new one is
      complete. A link stays one, and permissions stay.
    - `obj`: made of `eqx.Module` objects, members of `eqx.Enumeration`s, tuples (named ones too), lists, dicts with str
      keys, None, bool, int, float, complex, str, and arrays of numbers (JAX or numpy); static fields are kept too.

    **Raises:** `ValueError` naming the place of what cannot be saved (a function, a tracer, another class).
    """
    arrays: dict[str, np.ndarray] = {}
    header = {"format": FORMAT, "diffnr": __version__, "tree": _encode(obj, "", arrays)}
    text = json.dumps(header, allow_nan=False)
    write_whole(path, lambda file: _write_archive(file, {_HEADER: np.array(text), **arrays}))


def load(path: PathLike, types: Sequence[type] = (), *, check: bool = True) -> Any:
    """What `save` saved: the same classes with the same values and dtypes.

    Objects are rebuilt from their fields without `__init__`; then their own checks (`__check_init__`) are run. Nothing
    in the file is executed, so that a file from anyone may be loaded.

    **Arguments:**

    - `path`: the file.
    - `types`: your own classes (`eqx.Module`, `eqx.Enumeration` or `NamedTuple`) that the file may hold; those of
      diffnr and optimize are known once imported.
    - `check`: False skips the objects' own checks, for what was made by `vmap` or `eqx.filter` and would not pass them.

    **Raises:** `FileNotFoundError`; `ValueError` for a file that is not one of diffnr's, is damaged, comes from a newer
    format, holds a class that is not known or has other fields here, or holds float64 arrays while float64 is off.
    """
    path = Path(path)
    header, arrays = _read_archive(path)
    version = header.get("format")
    if not isinstance(version, int) or "tree" not in header:
        raise _refusal(path, "is damaged: its header has no format or no tree")
    if version > FORMAT:
        made_by = header.get("diffnr")
        raise _refusal(path, f"has format {version}, made by diffnr {made_by}; this diffnr reads up to {FORMAT}")
    decoder = _Decoder(path, arrays, _known_classes(types), check, version)
    try:
        return decoder.decode(header["tree"], "")
    except (TypeError, IndexError, OverflowError, RecursionError) as error:
        raise _refusal(path, f"is damaged: {error}") from error


def _encode(x: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """`x` as JSON; its arrays go to `arrays`. What JSON has not is an object of one key that says what it is."""
    match x:
        case None:
            return None
        case bool() | int() | str() if type(x) in (bool, int, str):
            return x
        case float() if type(x) is float:
            return x if math.isfinite(x) else {"float": repr(x)}
        case complex() if type(x) is complex:
            return {"complex": [repr(x.real), repr(x.imag)]}
        case tuple() | list() if type(x) in (tuple, list):
            return {type(x).__name__: [_encode(item, _join(path, str(k)), arrays) for k, item in enumerate(x)]}
        case dict() if type(x) is dict:
            return {"dict": {_string_key(k, path): _encode(v, _join(path, _token(k)), arrays) for k, v in x.items()}}
        case jax.Array() | np.ndarray() | np.generic():
            return _encode_array(x, path, arrays)
        case eqx.Module() if _is_member(x):
            value, enumeration = _encode(vars(x)["_value"], path, arrays), vars(x)["_enumeration"]
            return {"enumeration": public_name(enumeration), "members": _members(enumeration), "value": value}
        case eqx.Module():
            fields = {f.name: _encode(getattr(x, f.name), _join(path, f.name), arrays) for f in dataclasses.fields(x)}
            return {"module": public_name(type(x)), "fields": fields}
        case tuple() if _is_named(type(x)):
            fields = {name: _encode(item, _join(path, name), arrays) for name, item in _items(x)}
            return {"named tuple": public_name(type(x)), "fields": fields}
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    raise ValueError(f"Argument obj must hold modules, containers, numbers and arrays, but {_at(path)} is a {kind}.")


def _encode_array(x: Any, path: str, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    if not is_concrete(x):
        raise ValueError(f"Argument obj must hold values, but {_at(path)} is traced: save outside of jit and vmap.")
    if getattr(x.dtype, "kind", "V") not in "biufc":
        raise ValueError(f"Argument obj must hold arrays of numbers, but {_at(path)} has dtype {x.dtype}.")
    key = path or "value"
    arrays[key] = np.asarray(x)
    if isinstance(x, jax.Array):
        # A weak type decides what a product's dtype is; only scalars made of Python numbers have one in practice.
        return {"array": key, "as": "weak" if x.ndim == 0 and x.weak_type else "jax"}
    return {"array": key, "as": "numpy" if isinstance(x, np.ndarray) else "scalar"}


@dataclasses.dataclass(frozen=True)
class _Decoder:
    """The way back from JSON; every step takes the node and its place in the tree."""

    file: Path
    arrays: dict[str, np.ndarray]
    classes: dict[str, type]
    check: bool
    version: int

    def decode(self, node: Any, path: str) -> Any:
        match node:
            case None | bool() | int() | float() | str():
                return node
            case {"float": "nan" | "inf" | "-inf" as text}:
                return float(text)
            case {"complex": [str(real), str(imag)]}:
                return self.complex_number(real, imag, path)
            case {"tuple": list(items)}:
                return tuple(self.items(items, path))
            case {"list": list(items)}:
                return list(self.items(items, path))
            case {"dict": dict(items)}:
                return {key: self.decode(item, _join(path, _token(key))) for key, item in items.items()}
            case {"array": str(key), "as": "jax" | "weak" | "numpy" | "scalar" as kind}:
                return self.array(key, kind)
            case {"enumeration": str(name), "members": list(members), "value": value}:
                return self.enumeration(name, members, self.decode(value, path))
            case {"module": str(name), "fields": dict(fields)}:
                return self.module(name, fields, path)
            case {"named tuple": str(name), "fields": dict(fields)}:
                return self.named_tuple(name, fields, path)
        raise _refusal(self.file, f"is damaged: {_at(path)} is nothing that diffnr writes")

    def items(self, items: list[Any], path: str) -> Iterator[Any]:
        return (self.decode(item, _join(path, str(k))) for k, item in enumerate(items))

    def complex_number(self, real: str, imag: str, path: str) -> complex:
        try:
            return complex(float(real), float(imag))
        except ValueError:
            raise _refusal(self.file, f"is damaged: {_at(path)} is no complex number") from None

    def array(self, key: str, kind: str) -> Any:
        if key not in self.arrays:
            raise _refusal(self.file, f"is damaged: it lacks the array {key!r}")
        array = self.arrays[key]
        if array.dtype.kind not in "biufc":
            raise _refusal(self.file, f"is damaged: the array {key!r} has dtype {array.dtype}")
        if kind in ("numpy", "scalar"):
            return array[()] if kind == "scalar" else array
        converted = jnp.asarray(array)
        if converted.dtype != array.dtype:
            raise _refusal(
                self.file,
                f"holds {array.dtype} in {key!r}, which needs float64: "
                'call jax.config.update("jax_enable_x64", True) before loading',
            )
        if kind == "weak" and array.ndim == 0 and (weak := jnp.asarray(array.item())).dtype == array.dtype:
            return weak
        return converted

    def enumeration(self, name: str, members: list[Any], value: Any) -> Any:
        """Members are matched by name, since their numbers may change from version to version."""
        cls = self.find(name, eqx.Enumeration)
        if self.version == 1:
            renamed = MEMBERS.get(name, {})
            members = [renamed.get(member, member) for member in members]
        here = _members(cls)
        if value is not None:
            numbers = np.asarray(value)
            used = set(np.ravel(numbers).tolist())
            unknown = [k for k in used if k not in range(len(members)) or members[k] not in here]
            if unknown:
                names = [members[k] if k in range(len(members)) else k for k in unknown]
                raise _refusal(self.file, f"holds members of {name} that are not known here: {names}")
            table = np.array([here.index(m) if m in here else -1 for m in members], dtype=np.int32)
            translated = np.asarray(table[numbers])
            value = jnp.asarray(translated) if isinstance(value, jax.Array) else translated
        member = object.__new__(type(cls._name_to_item[here[0]]))
        object.__setattr__(member, "_value", value)
        object.__setattr__(member, "_enumeration", cls)
        return member

    def module(self, name: str, fields: dict[str, Any], path: str) -> Any:
        cls = self.find(name, eqx.Module)
        expected = {field.name for field in dataclasses.fields(cls)}
        values = {field: self.decode(node, _join(path, field)) for field, node in fields.items()}
        if self.version == 1:
            values = todays_fields(public_name(cls), values)
        if set(values) != expected:
            raise self.other_fields(name, fields, expected)
        try:
            obj = object.__new__(cls)
            for field, value in values.items():
                object.__setattr__(obj, field, value)
            for base in cls.__mro__ if self.check else ():
                if "__check_init__" in vars(base):
                    vars(base)["__check_init__"](obj)
        except Exception as error:  # whatever a class finds wrong with values that it did not make
            raise _refusal(self.file, f"holds a {name} at {_at(path)} that its class refuses: {error}") from error
        return obj

    def named_tuple(self, name: str, fields: dict[str, Any], path: str) -> Any:
        cls = self.find(name, tuple)
        if list(fields) != list(cls._fields):
            raise self.other_fields(name, fields, cls._fields)
        return tuple.__new__(cls, [self.decode(node, _join(path, field)) for field, node in fields.items()])

    def other_fields(self, name: str, fields: Any, expected: Any) -> ValueError:
        said = f"holds {name} with the fields {sorted(fields)}, but here that class has {sorted(expected)}"
        return _refusal(self.file, said)

    def find(self, name: str, kind: type) -> Any:
        cls = self.classes.get(todays_name(name) if self.version == 1 else name)
        if cls is None or not issubclass(cls, kind):
            raise _refusal(
                self.file,
                f"holds the class {name!r}, which is not among the imported classes of diffnr and optimize: "
                "import optimize where it is one of its, or pass your own class in types=",
            )
        return cls


def _known_classes(types: Sequence[type]) -> dict[str, type]:
    for cls in types:
        if not (isinstance(cls, type) and (issubclass(cls, (eqx.Module, eqx.Enumeration)) or _is_named(cls))):
            kinds = "eqx.Module, eqx.Enumeration or NamedTuple"
            raise ValueError(f"Argument types must hold {kinds} classes, but held {cls!r}.")
    for package in (sys.modules[name] for name in PACKAGES if name in sys.modules):
        for name in package.__all__:
            getattr(package, name)  # what is exported is imported when it is first used
    ours = (
        cls
        for root in (eqx.Module, eqx.Enumeration, tuple)
        for cls in _subclasses(root)
        if cls.__module__.partition(".")[0] in PACKAGES and (root is not tuple or _is_named(cls))
    )
    return {public_name(cls): cls for cls in (*ours, *types)}


def _subclasses(cls: type) -> Iterator[type]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _is_named(cls: type) -> bool:
    """Whether a class is a NamedTuple."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _items(x: Any) -> Iterator[tuple[str, Any]]:
    """Fields of a NamedTuple."""
    return zip(x._fields, x, strict=True)


def _is_member(x: eqx.Module) -> bool:
    """Whether `x` is a member of an enumeration (or an array of them)."""
    cls = vars(x).get("_enumeration")
    return isinstance(cls, type) and issubclass(cls, eqx.Enumeration)


def _members(enumeration: Any) -> list[str]:
    """The names of an enumeration's members, in the order of their numbers."""
    return sorted(enumeration._name_to_item, key=lambda name: int(enumeration._name_to_item[name]._value))


def _join(path: str, token: str) -> str:
    return f"{path}.{token}" if path and not token.startswith("[") else path + token


def _token(key: str) -> str:
    """A key of a dictionary in a path: itself if it is a name, else quoted, safe in any archive."""
    plain = key.isidentifier() and key.isascii() and key != _HEADER
    return key if plain else f"[{quote(key, '.', errors='surrogatepass')}]"


def _string_key(key: Any, path: str) -> str:
    if type(key) is not str:
        raise ValueError(f"Argument obj must hold dicts with str keys, but {_at(path)} has the key {key!r}.")
    return key


def _at(path: str) -> str:
    return repr(path) if path else "its root"


def _refusal(path: Path, sentence: str) -> ValueError:
    return ValueError(f"File {str(path)!r} {sentence}.")


def _write_archive(file: Any, arrays: dict[str, np.ndarray]) -> None:
    """As `numpy.savez` does, which however takes no array named "file" and adds an extension."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _read_archive(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            raise _refusal(path, "is not a file that diffnr saved")
        try:
            with zipfile.ZipFile(file) as archive:
                arrays = {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}
            header = json.loads(str(arrays.pop(_HEADER))) if _HEADER in arrays else None
        except Exception as error:  # a damaged archive can trip its readers anywhere
            raise _refusal(path, f"is damaged, truncated, or not one of diffnr's: {error}") from error
    if not isinstance(header, dict):
        raise _refusal(path, "is not a file that diffnr saved")
    return header, arrays


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    # Read whole, since only then does zipfile compare the check sum.
    return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
