"""Configuration files: what they make, and the one sentence for each way in which they can be wrong."""

from pathlib import Path

import jax
import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt
from optimize import Interval
from optimize.command.cli import main
from optimize.command.configuration import COMPLEX, NUMBER, Key, read_table, read_variant
from optimize.command.configured_modes import LAWS, MODELS, read_model
from optimize.command.isolation_task import FIGURE, GOALS, TABLES, read_task

ROOT = Path(__file__).parents[1]
MODEL = """
[model]
kind = "two_resonators"
omega = [0, 0.5]
gamma = [3.0, 2.0]
gamma_0 = [0.5, 0.5]
kappa = 3
"""
LOSS = """
[[model.loss]]
kind = "nonlocal"
gamma_k = 2.7
mode = 1
sensed = 0
"""
DESIGN = """
[design]
goal = "isolation"
free = ["loss.gamma_k"]
out = 0
into = 1
omega = 0.0
"""
WHOLE = MODEL + LOSS + DESIGN


@pytest.fixture
def task_of(tmp_path):
    def read(text):
        (tmp_path / "device.toml").write_text(text, encoding="utf-8")
        return read_task(tmp_path / "device.toml")

    return read


def test_a_file_becomes_a_model_and_arguments(task_of):
    more = (
        'points = 5\npower = 4\nseed = 3\n[bounds]\nloss.gamma_k = [0, 5]\n[tolerances]\n"gamma" = [0.1, 0]\nkappa=0.2'
    )
    task = task_of(WHOLE.replace("omega = 0.0", "band = [-1, 1]\nmax_insertion_loss = 4") + more)
    assert isinstance(task.model, tcmt.TwoResonators)
    np.testing.assert_array_equal(task.model.omega, [0.0, 0.5])
    assert float(task.model.loss.gamma_k) == 2.7
    given = dict(task.arguments)
    assert jax.random.key_data(given.pop("key")).tolist() == jax.random.key_data(jax.random.key(3)).tolist()
    interval, tolerances = given.pop("transforms"), given.pop("tolerances")
    assert list(interval) == ["loss.gamma_k"]
    assert isinstance(interval["loss.gamma_k"], Interval)
    assert (float(interval["loss.gamma_k"].lower), float(interval["loss.gamma_k"].upper)) == (0.0, 5.0)
    assert {path: np.asarray(width).tolist() for path, width in tolerances.items()} == {"gamma": [0.1, 0], "kappa": 0.2}
    assert given == {
        "free": ("loss.gamma_k",),
        "out": 0,
        "into": 1,
        "band": (-1.0, 1.0),
        "max_insertion_loss": 4.0,
        "points": 5,
        "amplitude": 2.0,
    }


def test_every_law_and_several_of_them(task_of):
    numbers = {"gamma_k": 0.3, "coefficient": 0.2, "saturation": 2.0, "epsilon": 1e-3, "mode": 1, "sensed": 0}
    tables = [
        "\n".join(["[[model.loss]]", f'kind = "{kind}"', *(f"{key} = {numbers[key]}" for key in schema)])
        for kind, (_, schema) in LAWS.items()
    ]
    tables.append('[[model.terms]]\nkind = "ideal_coupling"\ngamma_k = 0.3\nmode = 1\nsensed = 0')
    tables.append('[[model.terms]]\nkind = "kerr"\nchi = -0.4\nmode = 0')
    task = task_of("\n".join([MODEL, *tables, DESIGN.replace("loss.gamma_k", "loss.0.gamma_k")]))
    assert [type(law) for law in task.model.loss] == [law for law, _ in LAWS.values()]
    for law, (_, schema) in zip(task.model.loss, LAWS.values(), strict=True):
        for key in schema:
            assert float(getattr(law, key)) == numbers[key]
    coupling, kerr = task.model.terms
    assert type(coupling) is tcmt.IdealNonreciprocalCoupling
    assert (float(coupling.gamma_k), coupling.mode, coupling.sensed) == (0.3, 1, 0)
    assert type(kerr) is tcmt.Kerr
    assert (float(kerr.chi), kerr.mode) == (-0.4, 0)


