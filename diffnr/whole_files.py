"""Files that are written whole or not at all, and columns of numbers in them."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def write_whole(path: str | os.PathLike, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a new file beside `path`, which takes the place of the one there once it is complete.

    A link stays a link: what it points to is replaced. A file that is there passes its permissions on. What is no file
    (a pipe, a device) is written to as it stands.

    **Raises:** `OSError` where that cannot be written; what stood there before is then untouched.
    """
    target = Path(os.path.realpath(path))
    there = target.stat() if target.exists() else None
    if there is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    if there is not None and not stat.S_ISREG(there.st_mode) and not stat.S_ISDIR(there.st_mode):
        with open(target, "wb") as file:
            write(file)
        return
    partial = target.with_name(f".{uuid.uuid4().hex}.partial")
    # What was private is so from the first byte on.
    mode = 0o666 if there is None else 0o600
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if there is not None:
            partial.chmod(stat.S_IMODE(there.st_mode))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_columns(path: str | os.PathLike, columns: Mapping[str, Any], comments: Sequence[str] = ()) -> None:
    """Write columns of numbers (arrays) with all digits: a line of their names, comments, and a line for each row."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    # The header comes first, where readers that know no comments look for it.
    lines = [",".join(columns), *comments, *(",".join(map(repr, row)) for row in rows)]
    write_whole(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))
