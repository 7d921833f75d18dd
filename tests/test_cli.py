"""The command: what it writes, what it says of bad input."""

import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt
from optimize.command.cli import main


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
    for quantity in ("γ_k", "isolation (dB)", "insertion loss (dB)"):
        found, reference = map(float, rows[quantity])
        assert found == pytest.approx(reference, rel=1e-6)  # the digits that are printed
    for quantity in ("ω_0", "γ_0", "ω_1", "γ_1"):
        value, error = map(float, rows[quantity][0].split("±"))
        assert abs(value - float(rows[quantity][1])) < 4 * error
    for quantity in ("k ahead at 1.5 THz (rad/m)", "falls behind by e in (µm)"):
        found, reference = map(float, rows[quantity])
        assert found == pytest.approx(reference, rel=0.01)  # cells of 1 µm, (k·cell)²/24 and somewhat more
    assert float(rows["behind/ahead, 1.4–1.6 THz, 60 µm (dB)"][0]) < -60
    assert float(rows["apart from its mirror image at −B"][0]) < 1e-12


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