def test_coupled_modes_with_complex_matrices():
    table = {
        "kind": "coupled_modes",
        "omega": [[0.0, "1+0.5j"], ["1 - 0.5j", 2]],
        "D": [[0.7, "0.5j"], ["0.4j", 0.6]],
        "gamma_i": [0.1, 0.2],
        "unit": "GHz",
        "loss": {"kind": "two_photon", "coefficient": 1, "mode": 1},
    }
    model, unit = read_model(table, Path())
    np.testing.assert_array_equal(model.omega, [[0, 1 + 0.5j], [1 - 0.5j, 2]])
    np.testing.assert_array_equal(model.D, [[0.7, 0.5j], [0.4j, 0.6]])
    np.testing.assert_array_equal(model.gamma_i, np.diag([0.1, 0.2]))
    assert type(model.loss) is tcmt.TwoPhotonLoss
    assert unit == "GHz"


def test_a_saved_model_with_laws_of_its_own_or_others(tmp_path):
    fitted = tcmt.CoupledModes(omega=[0.0, 1.0], D=np.eye(2), loss=tcmt.TwoPhotonLoss(0.5, mode=0))
    nr.save(tmp_path / "model.npz", fitted)
    model, _ = read_model({"file": "model.npz"}, tmp_path)
    assert isinstance(model, tcmt.CoupledModes)
    assert float(model.loss.coefficient) == 0.5
    law = {"kind": "nonlocal", "gamma_k": 0.1, "mode": 1, "sensed": 0}
    model, _ = read_model({"kind": "file", "file": "model.npz", "loss": [law]}, tmp_path)
    assert type(model.loss) is tcmt.NonlocalLoss
    np.testing.assert_array_equal(model.omega, fitted.omega)
    with pytest.raises(ValueError, match=r"\[model\]: Argument mode must be a mode between 0 and 1, but was 2"):
        read_model({"file": "model.npz", "loss": [{**law, "mode": 2}]}, tmp_path)
    nr.save(tmp_path / "numbers.npz", {"a": 1.0})
    with pytest.raises(ValueError, match="must hold a model with ports, but holds a dict"):
        read_model({"file": "numbers.npz"}, tmp_path)


