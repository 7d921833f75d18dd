"""Sphinx: the pages of this folder, the API from docstrings, the gallery from examples/. Needs no network."""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # docs.* below, from wherever Sphinx is started

from docutils import nodes  # noqa: E402
from jaxtyping import ArrayLike  # noqa: E402
from sphinx.util.typing import stringify_annotation  # noqa: E402

import diffnr  # noqa: E402
from docs import api_pages, docstrings  # noqa: E402

ALIASES = {
    "TypeAliasForwardRef('ArrayLike')": "ArrayLike",
    "TypeAliasForwardRef('Numbers')": "Numbers",
    stringify_annotation(ArrayLike, "smart"): "ArrayLike",
    "ArrayLike | ~collections.abc.Sequence[~typing.Any]": "Numbers",
}

project = "diffnr"
author = "The diffnr authors"
copyright = "The diffnr authors"
version = release = diffnr.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # "loss.gamma_k" is typed as it stands
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"diffnr {version}"
html_static_path = ["static"]
html_css_files = ["diffnr.css"]

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Numbers": "Numbers", "ArrayLike": "ArrayLike"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "docs.gallery_setup.ReadingOrder",
    "reset_modules": ("matplotlib", "docs.gallery_setup.place_elsewhere", "docs.gallery_setup.forget_programs"),
    "download_all_examples": False,
    "notebook_extensions": set(),
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
}


def setup(app):
    api_pages.write(Path(app.srcdir, "api"))
    targets = api_pages.targets()

    def from_markdown(app, what, name, thing, options, lines):
        arguments = inspect.signature(thing).parameters if callable(thing) else ()
        lines[:] = docstrings.to_rst(lines, {name: full for name, full in targets.items() if name not in arguments})

    app.connect("autodoc-process-docstring", from_markdown)
    app.connect("autodoc-skip-member", skip_borrowed)
    app.connect("autodoc-process-signature", name_aliases)
    app.connect("missing-reference", name_foreign_type)


def skip_borrowed(app, what, name, thing, skip, options):
    """Leave out what has no docstring of ours: fields of named tuples, and classes of others held as attributes."""
    borrowed = (
        what == "class" and inspect.isclass(thing) and thing.__module__.split(".")[0] not in ("diffnr", "optimize")
    )
    return True if borrowed or (thing.__doc__ or "").startswith("Alias for field number") else None


def name_aliases(app, what, name, thing, options, signature, returns):
    """Types by the names that they have in the source, where Sphinx was given what those stand for."""
    return tuple(
        text and functools.reduce(lambda text, pair: text.replace(*pair), ALIASES.items(), text)
        for text in (signature, returns)
    )


def name_foreign_type(app, env, node, text):
    """A type in a signature that these pages do not document: its short name, without a link.

    What a page refers to by a role is left to fail.
    """
    if node["refdomain"] == "py" and node["reftype"] in ("class", "obj") and "refexplicit" not in node:
        return nodes.Text(node["reftarget"].rpartition(".")[2])
    return None
