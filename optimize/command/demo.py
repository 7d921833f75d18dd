"""What `diffnr demo` runs: a measurement fitted, a device designed, a noisy two-port recovered, a pair of oscillators
made reciprocal, a pulse that goes one way, beside reference values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import diffnr as nr
from diffnr import duffing, plot, tcmt
from diffnr.data import FieldData
from optimize.command.demo_pulse import TONES, UM, closed_form, fly
from optimize.command.demo_pulse import draw as draw_flights
from optimize.command.phases import phase
from optimize.command.refusals import make_folder
from optimize.command.report import markdown_table
from optimize.isolation.design import maximise_isolation
from optimize.mode_fit.fit_modes import fit_modes
from optimize.reciprocity.figure import draw as draw_restoration
from optimize.reciprocity.figure import draw_outputs
from optimize.reciprocity.restore import restore_reciprocity
from optimize.reciprocity.restored_responses import in_time, responses

Row = tuple[str, str, str, str]
HEADER: Row = ("quantity", "found", "reference", "reference from")


class Section(NamedTuple):
    """One part of the demo: a title, what to say, rows (quantity, found, reference, where the reference is from),
    figures by name."""

    title: str
    text: str
    rows: list[Row]
    figures: dict[str, Any]


def run(out: Path, small: bool = False) -> str:
    """Run every section, write `report.md` and PNGs under `out`, and return the report.

    **Arguments:** `out`: a folder, made if it is not there; `small`: fewer points. float64 must be on.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    make_folder(out)
    parts = ["# diffnr demo", ""]
    for number, (make, doing) in enumerate(SECTIONS.items(), 1):
        with phase(f"{number}/{len(SECTIONS)} compiling and {doing}"):
            section = make(small)
        parts += [f"## {section.title}", "", section.text, ""]
        if section.rows:
            parts += [markdown_table([HEADER, *section.rows]), ""]
        for name, figure in section.figures.items():
            figure.savefig(out / f"{name}.png", dpi=80 if small else 160)
            plt.close(figure)
            parts += [f"![{name}]({name}.png)", ""]
        # Written after each section, so that what is done survives what fails.
        (out / "report.md").write_text("\n".join(parts), encoding="utf-8")
    return "\n".join(parts) + f"\nWritten to {out / 'report.md'}."


def ring_slot(small: bool) -> Section:
    """The measured ring slot of scikit-rf's package data: a one-port resonance, with errors that admit the misfit."""
    title = "A measurement: ring slot, one port, 75–110 GHz"
    try:
        import skrf
    except ImportError:
        return Section(
            title, 'Left out: the measurement is part of scikit-rf. Install it with: pip install "diffnr[rf]".', [], {}
        )
    data = nr.read_touchstone(Path(skrf.__file__).parent / "data" / "ring slot measured.s1p")
    # One broad resonance in 101 points cannot also tell a curved direct path: a constant one and the delay are enough.
    fit = fit_modes(data, 1, background=0)
    c, error = fit.coefficients, fit.stderr
    dip = float(data.frequency[jnp.argmin(jnp.abs(data.s[:, 0, 0]))])
    reflection = np.abs(np.asarray(data.s[:, 0, 0]))
    rows = [
        (
            "resonance f₀ (GHz)",
            _pm(c.omega[0], error.omega[0], 2e9 * math.pi),
            f"{dip / 1e9:.2f}",
            "least |S11| in the data",
        ),
        ("loss rate γ/2π (GHz)", _pm(c.gamma[0], error.gamma[0], 2e9 * math.pi), "", ""),
        ("largest |S11|", f"{float(jnp.max(jnp.abs(fit.predict(data.omega)))):.3f}", f"{reflection.max():.3f}", "data"),
        ("rms misfit of S11", f"{float(jnp.sqrt(jnp.mean(jnp.abs(fit.residual) ** 2))):.4f}", "", ""),
    ]
    figure = fit.plot()
    figure.suptitle("Ring slot (measured; scikit-rf): one mode, delay and direct path")
    return Section(title, f"```\n{fit.report()}\n```", rows, {"ring_slot": figure})