WRONG = [
    # Of the file as a whole.
    (WHOLE, "", "must have the key 'model' (a table), but lacks it."),
    ("kappa = 3", "kappa 3", "is not a TOML file: Expected '=' after a key"),
    ("kappa = 3", f"kappa = 1{'0' * 5000}", "is not a TOML file: "),
    ("kappa = 3", f"kappa = {'[' * 2000}{']' * 2000}", "must not nest lists or tables deeper than 32 levels."),
    ("kappa = 3", f"kappa = 3\n{'a.' * 1000}a = 1", "must not nest lists or tables deeper than 32 levels."),
    ("[design]", "[desing]", "has the unknown key 'desing': did you mean 'design'?"),
    (DESIGN, "", "must have the key 'design' (a table), but lacks it."),
    (MODEL + LOSS, "model = 3", "The key 'model' of File"),
    # Of [model].
    (
        'kind = "two_resonators"',
        "",
        '[model] must have the key \'kind\' ("two_resonators" or "coupled_modes" or "file")',
    ),
    ('"two_resonators"', '"three"', 'The key \'kind\' of [model] must be "two_resonators" or "coupled_modes" or'),
    ("gamma_0", "gama_0", "[model] has the unknown key 'gama_0': did you mean 'gamma_0'?"),
    ("gamma_0", "zzz", "[model] has the unknown key 'zzz'; known are 'kind', 'omega', 'gamma', 'gamma_0', 'kappa', "),
    ("kappa = 3", "", "[model] must have the key 'kappa' (a number), but lacks it."),
    ("kappa = 3", 'kappa = "3"', "The key 'kappa' of [model] must be a number, but was '3'."),
    ("kappa = 3", "kappa = true", "The key 'kappa' of [model] must be a number, but was True."),
    (
        "kappa = 3",
        f"kappa = 0x{'f' * 5000}",
        "'kappa' of [model] must be a number, but was an integer of 5000 hexadecimal",
    ),
    ("kappa = 3", "kappa = 3\nC = [[1e999]]", 'goes with kind = "coupled_modes"'),
    ("kappa = 3", "kappa = nan", "[model]: Argument kappa must be finite, but was nan."),
    ("kappa = 3", "kappa = 3\nC = [[1]]", 'goes with kind = "coupled_modes", but kind is "two_resonators".'),
    ("[3.0, 2.0]", "[[3.0], [2.0, 1.0]]", "The key 'gamma' of [model] must be a number, or a list of numbers, but was"),
    ("[3.0, 2.0]", "[3.0, -2.0]", "[model]: Argument gamma must not be negative, but was [ 3., -2.]."),
    ("[3.0, 2.0]", "[3.0]", "[model]: Argument gamma must have shape (2,), but was of shape (1,)."),
    (MODEL, '[model]\nfile = "none.npz"', "There is no file '"),
    (MODEL, '[model]\nfile = "device.toml"', "is not a file that diffnr saved."),
    # Of its laws.
    ('"nonlocal"', '"non-local"', 'The key \'kind\' of [[model.loss]] must be "nonlocal" or "two_photon" or'),
    ("sensed = 0", "sensed = 1", "[[model.loss]]: Argument sensed must differ from mode, but was 1 like mode."),
    ("sensed = 0", "sensed = 0.0", "The key 'sensed' of [[model.loss]] must be a whole number, but was 0.0."),
    ("sensed = 0", "sensed = 0\ncoefficient = 1", 'goes with kind = "two_photon", but kind is "nonlocal".'),
    ("sensed = 0", "sensed = 2", "[model]: Argument sensed must be a mode between 0 and 1, but was 2."),
    (LOSS, "loss = 1\n", "The key 'loss' of [model] must be one or several tables, but was 1."),
    (LOSS, LOSS + "[[model.loss]]\n", "[[model.loss]] number 2 must have the key 'kind'"),
    # Of [design].
    ('goal = "isolation"', "", '[design] must have the key \'goal\' ("isolation" or "insertion_loss" or "contrast")'),
    ('"isolation"', '"insertion_loss"', "[design] must have the key 'min_isolation' (a number), but lacks it."),
    ("omega = 0.0", "min_isolation = 9", 'goes with goal = "insertion_loss", but goal is "isolation".'),
    ("loss.gamma_k", "loss.gama_k", "'loss.gama_k', which is no parameter of the model: did you mean 'loss.gamma_k'?"),
    ("omega = 0.0", "", "[design]: Argument omega must be given, or band, and not both, but was not given."),
    ("omega = 0.0", "band = [1, 0]", "[design]: Argument band must be (lowest, highest), in this order"),
    (
        "omega = 0.0",
        "band = [1]",
        "The key 'band' of [design] must be a pair of numbers [lowest, highest], but was [1].",
    ),
    ("into = 1", "into = 0", "[design]: Argument into must differ from out, but was 0 like out."),
    ("into = 1", "into = 7", "[design]: Argument into must be a port between 0 and 1, but was 7."),
    ("omega = 0.0", "omega = 0.0\npower = -1", "The key 'power' of [design] must be positive and finite, but was -1."),
    ("omega = 0.0", "omega = 0\npower = 1\namplitude = 1", "must have the key 'amplitude' or 'power', but has both."),
    (
        "omega = 0.0",
        "omega = 0.0\nstarts = 0",
        "The key 'starts' of [design] must be a whole number between 1 and 10000, but was 0.",
    ),
    (
        "omega = 0.0",
        "omega = 0.0\nseed = 99999999999999999999",
        "The key 'seed' of [design] must be a whole number between 0 and 9223372036854775807, but was 1e+20.",
    ),
    (
        "omega = 0.0",
        "omega = 0.0\nmax_steps = 99999999999999999999",
        "The key 'max_steps' of [design] must be a whole number between 1 and 1000000, but was 1e+20.",
    ),
    ("omega = 0.0", "omega = 0.0\npoints = true", "must be a whole number between 1 and 100000, but was True."),
    ("out = 0", "out = 99999999999999999999", "[design]: Argument out must be a port between 0 and 1, but was 1e+20."),
    ("omega = 0.0", "omega = inf", "[design]: Argument omega must be"),
    ('["loss.gamma_k"]', "[]", "The key 'free' of [design] must be text in quotes, or a list of such, but was []."),
]
MORE = [
    ("[bounds]\nkapa = [1, 5]", "[bounds] names 'kapa', which is no parameter of the model: did you mean 'kappa'?"),
    (
        "[bounds]\nkappa = [1, 5]",
        "[bounds] must name only parameters that are free ('loss.gamma_k'), but names 'kappa'.",
    ),
    ("[bounds]\nloss.gamma_k = 5", "The key 'loss.gamma_k' of [bounds] must be a pair of numbers [lowest, highest]"),
    (
        "[bounds]\nloss.gamma_k = [5, 1]",
        "'loss.gamma_k' of [bounds]: Argument upper must exceed lower = 5, but was 1.",
    ),
    ("[bounds]\nloss.gamma_k = [1, inf]", "'loss.gamma_k' of [bounds]: Argument upper must be finite, but was inf."),
    ("[bounds]\nloss.gamma_k = [3, 5]", "must hold the value 2.7 that the model starts from, but was [3, 5]."),
    (
        "[bounds]\nloss.gamma_k = [-1, 5]",
        "must lie within [0.0, None], which the model itself demands, but was [-1, 5].",
    ),
    ("[tolerances]\nkapa = 1", "[tolerances] names 'kapa', which is no parameter of the model: did you mean 'kappa'?"),
    (
        "[tolerances]\nkappa = '1'",
        "The key 'kappa' of [tolerances] must be a number, or a list of numbers, but was '1'.",
    ),
    ("[tolerances]\nkappa = -1", "[tolerances]: Argument tolerances['kappa'] must not be negative, but was -1."),
    (
        "[tolerances]\nomega = [1, 1, 1]",
        "[tolerances]: Argument tolerances['omega'] must have shape () or (2,), but was of shape (3,).",
    ),
    (
        "[figure]\nband = [1, 0]",
        "The key 'band' of [figure] must be a pair of finite numbers [lowest, highest], but was [1, 0].",
    ),
    ("[figure]\nbend = [0, 1]", "[figure] has the unknown key 'bend': did you mean 'band'?"),
]
CASES = [(WHOLE.replace(old, new), sentence) for old, new, sentence in WRONG]
CASES += [(WHOLE + more, sentence) for more, sentence in MORE]


