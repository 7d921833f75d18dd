"""The command: what it writes, what it says of bad input."""

import importlib
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import diffnr as nr
from diffnr import tcmt
from optimize.command import cli, phases
from optimize.command.arguments import parser
from optimize.command.cli import main
from optimize.command.report import markdown_table
from terminal import Terminal

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def one_line(tmp_path_factory):
    """A CSV file of one resonance, in GHz, with a little noise."""
    line = tcmt.CoupledModes(omega=[2 * np.pi * 5e9], D=[[2e4]], gamma_i=[1e8])
    omega = 2 * np.pi * jnp.linspace(4.8e9, 5.2e9, 81)
    rng = np.random.default_rng(0)
    s = np.asarray(nr.scattering(line, omega)) + 1e-3 * (rng.normal(size=(81, 1, 1)) + 1j * rng.normal(size=(81, 1, 1)))
    path = tmp_path_factory.mktemp("data") / "line.csv"
    nr.write_csv(path, nr.FieldData(omega, s))
    return path


@pytest.mark.slow
def test_fit_writes_report_figure_and_model(one_line, tmp_path, capsys):
    assert main(["fit", str(one_line), "--background", "0", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "omega[0]" in printed
    assert "looks like noise" in printed
    assert (tmp_path / "out" / "report.txt").read_text(encoding="utf-8").strip() in printed
    assert (tmp_path / "out" / "fit.png").stat().st_size > 10_000
    model = nr.load(tmp_path / "out" / "model.npz")
    # A line of 0.3e9 rad/s half-width, noise 1e-3 at 81 points: the centre to a few parts in 1e4 of the width; 1 %
    # allows for all.
    assert abs(float(model.omega[0, 0].real) - 2 * np.pi * 5e9) < 0.01 * 3e8


def test_fit_chooses_the_number_of_modes_unless_it_is_given(two_files, tmp_path, monkeypatch):
    given = []
    fit_modes = importlib.import_module("optimize.mode_fit.fit_modes")
    monkeypatch.setattr(fit_modes, "fit_modes", lambda data, modes, **kwargs: (given.append(modes), Fitted(data))[1])
    for chosen in ([], ["--modes", "3"], ["--modes", "auto"]):
        assert main(["fit", two_files[0][0], *chosen, "--out", str(tmp_path / "out")]) == 0
    assert given == ["auto", 3, "auto"]


@pytest.mark.slow
def test_demo_small_writes_a_report_beside_reference_values(tmp_path, capsys):
    pytest.importorskip("skrf")
    assert main(["demo", "--small", "--out", str(tmp_path)]) == 0
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert report in capsys.readouterr().out
    for name in ("ring_slot", "isolator", "noisy_two_port", "oscillators", "one_way_pulse"):
        assert f"{name}.png" in report
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    rows = {
        cells[1].strip(): [c.strip() for c in cells[2:4]]
        for cells in (line.split("|") for line in report.splitlines())
        if len(cells) == 6
    }
    assert r"| largest \|S11\|" in report  # a bare bar would end the cell
    for quantity in ("γ_k", "isolation (dB)", "insertion loss (dB)"):
        found, reference = map(float, rows[quantity])
        assert found == pytest.approx(reference, rel=1e-6)  # the digits that are printed
    for quantity in ("ω_0", "γ_0", "ω_1", "γ_1"):
        value, error = map(float, rows[quantity][0].split("±"))
        assert abs(value - float(rows[quantity][1])) < 4 * error
    for quantity in ("k ahead at 1.5 THz (rad/m)", "falls by e behind the source in (µm)"):
        found, reference = map(float, rows[quantity])
        assert found == pytest.approx(reference, rel=0.01)  # cells of 1 µm, (k·cell)²/24 and somewhat more
    assert float(rows["60 µm behind/ahead, 1.4–1.6 THz (dB)"][0]) < -60
    assert float(rows["difference from its mirror image at −B"][0]) < 1e-12


def test_demo_without_scikit_rf_says_what_is_left_out(tmp_path, monkeypatch):
    import sys

    from optimize.command.demo import ring_slot

    monkeypatch.setitem(sys.modules, "skrf", None)
    section = ring_slot(True)
    assert "Left out" in section.text
    assert "diffnr[rf]" in section.text
    assert section.rows == []


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (None, "missing.csv", "There is no file '"),
        (None, "missing.s2p", "missing.s2p'."),
        ("frequency_hz,S11_re,S11_im\n1e9,nan,0\n2e9,0,0\n", "nan.csv", "nan.csv"),
        ("this is no touchstone file\n", "bad.s1p", "bad.s1p"),
        ("frequency_hz,S11_re,S11_im\n" + "".join(f"{k}e9,0.5,0.1\n" for k in range(1, 7)), "short.csv", "more points"),
    ],
)
def test_a_bad_file_is_one_sentence_and_exit_status_two(content, name, sentence, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["fit", str(tmp_path / name), "--modes", "2", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("diffnr: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for command in ("demo", "fit", "isolate", "restore"):
        assert f"    {command} " in printed


def test_help_describes_the_file(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["isolate", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for table in ("[model]", "[[model.loss]]", "[design]", "[bounds]", "[tolerances]", "[figure]"):
        assert table in printed
    assert max(map(len, printed.splitlines())) <= 120


REPORTING = """
import json, runpy, sys
sys.argv = ["diffnr", *{arguments!r}]
try:
    runpy.run_module("diffnr", run_name="__main__")
except SystemExit as ended:
    print(json.dumps([ended.code, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version"], f"diffnr {nr.__version__}"),
        (["--help"], "usage: diffnr"),
        (["demo", "--help"], "usage: diffnr demo"),
        (["fit", "--help"], "usage: diffnr fit"),
        (["isolate", "--help"], "usage: diffnr isolate"),
        (["restore", "--help"], "usage: diffnr restore"),
    ],
)
def test_what_needs_no_jax_imports_none(arguments, said):
    # benchmarks/RESULTS.md has the times: these imports are what would make them long.
    script = REPORTING.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith(said), done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code in (0, None)
    assert {"diffnr", "optimize"} <= set(modules)
    assert not {"jax", "jaxlib", "numpy", "scipy", "equinox", "diffrax", "optax", "matplotlib"} & set(modules)


def refusal(capsys, *arguments):
    """The one line on stderr of a call that is refused."""
    try:
        code = main(list(arguments))
    except SystemExit as ended:
        code = ended.code
    out, error = capsys.readouterr()
    assert (code, out) == (2, "")
    assert error.startswith("diffnr: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "required: COMMAND"),
        (["fitt"], "invalid choice: 'fitt'"),
        (
            ["fit", "line.csv", "--modes", "0"],
            "argument --modes: must be a whole number between 1 and 1000, but was '0'",
        ),
        (["fit", "line.csv", "--modes", "9" * 30], "argument --modes: must be a whole number"),
        (["fit", "line.csv", "--modes", "9" * 5000], "argument --modes: must be a whole number"),
        (["fit", "line.csv", "--modes", "1.5"], "argument --modes: must be a whole number"),
        (["fit", "line.csv", "--background", "-1"], "argument --background: must be a whole number between 0 and"),
        (["fit", "line.csv", "--band", "nan", "1"], "argument --band: must be a frequency in Hz"),
        (["fit", "line.csv", "--band", "1", "1e999"], "argument --band: must be a frequency in Hz"),
        (["isolate", "a.toml", "--nowhere"], "unrecognized arguments: --nowhere. See 'diffnr --help'."),
    ],
)
def test_bad_arguments_are_one_line(arguments, sentence, capsys):
    assert sentence in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    ("band", "sentence"),
    [
        (("5.1e9", "5e9"), "within the 4.8e+09 to 5.2e+09 Hz of the file, but was 5.1e+09 5e+09."),
        (("1", "2"), "Argument --band must be the lowest and the highest frequency, within the 4.8e+09 to 5.2e+09 Hz"),
        (("5.0001e9", "5.0002e9"), "Argument --band: "),  # between two points
    ],
)
def test_a_band_without_points_is_one_line(one_line, band, sentence, tmp_path, capsys):
    assert sentence in refusal(capsys, "fit", str(one_line), "--band", *band, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


class Fitted:
    """What a fit returns, as far as the command looks at it."""

    def __init__(self, data):
        self.data, self.model = data, np.array(data.num_points)

    def report(self):
        return f"{self.data.name}: {self.data.num_ports} port(s), {self.data.num_points} points"

    def plot(self):
        return plt.figure()


@pytest.fixture
def two_files(tmp_path, monkeypatch):
    """Two Touchstone files of one name in two folders, and a fit that returns at once and keeps what it was given."""
    given = []
    fit_modes = importlib.import_module("optimize.mode_fit.fit_modes")
    monkeypatch.setattr(fit_modes, "fit_modes", lambda data, *args, **kwargs: (given.append(data), Fitted(data))[1])
    monkeypatch.setitem(sys.modules, "skrf", None)  # files need nothing beside diffnr
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        s = rng.normal(size=(5, 3, 3)) + 0j
        nr.write_touchstone(tmp_path / name / "x.s3p", nr.FieldData(2 * np.pi * np.arange(1.0, 6.0), s))
    return [str(tmp_path / name / "x.s3p") for name in ("a", "b")], given


def test_several_files_have_a_folder_each(two_files, one_line, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["fit", *two_files[0], str(one_line), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert [str(folder.relative_to(out)) for folder in sorted(out.iterdir())] == ["line", "x-1", "x-2"]
    for folder in out.iterdir():
        assert {file.name for file in folder.iterdir()} == {"report.txt", "fit.png", "model.npz"}
        assert (folder / "report.txt").read_text(encoding="utf-8").strip() in printed
        assert str(folder) in printed


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["--entry", "S21"], lambda s: s[:, 1:2, 0:1]),
        (["--entry", "s3_1"], lambda s: s[:, 2:3, 0:1]),
        (["--port", "2"], lambda s: s[:, 1:2, 1:2]),
        (["--port", "3,1"], lambda s: s[:, [2, 0]][:, :, [2, 0]]),
    ],
)
def test_a_part_of_a_file(two_files, chosen, expected, tmp_path):
    (path, _), given = two_files
    assert main(["fit", path, *chosen, "--out", str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(given[0].s, expected(np.asarray(nr.read_touchstone(path).s)))


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["--entry", "S41"], "Argument --entry must be between the ports 1 to 3 of '"),
        (["--entry", "21"], "argument --entry: must be an S-parameter such as S21 (or S10_1), but was '21'"),
        (["--port", "4"], "Argument --port must name some of the ports 1 to 3 of '"),
        (["--port", "1,1"], "each once, but was 1,1."),
        (["--port", "0"], "argument --port: must be a port counted from 1, or several as 1,3, but was '0'"),
        (["--port", "1", "--entry", "S11"], "not allowed with argument"),
    ],
)
def test_a_part_that_there_is_not_is_one_line(two_files, chosen, sentence, tmp_path, capsys):
    assert sentence in refusal(capsys, "fit", two_files[0][0], *chosen, "--out", str(tmp_path / "out"))


def test_an_entry_that_was_not_measured_is_one_line(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("frequency_hz,S21_re,S21_im\n1,2,3\n2,3,4\n")
    said = refusal(capsys, "fit", str(tmp_path / "a.csv"), "--entry", "S12", "--out", str(tmp_path / "out"))
    assert "Argument --entry: These data lack S12" in said


def test_one_bad_file_of_several_is_refused_before_the_work(two_files, tmp_path, capsys):
    files, given = two_files
    assert "There is no file" in refusal(capsys, "fit", *files, str(tmp_path / "missing.s2p"))
    assert not given


@pytest.mark.parametrize("command", ["demo", "fit", "restore"])
def test_a_folder_that_cannot_be_made_is_known_before_the_work(command, one_line, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    given = {"demo": [], "fit": [str(one_line)], "restore": [str(ROOT / "examples" / "restore.toml")]}[command]
    folder = tmp_path / "out"
    assert f"Folder {str(folder)!r} cannot be made: there is a file of that name." in refusal(
        capsys, command, *given, "--out", str(folder)
    )
    folder /= "below"
    assert f"Folder {str(folder)!r} cannot be made: Not a directory." in refusal(
        capsys, command, *given, "--out", str(folder)
    )


def test_a_folder_in_which_nothing_may_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    assert "cannot be used: nothing may be written in it." in refusal(capsys, "demo", "--out", str(tmp_path))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("The solve did not converge.\n\n---- pages about the program"), "The solve did not converge."),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8000000000000 bytes."),
            "more memory than there is",
        ),
        (MemoryError(), "more memory than there is"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (OverflowError("int too large to convert to float"), "A number is out of range: int too large"),
        (FloatingPointError("Fields\nstopped"), "out of range: Fields stopped"),
        (ValueError("x" * 10_000), "xxx …"),
        (ImportError("no module"), "no module"),
    ],
)
def test_what_goes_wrong_within_is_one_line(error, sentence, monkeypatch, capsys):
    def fails(arguments):
        raise error

    monkeypatch.setitem(cli.COMMANDS, "demo", fails)
    said = refusal(capsys, "demo")
    assert sentence in said
    assert len(said) < 600


def test_ctrl_c_is_one_line_and_its_own_status(monkeypatch, capsys):
    def pressed(arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "demo", pressed)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "diffnr: Interrupted.\n"


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fault(arguments):
        raise AttributeError("a fault")

    monkeypatch.setitem(cli.COMMANDS, "demo", fault)
    with pytest.raises(AttributeError, match="a fault"):
        main(["demo"])


def test_bars_in_cells_of_a_table_are_escaped():
    assert markdown_table([["|S|", "a"], ["1", "bc"]]).splitlines() == [
        r"| \|S\| | a  |",
        "|-------|----|",
        "| 1     | bc |",
    ]


def test_phases_count_seconds_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(phases, "REFRESH", 0.01)
    counted = threading.Event()
    terminal = Terminal(counted.set, line=3)
    monkeypatch.setattr(sys, "stderr", terminal)
    with phases.phase("compiling and searching"):
        assert counted.wait(60)
    *counting, last = terminal.text.split("\r")[1:]
    assert set(counting) == {"compiling and searching … 0 s"}
    assert re.fullmatch(r"compiling and searching … \d+\.\d s\n", last)


def test_a_phase_that_fails_leaves_no_line(monkeypatch):
    terminal = Terminal(lambda: None, line=0)
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ValueError, match="no"), phases.phase("compiling"):
        raise ValueError("no")
    line = ""
    for character in terminal.text:  # as a terminal would
        line = "" if character == "\r" else line + character
    assert line.strip() == ""


def test_phases_say_nothing_where_there_is_no_terminal(capsys):
    with phases.phase("compiling"):
        pass
    assert capsys.readouterr() == ("", "")


def test_readme_names_commands_that_there_are(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (?:\.venv/bin/)?(diffnr [a-z].*)$|`(diffnr [a-z][^`]*--[^`]*)`", readme, re.M)
    commands = [next(filter(None, found)).split()[1:] for found in lines]
    assert {command[0] for command in commands} == {"fit", "isolate", "restore"}
    for command in commands:
        parsed = parser().parse_args(command)
        assert parsed.command == command[0]
        named = Path(command[1])
        assert named.suffix != ".toml" or (ROOT / named).is_file()
