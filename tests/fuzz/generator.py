"""Bad values for one argument of a call that works, and the judgement of what came back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import numpy as np


@dataclass
class Entry:
    """A call that works: `call(**good)`.

    `free`: arguments that may be anything (names, labels), which are left alone. `allow`: labels of bad values that
    are good ones for an argument ("None" where it may be left out, "a matrix" where it may be an array). `named`: what
    else an argument may be called in messages, where a sentence names it by the place it goes to. `cost`: 0 for calls
    of milliseconds, 1 for those of seconds, which get fewer values.
    """

    name: str
    call: Callable[..., Any]
    good: dict[str, Any]
    free: tuple[str, ...] = ()
    allow: dict[str, tuple[str, ...]] = field(default_factory=dict)
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cost: int = 0


@dataclass(frozen=True)
class Bad:
    """A value; `wrong`: whether no call could make sense of it, so that an answer is none."""

    label: str
    value: Any
    wrong: bool


TRACED = object()  # an argument of jit


class Stranger:
    """A class that nothing here knows."""


def _number(x: Any) -> bool:
    return isinstance(x, (int, float, complex, np.number)) and not isinstance(x, bool)


def _array(x: Any) -> np.ndarray | None:
    try:
        array = np.asarray(x)
    except Exception:
        return None
    return array if array.dtype.kind in "ifc" and array.ndim > 0 and array.size > 0 else None


def bad_values(good: Any, rng: random.Random) -> Iterator[Bad]:
    """What may be given in the place of a good value."""
    whole = isinstance(good, int) and not isinstance(good, bool)
    words = "".join(rng.choices("abcdefgh µ.-_", k=rng.randint(1, 12)))
    if not isinstance(good, str):
        yield Bad("text", words, True)
    else:
        yield Bad("another word", words, True)
        yield Bad("no word", "", True)
        yield Bad("bytes", words.encode(), True)
    yield Bad("an object", Stranger(), True)
    yield Bad("a class", Stranger, True)
    if not callable(good):
        yield Bad("a function", lambda *a: None, True)
    else:
        yield Bad("a function that raises", _raises, True)
        yield Bad("a function of the wrong shape", lambda *a: np.zeros((rng.randint(2, 5), 7, 2)), True)
        yield Bad("a function that returns text", lambda *a: words, True)
    yield Bad("None", None, _number(good))
    yield Bad("a dict", {words: rng.random()}, not isinstance(good, dict))
    yield Bad("a set", {rng.random()}, True)
    yield Bad("nested text", [words, [words]], True)
    yield Bad("ragged", [1.0, [2.0, 3.0]], True)
    yield Bad("no numbers", np.zeros((0,)), _number(good) or _array(good) is not None)
    yield Bad("a matrix", np.full((2, 3), 1.0 + rng.random()), _number(good))
    yield Bad("a bool", rng.choice([True, False]), _number(good))
    yield Bad("10^30", 10**30, whole)
    yield Bad("-10^30", -(10**30), whole)
    for label, value in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
        yield Bad(label, value, _number(good))
    for label, value in (
        ("complex", complex(rng.random(), 1.0)),
        ("0", 0.0),
        ("negative", -rng.uniform(0.1, 10)),
        ("huge", 10.0 ** rng.uniform(200, 300)),
        ("tiny", 10.0 ** rng.uniform(-300, -200)),
        ("a numpy integer", np.int64(rng.randint(0, 3))),
        ("a float for an integer", rng.uniform(0.1, 5.9)),
    ):
        yield Bad(label, value, label == "a float for an integer" and whole)
    if whole:
        yield Bad("traced", TRACED, True)
    array = _array(good)
    if array is not None:
        for label, value in (
            ("nan", np.nan),
            ("inf", np.inf),
            ("complex", 1j),
            ("negative", -(10.0 ** rng.uniform(0, 6))),
        ):
            changed = array.astype(np.result_type(array, type(value)))
            changed.flat[rng.randrange(array.size)] = value
            yield Bad(f"an entry {label}", changed, label == "nan")
        yield Bad("an axis too many", array[None], True)
        yield Bad("one too many", np.concatenate([array, array[-1:]]), False)
        yield Bad("one too few", array[:-1], False)
        yield Bad("reversed", array[::-1].copy(), False)
        yield Bad("scaled up", array * 10.0 ** rng.uniform(100, 250), False)
    if isinstance(good, (tuple, list)) and len(good) == 2 and all(map(_number, good)):
        yield Bad("the wrong order", type(good)(good[::-1]), False)
        yield Bad("three", (*good, good[-1]), True)
        yield Bad("one", (good[0],), True)
        yield Bad("an array of no axis", np.asarray(float(good[0])), False)
    if isinstance(good, dict):
        key = next(iter(good), "x")
        yield Bad("an unknown key", {words: next(iter(good.values()), 1.0)}, True)
        yield Bad("a key that is no text", {rng.randint(0, 9): 1.0}, True)
        yield Bad("a value of text", {key: words}, True)
        yield Bad("a value nan", {key: np.nan}, True)


def _raises(*args: Any) -> Any:
    raise KeyError("what a user's function may do")


def verdict(entry: Entry, argument: str, bad: Bad, known_finite: bool) -> tuple[str, str]:
    """("fine" | "unclear" | "none", what was said or returned).

    Unclear: an error that does not name the argument in one sentence. None: an answer where there is none, be it
    returned for what makes no sense, or not finite without the answer saying so.
    """
    try:
        answer = _called(entry, argument, bad.value)
        answer = jax.block_until_ready(answer) if not isinstance(answer, (str, int, float)) else answer
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        said = str(error)
        names = (argument, *entry.named.get(argument, ()))
        named = any(re.search(rf"\b{re.escape(name)}\b", said) for name in names)
        failed_solve = isinstance(error, RuntimeError) and not bad.wrong and len(said) < 500
        clear = (named or failed_solve) and len(said) <= 700 and "\n" not in said.strip()
        return ("fine" if clear else "unclear"), f"{type(error).__name__}: {said[:300]}"
    except Exception as error:
        return "unclear", f"{type(error).__name__}: {str(error)[:300]}"
    if bad.wrong and bad.label not in entry.allow.get(argument, ()):
        return "none", f"returned {_summary(answer)}"
    good = bad.label in entry.allow.get(argument, ())
    if known_finite and not good and not _finite(answer) and not _says_so(answer):
        return "none", f"not finite without a word: {_summary(answer)}"
    return "fine", "returned"


def _called(entry: Entry, argument: str, value: Any) -> Any:
    if value is not TRACED:
        return entry.call(**{**entry.good, argument: value})

    def traced(number: Any) -> int:
        entry.call(**{**entry.good, argument: number})
        return 0

    return jax.jit(traced)(entry.good[argument])


def _numbers(answer: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree_util.tree_leaves(answer) if eqx.is_inexact_array_like(x)]


def _finite(answer: Any) -> bool:
    return all(bool(np.all(np.isfinite(x))) for x in _numbers(answer))


def _says_so(answer: Any) -> bool:
    """Whether an answer marks what it does not have: by `converged`, `valid` or `count`."""
    for name in ("converged", "valid", "stable", "feasible"):
        said = getattr(answer, name, None)
        if said is not None and not np.all(np.asarray(said)):
            return True
    return False


def _summary(answer: Any) -> str:
    parts = [np.array2string(x.ravel()[:3], precision=3) for x in _numbers(answer)[:3]]
    return f"{type(answer).__name__} {' '.join(parts)}"[:160]


def run(
    entries: list[Entry], seed: int, *, only: str = "", most: int | None = None
) -> list[tuple[str, str, str, str, str]]:
    """Every bad value for every argument: (entry, argument, label, verdict, what was said)."""
    rng = random.Random(seed)
    rows = []
    for entry in entries:
        if only and only not in entry.name:
            continue
        known_finite = _finite(entry.call(**entry.good))
        cases = [
            (argument, bad)
            for argument, good in entry.good.items()
            if argument not in entry.free
            for bad in bad_values(good, rng)
        ]
        limit = most if most is not None else (None if entry.cost == 0 else 30)
        if limit is not None and len(cases) > limit:
            cases = rng.sample(cases, limit)
        for argument, bad in cases:
            rows.append((entry.name, argument, bad.label, *verdict(entry, argument, bad, known_finite)))
    return rows