def isolator(small: bool) -> Section:
    """γ_k for maximum isolation of two resonators at κ = 3 under an insertion-loss cap of 4.4 dB, against the closed
    form."""
    import matplotlib.pyplot as plt

    kappa, gamma_0, cap = 3.0, 0.5, 4.4
    gamma = math.hypot(gamma_0, kappa)
    pair = tcmt.TwoResonators(
        omega=(0.0, 0.0), gamma=(gamma, gamma), gamma_0=(gamma_0, gamma_0), kappa=kappa,
        loss=tcmt.NonlocalLoss(gamma_k=1.0, mode=1, sensed=0),
    )  # fmt: skip
    best = maximise_isolation(pair, omega=0.0, free="loss.gamma_k", out=0, into=1, max_insertion_loss=cap)
    # On resonance, G = γ + γ0: |t12| = 2γκ/(G² + κ² + κγ_k), |t21| = 2γ(κ − γ_k)/(G² + κ² − κγ_k).
    G2 = (gamma + gamma_0) ** 2
    expected = (2 * gamma * kappa * 10 ** (cap / 20) - G2 - kappa**2) / kappa
    isolation = 20 * math.log10(
        kappa * (G2 + kappa**2 - kappa * expected) / ((kappa - expected) * (G2 + kappa**2 + kappa * expected))
    )
    found = float(best.model.loss.gamma_k)
    rows = [
        ("γ_k", f"{found:.8f}", f"{expected:.8f}", "closed form"),
        ("isolation (dB)", f"{best.objective:.6f}", f"{isolation:.6f}", "closed form"),
        ("insertion loss (dB)", f"{best.insertion_loss:.6f}", f"{cap:.6f}", "the cap"),
    ]
    gammas = jnp.linspace(0.0, 1.3 * kappa, 60 if small else 400)

    def figures(gamma_k: jax.Array) -> tuple[jax.Array, jax.Array]:
        response = nr.port_response(nr.replace(pair, {"loss.gamma_k": gamma_k}), nr.Drive(0.0))
        return nr.metrics.isolation(response, out=0, into=1), nr.metrics.insertion_loss(response, out=0, into=1)

    isolations, losses = jax.vmap(figures)(gammas)
    with plot.style():
        figure, axis = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
        axis.plot(gammas, jnp.minimum(isolations, 60.0), label="isolation (drawn up to 60 dB)")
        axis.plot(gammas, losses, label="insertion loss")
        axis.axhline(cap, color="0.6", lw=0.8, ls="--", label="insertion-loss cap, 4.4 dB")
        axis.plot([found], [best.objective], "o", color="k", label=f"design: γ_k = {found:.4f}")
        axis.set(xlabel="nonlocal loss γ_k (κ = 3)", ylabel="dB", ylim=(0, 62), xlim=(0, float(gammas[-1])))
        axis.legend(loc="upper left")
    text = "The loss of resonator 2 follows the ratio |a1|/|a2|: 2→1 passes and 1→2 is blocked, wholly from γ_k = κ on."
    return Section("A design: γ_k for maximum isolation at κ = 3", text, rows, {"isolator": figure})


def noisy_two_port(small: bool) -> Section:
    """A synthesised, noisy, nonreciprocal two-port with a hidden port, and what a fit finds of it."""
    points, sigma = (101, 2e-3) if small else (401, 2e-3)
    # A circulator seen through two of its three ports: lossless as a whole, so passive, and nonreciprocal.
    C = -np.roll(np.eye(3), 1, axis=0)
    device = tcmt.CoupledModes(omega=[-0.6, 0.7], D=[[0.7, 0.5], [0.4j, 0.6], [0.5, -0.3j]], C=C, lossless=True)
    omega = jnp.linspace(-3.0, 3.0, points)
    clean = np.asarray(nr.scattering(device, omega))[:, :2, :2]
    rng = np.random.default_rng(2026)
    noise = sigma * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    fit = fit_modes(FieldData(omega, clean + noise, sigma=sigma, name="synthesised two-port"), 2)
    frequencies, gamma = device.matrices()[:2]
    poles = np.linalg.eigvals(1j * np.asarray(frequencies) - np.asarray(gamma))
    poles = poles[np.argsort(poles.imag)]
    rows: list[Row] = []
    for n, pole in enumerate(poles):
        rows.append(
            (f"ω_{n}", _pm(fit.coefficients.omega[n], fit.stderr.omega[n]), f"{pole.imag:.5f}", "synthesised with")
        )
        rows.append(
            (f"γ_{n}", _pm(fit.coefficients.gamma[n], fit.stderr.gamma[n]), f"{-pole.real:.5f}", "synthesised with")
        )
    for out, into in ((1, 0), (0, 1)):
        value, error = fit.coefficients.C[out, into], fit.stderr.C[out, into]
        rows.append(
            (f"Re C[{out},{into}]", _pm(value.real, error.real), f"{C[out, into] + 0.0:.5f}", "synthesised with")
        )
    rows.append(("reduced χ²", f"{fit.chi2_reduced:.3f}", "1", "noise of known size"))
    rows.append(("reciprocal", str(fit.reciprocity.reciprocal), "False", "synthesised so"))
    figure = fit.plot()
    figure.suptitle("Synthesised nonreciprocal two-port, noise 2·10⁻³: two modes, one port hidden")
    text = (
        "Synthesised data (not a measurement): two of a circulator's three ports, with white noise.\n\n"
        + fit.verdict.sentence
    )
    return Section("A recovery: a noisy nonreciprocal two-port", text, rows, {"noisy_two_port": figure})


