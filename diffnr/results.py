"""How solves end: one enumeration for all of them, and what every solver's answer says of itself."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from typing import TYPE_CHECKING, Any, TypeVar

import diffrax
import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool

from diffnr.checks import is_concrete
from diffnr.host import by_numpy

Answer = TypeVar("Answer")


class RESULTS(eqx.Enumeration):
    """How a solve ended; compare with `==`, as in diffrax. `RESULTS[result]` is the sentence."""

    # Success
    successful = "The solve converged."
    closed = "The branch is a closed loop, followed once around."
    # Roots and integrations in time
    max_steps_reached = (
        "The solve did not converge in the steps it was allowed. Start from a closer guess, or raise max_steps."
    )
    nonfinite = (
        "The solve met a value that is not finite. Look for a singular system (a Jacobian at a fold, a field at a "
        "resonance without loss) or a NaN among the parameters."
    )
    fold = (
        "The solution continued from the linear response turns back at a fold and does not come to this drive. "
        "Pass guess= to choose another branch, or lower the drive."
    )
    branch_point = (
        "Other solutions branch off from the one continued from the linear response on the way to this drive, as where "
        "a symmetry breaks: which of them is meant is not determined. Choose one by guess= (a branch's by start=), or "
        "lower the drive."
    )
    more_states = "There are more steady states than were found, or there may be. Raise most, or starts."
    no_state_found = "Newton's method found no steady state from any of the starts. Raise starts, or pass another key."
    unstable = (
        "The state found is unstable: small disturbances of it grow, so that no device stays in it. Look where it goes "
        "with tcmt.steady_states or tcmt.simulate, or pass allow_unstable=True for this state all the same."
    )
    no_wave = (
        "A driven port has no incoming wave at this frequency: its guide carries none in that direction. "
        "Name with ports= those that have one."
    )
    unresolved = (
        "The guide at a port has waves that the cells do not resolve: what goes into them is read nowhere, so that S "
        "is not known."
    )
    too_coarse = (
        "The step or the cells are too coarse for this frequency, or it is not positive. Take smaller cells, or a "
        "lower frequency."
    )
    step_too_small = (
        "The integration stopped, as its step became smaller than the times can tell apart. "
        "Look for a motion that grows without bound, or pass an implicit solver."
    )
    # Lines of spectra
    no_resonance = (
        "No resonance was found: the iteration did not arrive at a field that the cells resolve. Start from a closer "
        "guess, raise max_steps, or take smaller cells."
    )
    modes_missing = (
        "The modes found do not explain all that the contour integrals around the disc see: others may be in it. Take "
        "a smaller disc, or one off the band of a plasma's lattice modes, or raise max_nodes."
    )
    out_of_time = (
        "The search was stopped after max_seconds: there may be more than what it had found. Raise max_seconds, or "
        "take a smaller disc, or fewer modes."
    )
    no_line = "No line was found in the band: what the traces hold there is no sum of exponentials above the tolerance."
    # Branches
    out_of_points = "The branch goes on beyond the points there is room for. Raise max_points."
    stuck = (
        "The branch could not be followed further: steps became as short as round-off allows. "
        "Look for a bifurcation, a kink of a force, or parameters out of range near its last point."
    )
    no_start = "No solution was found at the start of the branch. Begin where the response is nearly linear."
    no_bifurcation = "The branch has no such bifurcation. Look at its folds and crossings, and name another number."
    strong_resonance = (
        "The two multipliers of the locus meet at +1 or −1, beyond which they are real and its points no bifurcations."
    )
    no_mode = (
        "The oscillators have no such mode: undriven it does not oscillate about x = 0, or another one has the same "
        "frequency, or a multiple of it. Name another mode, or part their frequencies."
    )
    # Orbits
    no_orbit_found = "Newton's method found no orbit from any of the starts. Raise starts, or pass another key."
    more_orbits = (
        "The search was stopped while it still found orbits, so that there may be more. Raise most, or starts."
    )
    not_settled = (
        "The motion has not settled: its state still changes from period to period. Raise periods, or look for a "
        "motion that is not periodic with the force."
    )
    no_ratio = (
        "The pair has no such resonance with a finite ratio: its damping has merged the two, its springs soften too "
        "much, or its forces are too nearly linear. Lower the damping or the amplitude, or free another ratio."
    )
    # Modulated oscillators
    no_rest = (
        "Undriven, the oscillators do not come to rest, which hides any response: the modulation, or something else, "
        "makes them grow, or nothing damps them. Lower the modulation, raise the damping, or change omega_m."
    )
    too_few_sidebands = "The outermost sidebands are not small yet. Raise num_sidebands."
    too_slow = (
        "The modulation is so slow that its stability is not known: its period is too long to be integrated. "
        "Raise omega_m."
    )
    no_threshold = "The oscillators are stable up to the highest factor of the modulation. Raise bounds."
    # Restored reciprocity
    no_orbit = (
        "The pair has no orbits of both directions at the point where the search starts, that of the one-harmonic "
        "closed form: its third harmonics are too strong there. Lower the amplitude."
    )
    no_peaks = (
        "The response to one of the two directions has no peak of the resonance asked for, or the two peaks cannot be "
        "brought to one frequency by the number that is free. Name another resonance, free another number, or change "
        "the amplitude."
    )
    not_restored = (
        "The search did not converge from where it began. Lower the amplitude, or bring the pair nearer "
        "to mirror symmetry."
    )
    other_resonance = (
        "The search ended at an orbit that is not of the resonance asked for. Lower the amplitude, or bring the pair "
        "nearer to mirror symmetry."
    )
    no_minimum = (
        "The search ended where R is stationary, but is no minimum, or the output is no maximum. Lower the amplitude, "
        "or bring the pair nearer to mirror symmetry."
    )
    double_root = (
        "Equal amplitudes and phases do not determine the ratio here: N_F = N_B is (nearly) a double root, as it is "
        'for cubic_ratio = 1 at one harmonic. Take at="peak".'
    )
    no_level = (
        "No pair beside the restored point at the lowest bound has the R asked for: there R is larger, or nothing is "
        "restored. Raise level, or begin nearer to the equal pair."
    )
    # Loci of phase nonreciprocity, and designs on them
    turned = (
        "The locus reached its bound, but on the path it changed from one branch of N_F = N_B to another where the two "
        "nearly meet. The points at which it did are marked as turned."
    )
    at_zero_frequency = "The frequency of the locus fell to zero, where it ends."
    no_point = (
        "There is no point of equal norms (or equal phases) where the search should begin. Look at "
        "optimize.equal_norm_points (equal_phase_points), and name another frequency, point or resonance."
    )
    unreachable = (
        "The phase asked for was not reached: Δφ turns back before it, or goes on without end. Ask for less, begin at "
        "another point, or free other parameters."
    )
    no_path = (
        "The search could not be followed to the phase asked for: the equations become singular before it. Two "
        "branches of N_F = N_B meet there, as they do at Δφ = 0 for cubic_ratio = 1, or the points of equal norms end."
    )
    out_of_steps = (
        "The phase asked for was not reached in the steps allowed. Raise max_steps, or ask for another phase."
    )
    out_of_bounds = (
        "The phase asked for is reached only through values that the pair cannot have: a mass or an amplitude that is "
        "not positive, negative damping, or no frequency. Ask for less, or free other parameters."
    )
    singular_design = (
        "N_F = N_B and the phase asked for (nearly) fail to determine the parameters there, as Δφ = 0 does for "
        "cubic_ratio = 1. Ask for another phase, or free other parameters."
    )


class AbstractAnswer(eqx.Module):
    """What a solver returns: subclasses give the field `result`, a `RESULTS`, or several in a batch."""

    if not TYPE_CHECKING:  # type checkers would count it as the first field of every subclass
        result: eqx.AbstractVar[Any]

    @property
    def converged(self) -> Bool[Array, "..."]:
        """Whether the solve succeeded; what it was to find is NaN where it did not, but kept where it is unstable."""
        return succeeded(self.result)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def message(self) -> str:
        """How the solve ended, in a sentence."""
        return message(self.result)  # pyright: ignore[reportAttributeAccessIssue]


def succeeded(result: Any) -> Bool[Array, "..."]:
    """Whether a solve, or each of several, ended in success."""
    good = [int(np.asarray(item._value)) for item in (RESULTS.successful, RESULTS.closed)]
    return by_numpy(lambda value: (value == good[0]) | (value == good[1]), result._value)


def with_unstable(result: Any) -> Any:
    """`result` with success in place of `unstable`."""
    return RESULTS.where(result == RESULTS.unstable, RESULTS.successful, result)


def message(result: Any) -> str:
    """How a solve ended, or the first that failed of several, in a sentence."""
    if not is_concrete(result):
        return "The result is traced: its message is known outside of jit and vmap only."
    which = np.asarray(result._value)
    if which.ndim == 0:
        return RESULTS[result]
    good = np.asarray(succeeded(result))
    if np.all(good):
        return f"All {good.size} solves converged." if good.size != 1 else "The solve converged."
    sentences = list(RESULTS._index_to_message)
    first = np.argwhere(~good)[0]
    place = int(first[0]) if first.size == 1 else tuple(first.tolist())
    return f"{np.sum(~good)} of {good.size} solves failed, the first at index {place}: {sentences[which[tuple(first)]]}"


def raise_failures(answer: Answer, result: Any) -> Answer:
    """`answer`, or raise `RuntimeError` with the sentence of a `result` that is no success.

    Inside of a transformation, where results are not known yet, the error is one of equinox at run time.
    """
    if is_concrete(result):
        if not np.all(np.asarray(succeeded(result))):
            raise RuntimeError(message(result))
        return answer
    dynamic, static = eqx.partition(answer, eqx.is_array)
    return eqx.combine(result.error_if(dynamic, ~succeeded(result)), static)


def from_diffrax(result: Any) -> Any:
    """The `RESULTS` of a diffrax result."""
    theirs = diffrax.RESULTS
    small = RESULTS.where(result == theirs.dt_min_reached, RESULTS.step_too_small, RESULTS.nonfinite)
    failed = RESULTS.where(result == theirs.max_steps_reached, RESULTS.max_steps_reached, small)
    return RESULTS.where(result == theirs.successful, RESULTS.successful, failed)
