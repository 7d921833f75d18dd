"""Files that version 0.1 saved load today, with the values they had, and come back from a file of today's format.

What the values are called today stands in `RENAMED`; classes and fields that have been renamed, in
`diffnr.saved_formats`.
"""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import tcmt
from diffnr.saved_formats import FORMAT, MEMBERS, PACKAGES
from slow import slow_except

SAVED = Path(__file__).parent / "data" / "saved_0_1"
CONTENTS = json.loads((SAVED / "contents.json").read_text(encoding="utf-8"))

# What an expression of 0.1 is called today: pattern of the file's name, regular expression, what takes its place.
RENAMED: list[tuple[str, str, str]] = [
    ("design|minimum", r"x\.value\b(?!s)", "x.objective"),
    ("minimum", r"history\['value'\]", "history['objective']"),
    ("stability", r"x\.unique\b", "x.unique_response"),
    ("update.*", r"x\.carriers\b", "x.drude_gain"),
    ("update.*", r"x\.phase\b", "x.bloch_factors[1]"),
    ("restoration|reciprocity_(level|locus)", r"x\.value\b(?!s)", "x.ratio"),
    ("one_harmonic_restoration", r"x\.value\b(?!s)", "x.ratio"),
    ("phase_nonreciprocity_locus|reciprocity_locus|reciprocity_level|reciprocal_points", r"x\.along\b", "x.parameter"),
    ("port_response_.*", r"x\.successful\b", "x.converged"),
    ("pulse|tone|hermite_pulses|gaussian_pulse", r"x\((.*?)\)", r"x(np.asarray(\1))"),
    ("", r"\bphase_difference\b", "nonreciprocal_phase"),
    ("phase_design_result", r"x\.report\(\)", "x.report().replace('Δφ' + 14 * ' ', 'phase difference')"),
    ("phase_nonreciprocity_locus", r"x\.ending\b", "x.result"),
    ("port_response_.*", r"x\.successful\b", "x.converged"),
    ("update", r"x\.carriers\b", "x.drude_gain"),
    ("update_layers", r"x\.phase\b", "x.bloch_factors[1]"),
]


def todays(expression: str, name: str) -> str:
    for place, old, new in RENAMED:
        if re.fullmatch(place or ".*", name.removesuffix(".npz")):
            expression = re.sub(old, new, expression)
    return expression


def plain(value: Any) -> Any:
    """As JSON has it: complex numbers are pairs."""
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [plain(item) for item in array]
    item = array.item()
    return [item.real, item.imag] if isinstance(item, complex) else item


def close(then: Any, now: Any) -> bool:
    if isinstance(then, list):
        return isinstance(now, list) and len(then) == len(now) and all(map(close, then, now))
    if isinstance(then, str | bool) or then is None:
        return then == now
    # Ten digits: what is computed from a loaded model is found again by solvers, to about 1e-12.
    return bool(np.isclose(float(now), float(then), rtol=1e-10, atol=0.0, equal_nan=True))


def evaluated(expression: str, x: Any) -> Any:
    # Annotations are checked in tests: what 0.1's expressions give as numpy's arrays are JAX's here.
    return plain(eval(expression, {"x": x, "np": jnp, "nr": nr, "tcmt": tcmt, "op": op}))


def solves(expression: str) -> bool:
    return "port_response(" in expression or "scattering(" in expression


def wrong_values(x: Any, name: str, values: dict[str, Any]) -> list[str]:
    wrong = []
    for expression, then in values.items():
        text = todays(expression, name)
        try:
            now = evaluated(text, x)
        except (AttributeError, KeyError) as error:
            wrong.append(f"{text}: {error}; a renamed field belongs in RENAMED of this test")
            continue
        if text.endswith(".report()"):  # its words may change, but no number
            then, now = (re.findall(r"\d+\.\d+(?:e-?\d+)?", report) for report in (then, now))
        if not close(then, now):
            wrong.append(f"{text} was {then}, and is {now}")
    return wrong


