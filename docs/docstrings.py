"""Docstrings here are light Markdown, as they read best in an editor; Sphinx wants reStructuredText.

What is understood: paragraphs, `- ` lists, **bold**, *italic*, `code`, and blocks indented by four spaces, which are
equations or code. Everything else is text as it stands: |a|², D*, s_j₊.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

_ITEM = re.compile(r" *- (?=\S)")
_BOLD, _ITALIC = (rf"{mark}(?=[^\s*])[^*]*?(?<=\S){mark}(?![\w*])" for mark in (r"\*\*", r"\*"))
_INLINE = re.compile(rf"`([^`]+)`|(?<![\w*]){_BOLD}|(?<![\w*]){_ITALIC}")
_OPENS, _CLOSES = " \n([{<-/:'\"", " \n)]}>-/:'\".,;!?"  # what may stand beside reStructuredText's inline marks


def to_rst(lines: Sequence[str], targets: Mapping[str, str] | None = None) -> list[str]:
    """The lines of a docstring as reStructuredText.

    **Arguments:** `lines`, without common indentation; `targets`: `{name: full name}` of what is documented: such a
    name in backticks becomes a link. A single lower-case word does not, being more likely an argument.
    """
    rst: list[str] = []
    margin, in_block = 0, False
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        chunk = list(group)
        if blank:
            rst.append("")
            continue
        indent = len(chunk[0]) - len(chunk[0].lstrip())
        if rst and indent >= margin + 4:
            rst += chunk if in_block else [f"{'':{margin}}.. code-block:: text", "", *chunk]
            in_block = True
        else:
            rst += _paragraph(chunk, targets or {})
            margin, in_block = len(chunk[-1]) - len(chunk[-1].lstrip(" -")), False
    return rst


def _paragraph(chunk: list[str], targets: Mapping[str, str]) -> list[str]:
    rst: list[str] = []
    in_list = False
    for line in inline("\n".join(chunk), targets).split("\n"):
        if _ITEM.match(line):
            rst += [] if in_list or not rst else [""]
            in_list = True
        rst.append(line)
    return rst


def inline(text: str, targets: Mapping[str, str] | None = None) -> str:
    """Text with its marks as reStructuredText's, and what would be taken for others escaped."""
    rst, end = "", 0
    for match in _INLINE.finditer(text):
        rst += _escape(text[end : match.start()])
        code = match[1]
        mark = match[0] if code is None else _code(code, targets or {})
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        rst += ("" if before in _OPENS else "\\ ") + mark + ("" if after in _CLOSES else "\\ ")
        end = match.end()
    return rst + _escape(text[end:])


def _code(code: str, targets: Mapping[str, str]) -> str:
    is_word = code.isalpha() and code.islower()
    return f":py:obj:`{code} <{targets[code]}>`" if code in targets and not is_word else f"``{code}``"


def _escape(text: str) -> str:
    return re.sub(r"[\\*|`]|_(?!\w)", r"\\\g<0>", text)
