"""The documentation says what is there: every export, every example, no missing file, code that runs.

The build itself, with every reference checked, is `make docs`.
"""

import ast
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import diffnr as nr
import optimize as op
from docs import api_pages, docstrings, gallery_setup
from pairs import Pair

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]


@pytest.fixture(scope="module")
def api() -> dict[str, str]:
    return api_pages.pages()


def names_of(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


@pytest.mark.parametrize("package", ["diffnr", "diffnr.tcmt", "optimize"])
def test_every_export_is_on_an_api_page(api: dict[str, str], package: str) -> None:
    assert package in api_pages.packages()
    documented = set(re.findall(r"^\.\. auto(?:class|function|data|module):: (\S+)$", "\n".join(api.values()), re.M))
    exporting = importlib.import_module(package)
    exported = {name: f"{package}.{name}" for name in exporting.__all__}
    missing = {full for name, full in exported.items() if full not in documented}
    assert missing - set(api_pages.packages()) == set()  # a package exported by another has a section, not a page


def test_api_index_leads_to_every_page(api: dict[str, str]) -> None:
    listed = re.findall(r"^   (\S+)$", api["index"].rpartition(".. toctree::")[2], re.M)
    assert sorted(["index", *(name for name in listed if name != ":hidden:")]) == sorted(api)


def test_one_page_documents_each_name_once(api: dict[str, str]) -> None:
    directives = re.findall(r"^\.\. auto(?:class|function|data):: (\S+)$", "\n".join(api.values()), re.M)
    assert len(directives) == len(set(directives)) > 50


def test_names_in_docstrings_lead_to_exports() -> None:
    targets = api_pages.targets()
    assert targets["PortResponse"] == "diffnr.PortResponse"
    assert targets["diffnr.parameters.select"] == "diffnr.parameters.select"
    assert targets["optimize.fit"] == "optimize.fit"
    assert "respond" not in targets  # a method, shown with its class


def test_command_line_page_has_every_command(api: dict[str, str]) -> None:
    page = api["command_line"]
    assert re.findall(r"^(diffnr .+)\n-+$", page, re.M)[:2] == ["diffnr demo", "diffnr fit"]
    assert "--modes N" in page


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_gallery_script(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    title, underline, blank, *text = (ast.get_docstring(tree) or "").splitlines()
    assert set(underline) == {"="}
    assert len(underline) >= len(title)
    assert blank == ""
    assert text
    # The gallery shows the figures left open by the last statement, and redirects what is saved beside __file__.
    assert ast.unparse(tree.body[-1]) == (
        "if __name__ == '__main__':\n    main().savefig(__file__.replace('.py', '.png'))"
    )


def test_gallery_begins_with_the_papers() -> None:
    order = sorted((path.name for path in EXAMPLES), key=gallery_setup.ReadingOrder("examples"))
    papers = [name.startswith("paper") for name in order]
    assert papers == sorted(papers, reverse=True)
    assert 0 < sum(papers) < len(papers)


def links(path: Path) -> list[str]:
    """Targets of the Markdown links and images of a page, without those that lead elsewhere."""
    found = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    return [link for link in found if not link.startswith(("http", "mailto"))]


@pytest.mark.parametrize("path", TEXTS, ids=names_of(TEXTS))
def test_links_lead_somewhere(path: Path, api: dict[str, str]) -> None:
    generated = {f"docs/api/{name}.rst" for name in api} | {"docs/gallery/index.rst"}
    generated |= {f"docs/gallery/{example.stem}.rst" for example in EXAMPLES}
    here = path.parent.relative_to(ROOT).as_posix()
    targets = [f"{here}/{link.partition('#')[0]}".removeprefix("./") for link in links(path) if link[0] != "#"]
    assert [target for target in targets if target not in generated and not (ROOT / target).exists()] == []


@pytest.mark.parametrize("path", TEXTS, ids=names_of(TEXTS))
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml))`", path.read_text(encoding="utf-8"))
    assert [name for name in named if not any((ROOT / at / name).exists() for at in (".", "diffnr", "docs"))] == []


@pytest.mark.parametrize("path", PAGES, ids=names_of(PAGES))
def test_roles_name_what_is_documented(path: Path) -> None:
    roles = re.findall(r"\{py:obj\}`(?:[^`<]*<)?~?([\w.]+)>?`", path.read_text(encoding="utf-8"))
    assert set(roles) <= set(api_pages.targets().values())


@pytest.mark.parametrize("path", PAGES, ids=names_of(PAGES))
def test_included_passages_exist(path: Path) -> None:
    for name, options in re.findall(r"```\{include\} (\S+)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        text = (DOCS / name).resolve().read_text(encoding="utf-8")
        marks = dict(re.findall(r':(start-after|end-before): "(.+)"', options))
        begin = text.index(marks["start-after"]) if "start-after" in marks else 0
        assert text[begin:].count(marks.get("end-before", "")) > 0


@pytest.mark.slow
def test_code_of_getting_started_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    readme, page = (path.read_text(encoding="utf-8") for path in (ROOT / "README.md", DOCS / "getting_started.md"))
    quickstart, *blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[:1] + re.findall(
        r"```python\n(.*?)```", page, re.DOTALL
    )
    assert len(blocks) >= 4
    printed: list[str] = []
    names = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    before_the_design = quickstart.partition("best =")[0]  # tests/test_printed_script.py runs the whole of it
    for block in (before_the_design, *blocks):
        exec(compile(block, "getting_started.md", "exec"), names)
    _, shape, slopes, fit, design, isolation = printed
    assert shape == "(30, 101)"
    assert [f"{float(slope):.4g}" for slope in slopes.split()] == ["0.4749", "26.13"]  # the digits that the page has
    assert "2 modes fitted" in fit
    assert "The residual looks like noise" in fit
    assert [float(number) for number in re.findall(r"([\d.]+) dB$", design, re.M)] == pytest.approx(
        [60, 4.36], abs=5e-3
    )
    assert f"{float(isolation):.3f}" == "-0.205"
    assert (tmp_path / "fit.png").stat().st_size > 0


def test_code_of_the_series_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the files that the page tells of: the numbers that it shows come out."""
    monkeypatch.chdir(tmp_path)
    sets = zip((-5, 0, 5), (81, 61, 101), (1e-2, 5e-3, 2e-2), strict=True)
    for seed, (bias, points, noise) in enumerate(sets):
        nr.write_touchstone(f"pair_{bias}mT.s2p", Pair.biased(bias / 5).data(noise, seed, points=points))
    page = (DOCS / "fits.md").read_text(encoding="utf-8")
    block = next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "fit_series" in text)
    printed: list[str] = []
    names = {"print": lambda *values: printed.append(" ".join(map(str, values))), "nr": nr, "op": op}
    exec(compile(block, "fits.md", "exec"), names)
    report = printed[-1]
    assert f"    {report.splitlines()[0]}" in page
    for name in ("omega[0]", "gamma[0] (shared)", "kappa12", "kappa21", "coupling_phase", "nonreciprocity"):
        row = next(line for line in report.splitlines() if line.startswith(f"| {name} "))
        shown = next(line.strip() for line in page.splitlines() if line.startswith(f"    | {name} "))
        # Other processors round otherwise, and a last digit may follow.
        values = [[float(x) for x in re.findall(r"(-?[\d.]+) ±", line)] for line in (row, shown)]
        errors = [float(x) for x in re.findall(r"± ([\d.]+)", shown)]
        assert np.all(np.abs(np.subtract(*values)) < 0.1 * np.array(errors)), name
    assert (tmp_path / "series.png").stat().st_size > 0


TARGETS = {"PortResponse": "diffnr.PortResponse", "port_response": "diffnr.port_response", "fit": "optimize.fit"}


@pytest.mark.parametrize(
    ("markdown", "rst"),
    [
        ("|a|² is an energy", r"\|a\|² is an energy"),
        ("K = −CᵀD*, which", r"K = −CᵀD\*, which"),
        ("with *every* loss", "with *every* loss"),
        ("**Returns:** a number", "**Returns:** a number"),
        ("`out=…, into=…`: ports", "``out=…, into=…``: ports"),
        ("two `Module`s", r"two ``Module``\ s"),
        ("½`x`", r"½\ ``x``"),
        ("s_ and a_m", r"s\_ and a_m"),
        ("`|x| * y_`", "``|x| * y_``"),
        ("a `PortResponse`.", "a :py:obj:`PortResponse <diffnr.PortResponse>`."),
        ("see `port_response`", "see :py:obj:`port_response <diffnr.port_response>`"),
        ("- `fit`: an argument", "- ``fit``: an argument"),
        ("2 ** 3 * 4", r"2 \*\* 3 \* 4"),
        ("`(y,\n  t) -> F`", "``(y,\n  t) -> F``"),
    ],
)
def test_inline_marks(markdown: str, rst: str) -> None:
    assert docstrings.inline(markdown, TARGETS) == rst


def test_blocks() -> None:
    markdown = """\
One line:

    x_j = |a|²,

    y = `x`

where x is `x`.

**Arguments:**
- `a`: one,
  and more:

      z = a*

- `b`: two.

Done."""
    assert (
        "\n".join(docstrings.to_rst(markdown.splitlines()))
        == r"""One line:

.. code-block:: text

    x_j = |a|²,

    y = `x`

where x is ``x``.

**Arguments:**

- ``a``: one,
  and more:

  .. code-block:: text

      z = a*

- ``b``: two.

Done."""
    )


@pytest.mark.slow
def test_code_of_own_device_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the digits that the page has."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "own_device.md").read_text(encoding="utf-8")
    printed: list[str] = []
    names = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "own_device.md", "exec"), names)
    _, wavelengths, dip, resonance, *cells, value, differences, better = printed
    assert "47.7 cells" in wavelengths
    assert dip == "least to the right at 0.924 THz: 0.302, to the left 0.146"
    assert resonance == "0.9259 THz, Q = 124.7"
    assert [line.partition(": ")[2] for line in cells] == [
        "0.92590 THz, Q = 124.73",
        "0.92841 THz, Q = 116.07",
        "0.92944 THz, Q = 112.55",
    ]
    assert value == "6.311 dB; gradient -25.0559, 367.2522"
    assert differences == "by differences -25.0559, 367.2522"
    assert better == "bias 0.245, doping 0.045 THz: 8.508 dB"
    assert (tmp_path / "own_device.png").stat().st_size > 0
