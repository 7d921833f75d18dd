"""What the example of a modulated pair draws is what symmetry and first order say."""

import numpy as np
import pytest

from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)


@pytest.mark.slow
def test_a_modulated_pair_is_reciprocal_where_symmetry_has_it_and_grows_where_it_must() -> None:
    module = example("modulated_pair")
    found = module.compute(small=True)
    half = found.phase.size // 2  # in antiphase
    np.testing.assert_allclose(found.by_phase[:, [0, -1]], 0, atol=1e-13)  # round-off
    np.testing.assert_allclose(found.by_phase[1:, half], 0, atol=1e-13)
    assert found.by_phase[0, half] > 0.1
    middle = found.sidebands.index(0)
    there = module.response(found.equal, module.PHASES[1])
    assert float(there.norm[1, 0]) == pytest.approx(float(there.norm[0, 1]), rel=1e-9)
    assert np.argmax(np.abs(found.b[:, 1, 0])) == middle - 1  # .95 is the nearest to the first resonance, at 1
    # Each mode by itself, in step: 4ζω to first order; the next is of (4ζ/ω)².
    for omega in (1.0, (1 + 2 * module.COUPLING) ** 0.5):
        first = 4 * module.DAMPING * omega
        assert float(module.threshold(0.0, 2 * omega)) == pytest.approx(first, rel=2e-3)
    in_step, quarter, antiphase = (
        module.threshold(phase, 1 + (1 + 2 * module.COUPLING) ** 0.5) for phase in module.PHASES
    )
    assert np.isnan(in_step) or in_step > 0.5  # no tongue at the sum of both
    assert antiphase < quarter < 0.25
