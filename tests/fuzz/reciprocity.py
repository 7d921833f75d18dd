"""Entries of reciprocity and phase of a pair of oscillators: tiny orbits, since each search compiles for seconds."""

import diffnr as nr
import optimize as op
from diffnr import duffing
from optimize.reciprocity import in_time, responses
from tests.fuzz.generator import Entry

PAIR = duffing.DuffingPair(1.2, 1.0, 1.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=3)
BOTH = {"amplitude": 0.15, "ports": (0, 1), "num_harmonics": 3}
RESTORE = {"pair": PAIR, **BOTH, "free": "stiffness_ratio", "resonance": 1}
ALONG = {**RESTORE, "along": "mass_ratio", "bounds": (1.1, 1.3)}
PHASE = {"pair": PAIR, **BOTH}
EQUAL_PHASE = {**PHASE, "pair": nr.replace(PAIR, {"cubic_ratio": 2.0}), "amplitude": 0.5}
LEFT_OUT = {"num_harmonics": ("None",), "ports": ("None",)}


def entries() -> list[Entry]:
    restored = op.restore_reciprocity(**RESTORE)
    return [
        Entry(
            "restore_reciprocity",
            op.restore_reciprocity,
            {**RESTORE, "at": "peak", "solver": "newton", "max_steps": 64, "throw": False},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry(
            "reciprocity_locus",
            op.reciprocity_locus,
            {**ALONG, "at": "peak", "points": 2, "throw": False},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry(
            "reciprocity_level",
            op.reciprocity_level,
            {**ALONG, "level": 3e-3, "at": "peak", "side": "above", "max_points": 20, "throw": True},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry(
            "equal_norm_points",
            op.equal_norm_points,
            {**PHASE, "band": (0.5, 4.0), "most": 8, "max_points": 400, "throw": True},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry(
            "equal_phase_points",
            op.equal_phase_points,
            {**EQUAL_PHASE, "band": (0.5, 4.0), "most": 8, "max_points": 400, "throw": True},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry(
            "equal_phase_locus",
            op.equal_phase_locus,
            {**EQUAL_PHASE, "along": "cubic_ratio", "bounds": (1.9, 2.1), "point": 0, "max_points": 20, "throw": True},
            allow=LEFT_OUT,
            cost=1,
        ),
        *(
            Entry(
                f"phase_nonreciprocity_locus, {name}",
                op.phase_nonreciprocity_locus,
                {**PHASE, "along": "mass_ratio", "bounds": (1.1, 1.3), name: value, "max_points": 20, "throw": True},
                allow=LEFT_OUT,
                cost=1,
            )
            for name, value in (("resonance", 1), ("omega", 2.9), ("point", 0))
        ),
        Entry(
            "design_nonreciprocal_phase",
            op.design_nonreciprocal_phase,
            {**PHASE, "phase": 0.1, "free": "mass_ratio", "resonance": 1, "max_steps": 60, "throw": False},
            allow=LEFT_OUT,
            cost=1,
        ),
        Entry("responses", responses, {"restored": restored, "band": (0.5, 4.0), "max_points": 100}, cost=1),
        Entry("in_time", in_time, {"restored": restored}, cost=1),
    ]
