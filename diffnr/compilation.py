"""Programs that are compiled by themselves, where the caller's numbers are known: in half of the time.

Most of what a first call takes is compilation of operations on a few numbers each. XLA's older emitters of machine code
and fewer passes of LLVM are twice as fast at that on CPUs, and lead to programs that run as fast
(`benchmarks/first_calls.py`); those of long loops over arrays do not. Inside of a caller's own `jit` such a choice is
the caller's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax

from diffnr.checks import by_itself, is_concrete

SOONER = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def compiled(
    function: Callable[Arguments, Answer], as_usual: Callable[..., bool] | None = None
) -> Callable[Arguments, Answer]:
    """`eqx.filter_jit(function)`, compiled sooner where all numbers are known and nothing else is being traced, and not
    `as_usual(*arguments)`."""
    usual: Any = eqx.filter_jit(function)
    sooner: Any = eqx.filter_jit(function, compiler_options=SOONER)  # pyright: ignore[reportCallIssue]

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        alone = is_concrete(args, kwargs) and by_itself() and _knows()
        program = sooner if alone and not (as_usual and as_usual(*args, **kwargs)) else usual
        return program(*args, **kwargs)

    return call


@functools.cache
def _knows() -> bool:
    """Whether the compiler takes these options, which another version need not; it says so when it compiles."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda x: x, compiler_options=SOONER).lower(0.0).compile()
    except Exception:  # of whatever kind a version raises
        return False
    return True