@pytest.mark.parametrize(("text", "sentence"), CASES, ids=[sentence[:50] for _, sentence in CASES])
def test_a_file_that_cannot_be_used_is_one_sentence_and_exit_status_two(text, sentence, tmp_path, capsys):
    assert text != WHOLE
    (tmp_path / "device.toml").write_text(text, encoding="utf-8")
    assert main(["isolate", str(tmp_path / "device.toml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("diffnr: ")
    assert "device.toml" in error or "none.npz" in error
    assert sentence in error
    assert error.count("\n") == 1
    assert list((tmp_path / "out").glob("*")) == []


def test_files_that_are_not_there_or_no_text(tmp_path, capsys):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name, sentence in (
        ("none.toml", f"diffnr: There is no file '{tmp_path / 'none.toml'}'."),
        ("binary.toml", "is not a TOML file: it is not text in UTF-8 (byte 0)."),
        (".", "cannot be used: Is a directory."),
    ):
        assert main(["isolate", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "device.toml").write_text(WHOLE, encoding="utf-8")
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    assert main(["isolate", str(tmp_path / "device.toml"), "--out", str(tmp_path / "out")]) == 2
    sentence = f"Folder '{tmp_path / 'out'}' cannot be made: there is a file of that name."
    assert capsys.readouterr().err == f"diffnr: {sentence}\n"


def test_the_parts_serve_other_schemas():
    assert read_table({"a": 1}, "[x]", {"a": Key(NUMBER, True), "b": Key(NUMBER)}) == {"a": 1.0}
    variants = {"one": {"a": Key(NUMBER)}, "two": {"z": Key(COMPLEX)}}
    assert read_variant({"a": 2}, "[x]", "kind", variants, default="one") == ("one", {"a": 2.0})
    kind, values = read_variant({"kind": "two", "z": ["1j", 2]}, "[x]", "kind", variants)
    assert kind == "two"
    np.testing.assert_array_equal(values["z"], [1j, 2])
    for table in (None, 3, [{}]):
        with pytest.raises(ValueError, match=r"\[x\] must be a table, but was"):
            read_variant(table, "[x]", "kind", variants)


def test_every_key_is_documented():
    page = (ROOT / "docs" / "isolate.md").read_text(encoding="utf-8")
    schemas = [*MODELS.values(), *GOALS.values(), FIGURE, *(schema for _, schema in LAWS.values())]
    for key in {key for schema in schemas for key in schema} | {"kind", "goal"}:
        assert f"`{key}`" in page or f"`{key} = " in page, key
    for name in TABLES:
        assert f"### `[{name}]`" in page
    for kind in (*MODELS, *LAWS, *GOALS):
        assert f'"{kind}"`' in page


def test_the_example_is_read():
    task = read_task(ROOT / "examples" / "isolator.toml")
    assert task.goal == "isolation"
    assert set(task.arguments["tolerances"]) == {"kappa", "loss.gamma_k"}
