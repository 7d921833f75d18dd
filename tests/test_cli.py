"""The command: what it writes, what it says of bad input."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import diffnr as nr
from command_line import one_resonance, refusal
from optimize.command import cli, phases
from optimize.command.arguments import parser
from optimize.command.cli import main
from optimize.command.report import markdown_table
from terminal import Terminal

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def one_line(tmp_path_factory):
    return one_resonance(tmp_path_factory.mktemp("data") / "line.csv")


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
