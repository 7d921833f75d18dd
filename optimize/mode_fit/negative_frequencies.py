"""Whether poles count with their conjugates at negative frequencies: networks have S(−ω) = S(ω)*, models of rotating
waves have not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from diffnr.data import FieldData
from optimize.mode_fit.form import Form
from optimize.mode_fit.problem import Problem, Projected

Host = Any
LEAST = 0.1  # of χ²: images with less effect beyond the background move no number by more than a third of its error
TOLD = 10.0  # of −2 log L: what chance explains once in 150 times
SHIFT = 0.3  # of an error, by which poles move: less is not worth a word
DOUBT = 1.0  # of an error: more speaks against a fit whose data do not tell


class Images(NamedTuple):
    """Of poles, at negative frequencies: `mirror`, twice the band's centre in the unit of x; `measured`, whether the
    data are of a network, and have them unless they show the contrary."""

    mirror: float
    measured: bool

    @classmethod
    def of(cls, data: FieldData, centre: float, half: float) -> Images | None:
        """None over detunings, and beside stored energies, which are those of rotating waves."""
        if data.energy is not None or float(data.omega[0]) < 0:
            return None
        return cls(2 * centre / half, data.measured)

    def matter(self, problem: Problem, response: Form) -> bool:
        """Whether they change the response by more than a background can and noise hides."""
        response = replace(response, mirror=self.mirror)
        image = response.image(problem.x)[:, problem.out, problem.into]
        beyond = Projected.of(problem, response).beyond(image / problem.sigma)
        return float(np.sum(np.abs(beyond) ** 2)) > LEAST

    def preferred(self, better: float) -> bool:
        """Whether they are in the model, where they lower −2 log L by `better`."""
        return bool(better > (-TOLD if self.measured else TOLD))


def said(fit: Any) -> str:
    """The choice in a sentence, where it makes a difference."""
    better, shift = fit.image_evidence, fit.image_shift
    images = "Each pole counts with its conjugate at the negative frequency, S(−ω) = S(ω)*, as in networks"
    without = "Poles count without conjugates at negative frequencies, as of rotating waves"
    if better is None or (abs(better) <= TOLD and shift < SHIFT):
        return ""
    if abs(better) > TOLD:
        chosen, other = (images, "without them") if better > 0 else (without, "with them")
        return f"{chosen}: −2 log L is {abs(better):.3g} less than {other}."
    moved = f"poles would move by up to {shift:.2g} of their errors"
    if fit.negative_frequency_poles:
        return f"{images}; these data do not tell, and without them {moved}."
    return f"{without}; these data do not tell, and with them, as in networks (measured=True), {moved}."


def doubtful_images(fit: Any) -> list[str]:
    """The sentence, where the data do not tell and it matters."""
    told = fit.image_evidence is None or abs(fit.image_evidence) > TOLD
    return [] if told or fit.image_shift < DOUBT else [said(fit)]


def mirrored(problem: Problem, response: Form, mirror: float | None) -> Form:
    """The response with images, or without (None), and the background that is best then."""
    if response.mirror == mirror:
        return response
    changed = replace(response, mirror=mirror)
    return Projected.of(problem, changed).whole(changed)