def oscillators(small: bool) -> Section:
    """A stiffness that restores the reciprocity of two oscillators of different masses, against the closed form and
    against integration in time."""
    import matplotlib.pyplot as plt

    pair = duffing.DuffingPair(
        mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05,
        num_harmonics=5 if small else 9,
    )  # fmt: skip
    restored = restore_reciprocity(pair, amplitude=0.15, free="stiffness_ratio", resonance=0)
    outputs = in_time(restored)
    closed = "one harmonic, in closed form"
    rows = [
        ("stiffness ratio r", f"{float(restored.ratio):.6f}", f"{float(restored.guess.ratio):.6f}", closed),
        ("frequency ω", f"{float(restored.omega):.6f}", f"{float(restored.guess.omega):.6f}", closed),
        (
            "R of the outputs",
            f"{float(restored.reciprocity_norm):.5e}",
            f"{outputs.reciprocity_norm:.5e}",
            "integrated in time",
        ),
    ]
    if small:  # the branches take longest
        with plot.style():
            figure, axis = plt.subplots(figsize=(3.5, 2.6))
            draw_outputs(axis, restored, outputs)
            axis.set_ylabel("output")
    else:
        figure = draw_restoration(restored, responses(restored, (0.5, 4.0)), outputs)
    text = (
        "Two Duffing oscillators of masses 1 and 2 answer differently from either side; a second stiffness makes up "
        f"for that at their lower resonance. {restored.message}"
    )
    return Section("A restoration: two oscillators of different masses", text, rows, {"oscillators": figure})


def one_way_pulse(small: bool) -> Section:
    """A pulse in a one-way guide, for both signs of the bias, against the closed form of the guide's waves."""
    right, left = fly(-0.25, small), fly(0.25, small)
    ahead, behind = closed_form(1.6e5), closed_form(-6.3e4 + 1.04e5j)
    middle = TONES.index(1.5)
    k = right.wavenumber(60 * UM)[middle]
    fall = 1 / right.decay(-50 * UM, -80 * UM)[middle]
    leak = 20 * jnp.log10(jnp.max(jnp.abs(right.at(-60 * UM) / right.at(60 * UM))))
    pairs = zip(right.hz, left.hz, strict=True)
    apart = max(float(jnp.max(jnp.abs(a - b[::-1]))) for a, b in pairs) / float(jnp.max(jnp.abs(right.hz[0])))
    closed = "closed form"
    rows = [
        ("k ahead at 1.5 THz (rad/m)", f"{float(k):.0f}", f"{ahead.real:.0f}", closed),
        ("falls by e behind the source in (µm)", f"{float(fall) / UM:.2f}", f"{1 / behind.imag / UM:.2f}", closed),
        ("60 µm behind/ahead, 1.4–1.6 THz (dB)", f"{float(leak):.1f}", "", ""),
        ("difference from its mirror image at −B", f"{apart:.0e}", "0", "symmetry"),
    ]
    text = (
        "A guide of InSb below silicon in a magnetic field across it, where from 1.283 to 1.783 THz only one direction "
        "has a wave. What is behind the source leaks and goes nowhere; turning the field mirrors everything. The "
        "figure shows Hz at three moments after the source's maximum, in one scale of colours; the sponges absorb what "
        "arrives."
    )
    return Section("A pulse that goes one way", text, rows, {"one_way_pulse": draw_flights((right, left))})


SECTIONS: dict[Callable[[bool], Section], str] = {
    ring_slot: "fitting a measurement",
    isolator: "designing an isolator",
    noisy_two_port: "fitting a noisy two-port",
    oscillators: "restoring the reciprocity of two oscillators",
    one_way_pulse: "sending a pulse one way, and the other",
}


def _pm(value: Any, error: Any, unit: float = 1.0) -> str:
    value, error = float(value) / unit, float(error) / unit
    return f"{value:.5g} (error withheld)" if not np.isfinite(error) else f"{value:.6g} ± {error:.1g}"
