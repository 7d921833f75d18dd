r"""Reciprocity restored by a second stiffness
==========================================

Paper 2, Figure 3: two coupled Duffing oscillators of masses 1 and :math:`\mu = 2`, and a force of amplitude
:math:`P = 0.15` on either. A stiffness :math:`r` of the second oscillator restores reciprocity at the lower resonance
(left) or at the upper one (right): (1) the norms of the outputs over the frequency, stable parts solid and unstable
ones dashed, rings at folds; (2) the same around the restored point; (3) the outputs there, by direct integration in
time.

:math:`P` and :math:`\mu` are our choice, as the paper's are lost from its text. The restored point is where
:math:`R = \sqrt{\langle (x_F - x_B)^2\rangle}` is least with the frequency on the peak of the forward output. That is
regular at both resonances, while the paper's condition, equal norms and phases, is singular at the upper one, where the
norms are equal at what is nearly a double root. Nowhere is reciprocity restored exactly: third harmonics leave
:math:`R = 8.8 \times 10^{-3}` at the lower resonance, whose third harmonic lies not far from the upper one, and
:math:`1.1 \times 10^{-5}` at the upper one.
"""

from typing import NamedTuple

import jax
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optimize as op
from diffnr import duffing, plot
from optimize.reciprocity import (
    Outputs,
    Responses,
    draw_near,
    draw_outputs,
    draw_responses,
    in_time,
    inset,
    responses,
)

jax.config.update("jax_enable_x64", True)

AMPLITUDE = 0.15
PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
OMEGA = (0.5, 4.0)
INSETS = {"a": (0.47, 0.42, 0.5, 0.53), "b": (0.55, 0.58, 0.42, 0.37)}  # where there is room
TOPS = {"a": 0.5, "b": 0.34}


class Column(NamedTuple):
    """What one column shows."""

    restored: op.Restoration
    curves: Responses
    outputs: Outputs


def compute(resonance: int) -> Column:
    """The pair restored at one resonance, its responses, and the outputs in time."""
    restored = op.restore_reciprocity(PAIR, amplitude=AMPLITUDE, free="stiffness_ratio", resonance=resonance)
    return Column(restored, responses(restored, OMEGA), in_time(restored))


def draw(axes: dict[str, Axes], letter: str, column: Column) -> None:
    """One column: responses, an inset around the restored point, outputs in time."""
    restored = column.restored
    top, bottom = axes[f"{letter}1"], axes[f"{letter}3"]
    draw_responses(top, restored, column.curves)
    top.set_ylim(0, TOPS[letter])
    near = inset(top, INSETS[letter], f"({letter}2)")
    draw_near(near, restored, column.curves)
    near.set_xlabel("")
    top.indicate_inset_zoom(near, edgecolor=plot.GREY, lw=0.6)
    top.set_title(rf"({letter}1) $\mu = 2$, $r = {float(restored.ratio):.4f}$")
    draw_outputs(bottom, restored, column.outputs)
    bottom.set_title(rf"({letter}3) $\omega = {float(restored.omega):.4f}$")


def main(small: bool = False) -> Figure:
    """Draw both columns, and print the restored points; there is nothing to make smaller."""
    columns = {letter: compute(resonance) for resonance, letter in enumerate("ab")}
    with plot.style():
        figure, axes = plt.subplot_mosaic([["a1", "b1"], ["a3", "b3"]], figsize=(7.2, 5.0), height_ratios=(1.7, 1))
        for letter, column in columns.items():
            print(column.restored.report(), f"by integration    R = {column.outputs.reciprocity_norm:.7g}", sep="\n")
            draw(axes, letter, column)
        axes["a1"].set_ylabel("norm of the output")
        axes["a3"].set_ylabel("output")
        figure.legend(*axes["a1"].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