def wrong_members(x: Any, name: str, members: list[str]) -> list[str]:
    """What differs from the members of an enumeration that were saved, one or an array of them."""
    enumeration, values = vars(x)["_enumeration"], vars(x)["_value"]
    if np.ndim(values) == 0:  # one of them, which an expression names
        return []
    renamed = MEMBERS.get(CONTENTS[name]["class"], {})
    wanted = [renamed.get(member, member) for member in members]
    return [
        f"member {then} was {member} in 0.1, and is number {value}"
        for then, member, value in zip(wanted, members, values, strict=True)
        if int(value) != int(vars(getattr(enumeration, then))["_value"])
    ]


def load(name: str, path: Path) -> Any:
    entry = CONTENTS[name]
    types = [
        getattr(importlib.import_module(t.rpartition(".")[0]), t.rpartition(".")[2]) for t in entry.get("types", ())
    ]
    return nr.load(path, types, check=entry.get("check", True))


def load_of_then(name: str) -> Any:
    try:
        return load(name, SAVED / name)
    except ValueError as error:
        was = CONTENTS[name]["class"]
        return pytest.fail(f"{name}, of 0.1's {was}: a line is missing or wrong in diffnr/saved_formats.py. {error}")


def header(path: Path) -> dict:
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["__diffnr__"]))


def named_classes(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(named_classes, node))
    if not isinstance(node, dict):
        return set()
    here = {node[kind] for kind in ("module", "enumeration") if isinstance(node.get(kind), str)}
    return here.union(*map(named_classes, node.values()))


def test_the_list_is_of_all_files() -> None:
    assert set(CONTENTS) == {path.name for path in SAVED.glob("*.npz")}
    assert {header(SAVED / name)["format"] for name in CONTENTS} == {1}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_0_1_has_its_values(name: str) -> None:
    x, entry = load_of_then(name), CONTENTS[name]
    wrong = wrong_values(x, name, {key: value for key, value in entry["values"].items() if not solves(key)})
    assert wrong + (wrong_members(x, name, entry["members"]) if "members" in entry else []) == []


SOLVED = [name for name, entry in CONTENTS.items() if any(map(solves, entry["values"]))]


# Each compiles a solver of its own; the two kept have a law that is solved for and one that is not.
@pytest.mark.parametrize(
    "name", slow_except(SOLVED, SOLVED.index("two_resonators_nonlocal.npz"), SOLVED.index("two_resonators_linear.npz"))
)
def test_a_model_of_0_1_responds_as_then(name: str) -> None:
    values = {key: value for key, value in CONTENTS[name]["values"].items() if solves(key)}
    assert wrong_values(load_of_then(name), name, values) == []


@pytest.mark.parametrize("name", CONTENTS)
def test_what_0_1_saved_is_saved_anew(name: str, tmp_path: Path) -> None:
    x = load_of_then(name)
    nr.save(tmp_path / name, x)
    back = load(name, tmp_path / name)
    assert type(back) is type(x)
    assert repr(jax.tree.structure(back)) == repr(jax.tree.structure(x))  # static fields may be arrays
    for one, other in zip(jax.tree.leaves(x), jax.tree.leaves(back), strict=True):
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other, strict=isinstance(one, np.ndarray))
    saved = header(tmp_path / name)
    assert saved["format"] == FORMAT
    ours = {cls for cls in named_classes(saved["tree"]) if cls.partition(".")[0] in ("diffnr", "optimize")}
    assert {cls for cls in ours if cls.rpartition(".")[0] not in PACKAGES} == set()


def test_a_file_names_classes_by_their_public_names(tmp_path: Path) -> None:
    nr.save(tmp_path / "a.npz", load_of_then("two_resonators_nonlocal.npz"))
    assert named_classes(header(tmp_path / "a.npz")["tree"]) == {
        "diffnr.tcmt.TwoResonators",
        "diffnr.tcmt.NonlocalLoss",
    }
    nr.save(tmp_path / "b.npz", nr.RESULTS.fold)
    assert named_classes(header(tmp_path / "b.npz")["tree"]) == {"diffnr.RESULTS"}


def test_a_line_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffnr.storage.todays_name", lambda name: name)
    with pytest.raises(
        pytest.fail.Exception, match=r"drive\.npz, of 0\.1's diffnr\.ports\.Drive.*'diffnr\.ports\.Drive'"
    ):
        load_of_then("drive.npz")
