"""What `fit_modes` returns: coefficients with errors, a verdict on the residual, a report and a figure."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Inexact, Int

from diffnr.checks import Numbers, as_count, as_vector
from diffnr.data import FieldData, Passivity, Reciprocity, entry_name, suspicions
from diffnr.results import AbstractAnswer
from diffnr.tcmt import ActiveModes, CoupledModes, PassiveModes
from optimize.mode_fit.choice import ModeChoice
from optimize.mode_fit.coefficients import ModeCoefficients
from optimize.mode_fit.concerns import demanded_symmetry, doubtful_modes, growth, incomplete, smaller_model
from optimize.mode_fit.device import possible_leaves
from optimize.mode_fit.negative_frequencies import doubtful_images, said
from optimize.mode_fit.planes import FlatPlanes, entries_of
from optimize.mode_fit.resonance import Resonance, rounded
from optimize.mode_fit.response import ActiveResponse, Response, form_of
from optimize.scenarios import Scenarios
from optimize.verdict import ResidualVerdict, judge

CONJUGATED = (
    "conj(S) is described far better than S, or by modes that decay where those of S grow: the data seem to be of "
    "phasors e^{−iωt}. Fit data.conjugated() instead."
)


def judge_residual(
    residual: Inexact[ArrayLike, "f out in"],
    noise: Float[ArrayLike, ...],
    sigma: Float[ArrayLike, ...],
    rank: int,
    *,
    sigma_known: bool,
    exact: float = 0.0,
) -> ResidualVerdict:
    """Compare a fit's residual with noise, and say what its standard errors are worth.

    **Arguments:** `residual`: [f, out, in], of S or of |S|², NaN where nothing was measured; `noise`: the standard
    deviation each real number of it should have, broadcastable to it, NaN where it is not known; `sigma`: the one that
    the fit weighted by, [f, entry measured]; `rank`: how many parameters were identified; `sigma_known`: whether
    `noise` was given rather than estimated; `exact`: the rms that digits of the data leave.

    **Returns:** a `ResidualVerdict`, by `optimize.verdict.judge` from the mean lag-1 autocorrelation of the entries of
    S; errors are withheld where fewer than three independent numbers are left per parameter.
    """
    residual = np.asarray(residual)
    measured = ~np.isnan(residual[0])
    noise = np.broadcast_to(np.asarray(noise), residual.shape)[:, measured]
    residual, sigma = residual[:, measured], np.asarray(sigma)
    count = (2 if np.iscomplexobj(residual) else 1) * residual.size
    freedom = max(count - rank, 1)
    unit = residual / np.maximum(np.sqrt(np.mean(np.abs(residual) ** 2, axis=0)), np.finfo(float).tiny)
    told = ~np.isnan(noise[0])
    chi2 = np.nan
    if np.any(told):
        chi2 = float(np.sum(np.abs(residual[:, told] / noise[:, told]) ** 2)) / freedom * told.size / np.sum(told)
    if not sigma_known and np.all(np.sqrt(np.mean(np.abs(residual) ** 2, axis=0)) <= exact):
        facts = "The residual is what the digits of the data leave."
        return ResidualVerdict(chi2, 0.0, True, "as computed", 1.0, facts)
    return judge(
        chi2,
        float(np.mean(np.real(unit[1:] * unit[:-1].conj()))),
        count,
        rank,
        noise="given" if sigma_known else "estimated" if np.any(told) else "unknown",
        weighted=float(np.sum(np.abs(residual / sigma) ** 2)) / freedom,
        taken_out=2 * rank / count,
        counted=0.999999,
        least_independent=3,
        otherwise=lambda _, inflation: f": standard errors are inflated by {np.sqrt(inflation):.3g}.",
    )


def title(fit: Any, of: str = "") -> str:
    """How many modes were fitted to what, the head of a report."""
    count, ports = len(fit.coefficients.omega), fit.data.num_ports
    size = f"{fit.data.num_points} points, {ports} port{'s' * (ports > 1)}"
    return f"{count} mode{'s' * (count > 1)} fitted to {of}{fit.data.name or 'data'}: {size}"


def noise_sentence(fit: Any) -> str:
    """What is known of the noise of the data that were fitted."""
    noise = "given" if fit.data.sigma is not None else "estimated from the data's own scatter"
    known = np.asarray(fit.noise)[~np.isnan(fit.noise)]
    level = f"{np.min(known):.2g} to {np.max(known):.2g}" if known.size else "not known"
    return f"noise {noise}: {level}; {fit.rank} parameters identified"


class ModeFit(AbstractAnswer):
    """A coupled-mode fit to scattering data, returned by `fit_modes`.

    **Fields:**

    - `model`: the device with its direct path at band centre, at the reference planes of `coefficients`: a
      `tcmt.PassiveModes`, passive whatever its leaves are, to design with. It is a `tcmt.ActiveModes` where the data
      have gain, or stored energies: its D and K then stand in the gauge in which the energy is |a|². Without energies
      that gauge is one of many that fit equally well. Leaves of both are real and free of bounds.
    - `coefficients`, `stderr`: `ModeCoefficients`; an error is NaN where the data do not identify the number, or where
      errors are withheld.
    - `covariance` [q, q]: of the numbers of `coefficients.rows()`; `rank`: how many parameters the data identify.
    - `response`: the fitted form (`predict` evaluates it); `centre`, `half_band`: of the band, which it is scaled to;
      `spread` [p, r]: a square root of the covariance of the parameters of `planes.form()` (`scenarios` draws from it).
    - `data`; `residual` complex [f, out, in] = S_fit − S; `noise` [f, out, in].
    - `verdict`, a `ResidualVerdict`; `reciprocity`, `passivity` of the data; `result`, a `RESULTS`, with
      `converged` and `message`; `steps`; `conjugated`, whether conj(S) is described better; `bounded`,
      whether the response is shown to be passive everywhere in the band; `model_scale`, the part of S that `model` is.
    - `choice`: a `ModeChoice`, how the number of modes was chosen; None where it was given.
    - `negative_frequency_poles`: whether poles count with their conjugates at negative frequencies, S(−ω) = S(ω)*;
      `image_evidence`: by how much that lowers −2 log likelihood, None where it makes no difference; `image_shift`: by
      how much of its error it moves a pole.
    - `complete`: whether nothing says that the model lacks something; `concerns`: what speaks against it, in sentences.
    """

    model: PassiveModes | ActiveModes | CoupledModes  # the last in files of version 0.1
    coefficients: ModeCoefficients
    stderr: ModeCoefficients
    covariance: Float[Array, "q q"]
    rank: int = eqx.field(static=True)
    response: Response
    centre: Float[Array, ""]
    half_band: Float[Array, ""]
    data: FieldData
    residual: Complex[Array, "f out in"]
    noise: Float[Array, "f out in"]
    verdict: ResidualVerdict
    reciprocity: Reciprocity
    passivity: Passivity
    result: Any
    steps: Int[Array, ""]
    conjugated: bool = eqx.field(static=True, default=False)
    bounded: bool = eqx.field(static=True, default=False)
    model_scale: float = eqx.field(static=True, default=1.0)
    spread: Float[Array, "p r"] | None = None
    choice: ModeChoice | None = None
    image_evidence: float | None = eqx.field(static=True, default=None)
    image_shift: float = eqx.field(static=True, default=0.0)

    @property
    def planes(self) -> FlatPlanes | None:
        """The reference planes of `coefficients` and `model`; None of files of version 0.1."""
        if not isinstance(self.response, ActiveResponse):
            return None
        return FlatPlanes.of(form_of(self.response), entries_of(self.data))

    @property
    def symmetric(self) -> bool:
        """Whether S = Sᵀ was demanded."""
        return getattr(self.response, "symmetric", False)

    @property
    def negative_frequency_poles(self) -> bool:
        """Whether each pole counts with its conjugate at the negative frequency, as in networks."""
        return getattr(self.response, "mirror", None) is not None

    @property
    def lacks(self) -> list[str]:
        """What the model lacks, in sentences: entries that it misses, a symmetry that it breaks."""
        return [] if self.conjugated else [*incomplete(self), *demanded_symmetry(self), *growth(self)]

    @property
    def complete(self) -> bool:
        """Whether nothing says that the model lacks something."""
        return not (self.conjugated or self.lacks)

    @property
    def concerns(self) -> list[str]:
        """What speaks against the fit, in sentences."""
        own = [CONJUGATED] if self.conjugated else self.lacks
        more = [] if self.choice is None else self.choice.excluded
        doubts = [*doubtful_modes(self).values(), *doubtful_images(self), *smaller_model(self)]
        return [*own, *more, *doubts, *suspicions(self.data)]

    @property
    def resonances(self) -> tuple[Resonance, ...]:
        """What a laboratory calls them, mode by mode, each number ± its error."""
        return tuple(Resonance.of(self, n) for n in range(len(self.coefficients.omega)))

    @property
    def chi2_reduced(self) -> float:
        """χ² per degree of freedom against the noise, given or estimated."""
        return self.verdict.chi2_reduced

    def predict(self, omega: Numbers) -> Complex[Array, "f out in"]:
        """The fitted S [f, out, in], with delay and background, at `omega` [f] in the data's unit (best inside the
        band)."""
        x = (np.asarray(as_vector(omega, "omega")) - float(self.centre)) / float(self.half_band)
        return jnp.asarray(self.response.response(x))

    def scenarios(self, draws: Any = 20) -> Scenarios:
        """Models that the data leave possible, drawn from the fit's covariance, for designs to be judged by:
        `maximise_isolation(fit, …)` takes them by default. A further draw is worse than the worst of n with the
        probability 1/(n + 1).

        **Raises:** `ValueError` where standard errors are withheld (or not known, of files of 0.1), or where no passive
        model is near a draw.
        """
        draws = as_count(draws, "draws")
        where = (float(self.centre), float(self.half_band))
        passive = isinstance(self.model, PassiveModes)
        if self.planes is None or self.spread is None or self.verdict.errors == "withheld":
            raise ValueError("Argument tolerances must be given: this fit has no standard errors.")
        leaves = possible_leaves(self.planes.form(), *where, np.asarray(self.spread), draws, passive=passive)
        return Scenarios({name: jnp.asarray(drawn) - getattr(self.model, name) for name, drawn in leaves.items()})

    def report(self) -> str:
        """The coefficients ± standard errors and what was found about the data, as text."""
        lines = [] if self.complete else ["INCOMPLETE: " + " ".join(self.concerns)]
        lines.append(title(self))
        if self.choice is not None:
            lines += [self.choice.sentence, self.choice.table()]
        withheld = self.verdict.errors == "withheld"
        lines += self._in_laboratory_words()
        for (name, value), (_, error) in zip(self.coefficients.rows(), self.stderr.rows(), strict=True):
            known = withheld or np.isfinite(error)
            shown = (
                f"{value:.6g} (error withheld)" if withheld else rounded(value, error) if known else "not identified"
            )
            lines.append(f"  {name:<24}{shown}")
        lines += self._of_planes()
        lines.append(self.verdict.sentence)
        lines.append(noise_sentence(self))
        demanded = " S = Sᵀ was demanded of the response." if self.symmetric else ""
        lines += [f"{self.reciprocity.message}{demanded}", f"{self.passivity.message} {self._constraint}"]
        concerns, images = self.concerns, said(self)
        lines += [images] if images and images not in concerns else []
        lines += concerns if self.complete else []
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or look at the residual.")
        return "\n".join(lines)

    def _in_laboratory_words(self) -> list[str]:
        resonances, lines = self.resonances, []
        for n, resonance in enumerate(resonances):
            line, ports = resonance.lines
            lines += [f"  mode {n}: {line}", *([f"    {ports}"] if ports else [])]
        lines += dict.fromkeys(f"  {note}" for resonance in resonances for note in resonance.notes)
        hertz = bool(resonances[0].f0.unit)
        lines.append("in rad/s (in Hz divide by 2π):" if hertz else "in the data's rate unit (above: over 2π):")
        return lines

    def _of_planes(self) -> list[str]:
        planes = self.planes
        if planes is None or planes.fixed:
            return []
        untold = [pair for pair in np.argwhere(planes.entries).tolist() if not planes.tells(*pair)]
        names = ", ".join(entry_name(out, into, self.data.num_ports) for out, into in untold)
        told = f"No direct path of {names} is bright enough to tell their planes: residues, C and delays "
        how = "are those where it is least." if planes.chosen.size else "may have several times larger errors."
        return [told + how] if untold else []

    @property
    def _constraint(self) -> str:
        if self.bounded:
            return "The response is passive everywhere in the band."
        return "The response is not constrained to be passive."

    def plot(self) -> Any:
        """A matplotlib `Figure`: a panel for each entry (of more than 16 those with the largest residual), with data
        and fit, and below them the residual in units of the noise, in 40 bins of frequency: where fit and noise are
        right the grey rms reaches ±1 and the means stay near 0."""
        from optimize.mode_fit.figure import fit_figure

        return fit_figure(self)
