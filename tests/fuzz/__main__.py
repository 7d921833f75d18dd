"""`python -m tests.fuzz [ROOM ...] [--seed N] [--only NAME] [--most N]`: every answer that is not fine, and a count."""

import argparse
import importlib
import os
import warnings
from collections import Counter

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_enable_x64", True)

from tests.fuzz.generator import run  # noqa: E402

ROOMS = ("ports", "tcmt", "duffing", "fdtd", "optimize", "reciprocity", "command")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rooms", nargs="*", default=ROOMS)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--most", type=int)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    total: Counter[str] = Counter()
    for room in arguments.rooms:
        entries = importlib.import_module(f"tests.fuzz.{room}").entries()
        rows = run(entries, arguments.seed, only=arguments.only, most=arguments.most)
        count = Counter(row[3] for row in rows)
        total += count
        for name, argument, label, verdict, said in rows:
            if verdict != "fine":
                print(f"{verdict:8} {name}({argument}={label}): {said}")
        print(f"{room}: {len(entries)} entries, {len(rows)} calls, {count['unclear']} unclear, {count['none']} none")
    print(f"in all {sum(total.values())} calls, {total['unclear']} unclear, {total['none']} none")
    return int(total["none"] > 0 or total["unclear"] > 0.01 * sum(total.values()))


if __name__ == "__main__":
    raise SystemExit(main())
