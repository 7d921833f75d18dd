"""What the reports of the `diffnr` command share: numbers as JSON has them, and Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Numbers, maybe in nested lists, as JSON has them: infinite ones as "inf", those that do not exist as null."""
    value = np.asarray(value).tolist()
    if isinstance(value, list):
        return [plain(x) for x in value]
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as a Markdown table, the first as its header; a bar in a cell is escaped."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
