"""What the example of Hatano–Nelson chains draws is the checked physics."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import tcmt
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)

pytestmark = pytest.mark.slow  # their runs compile for a quarter of a minute


@pytest.fixture(scope="module")
def chains():
    return example("hatano_nelson").compute(small=True)


def test_chain_without_nonlocal_loss_is_reciprocal(chains) -> None:
    # Round-off of dB.
    np.testing.assert_allclose(chains.by_length[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(chains.by_detuning[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(chains.energy[:, 0], chains.energy[:, 0, ::-1], rtol=1e-12)


def test_isolation_of_chains_grows_with_length(chains) -> None:
    module = example("hatano_nelson")
    for i, gamma_k in enumerate(module.GAMMA_K[1:], start=1):
        a_site = 20 * np.log10(1 / (1 - gamma_k))
        ideal = a_site * (chains.length - 1)
        # One and the same determinant divides both directions: the closed form, to round-off.
        np.testing.assert_allclose(chains.by_length[1, i], ideal, rtol=1e-12)
        np.testing.assert_allclose(chains.by_detuning[1, i], a_site * module.LAST, rtol=1e-12)
        assert np.all(np.diff(chains.by_length[0, i]) > 0)
        assert np.all(chains.by_length[0, i] < ideal)
        assert np.ptp(chains.by_detuning[0, i]) > 1


def test_isolation_of_long_chains_grows_as_the_text_says() -> None:
    module = example("hatano_nelson")
    gamma_k, G = module.GAMMA_K[-1], module.GAMMA + module.GAMMA_0
    # The determinants of n sites grow by these roots of x² = Gx + κ(κ ∓ γ_k); their other roots have died out to 1 %.
    right, left = (G + (G**2 + 4 * (1 + sign * gamma_k)) ** 0.5 for sign in (-1, 1))
    ideal, slope = 20 * np.log10([1 / (1 - gamma_k), right / left / (1 - gamma_k)])
    longer, shorter = (module.isolation(tcmt.NonlocalLoss, gamma_k, n) for n in (module.SITES, module.SITES - 2))
    assert float(longer - shorter) / 2 == pytest.approx(slope, abs=0.05)
    assert (round(slope, 1), round(ideal, 1)) == (8.9, 14.0)


@pytest.mark.parametrize("site", [0, 4, 8])
def test_resonant_chain_is_ideal_right_of_the_drive_and_its_opposite_left(site: int) -> None:
    module = example("hatano_nelson")
    for gamma_k in module.GAMMA_K:
        # In a_j = i^{|j − site|} x_j with x > 0 nonlocal loss takes κ − γ_k from what arrives, or adds to what returns.
        right = np.where(np.arange(module.LAST) >= site, 1 - gamma_k, 1 + gamma_k)
        H = 1j * (np.diag(right, -1) + np.diag(np.ones(module.LAST), 1)) - 0.8 * np.eye(module.SITES)
        expected = np.linalg.solve(-H, 1.2**0.5 * np.eye(module.SITES)[site])
        state = module.driven(module.chain(tcmt.NonlocalLoss, gamma_k), site)
        # The regularised law, γ_k ε²/(2Gρ³) ~ 1e-6 a site with ρ ≥ .2, a few sites in a row.
        np.testing.assert_allclose(state.a, expected, rtol=1e-5)


def test_eigenmodes_gather_at_the_driven_site(chains) -> None:
    module = example("hatano_nelson")
    np.testing.assert_array_equal(np.argmax(chains.modes, axis=1), [0, module.MIDDLE, module.LAST])
    site = np.arange(1, module.SITES + 1)
    modes = (1 - module.GAMMA_K[-1]) ** (site[:, None] / 2) * np.sin(np.pi * np.outer(site, site) / (module.SITES + 1))
    skin = np.mean((modes / np.linalg.norm(modes, axis=0)) ** 2, axis=1)
    # Round-off times the condition of eigenmodes that fall off by .2^4 along the chain, 1e3.
    np.testing.assert_allclose(chains.ideal_modes, skin, rtol=1e-9)
    np.testing.assert_allclose(chains.modes[0], skin, rtol=1e-4)  # the regularised law, ~1e-6 a site, times that 1e3


@pytest.mark.parametrize("detuning", [0.0, 0.7])
def test_chain_of_two_is_the_pair(detuning: float) -> None:
    module = example("hatano_nelson")
    chain = module.chain(tcmt.NonlocalLoss, 0.8, length=2)
    for epsilon, atol in ((1e-4, 1e-12), (None, 1e-6)):  # round-off; the regularised law, γ_k ε²/(2Gρ³) ~ 3e-7
        law = tcmt.NonlocalLoss(0.8, mode=1, sensed=0, epsilon=epsilon)
        pair = tcmt.TwoResonators((0.0, 0.0), (0.6, 0.6), (0.2, 0.2), 1.0, law)
        for site in (0, 1):
            expected = tcmt.steady_state(pair, detuning, jnp.eye(2)[site]).s_minus
            found = module.driven(chain, site, detuning).s_minus
            np.testing.assert_allclose(found[:2], expected, atol=atol)
            assert not np.any(found[2:])


def test_chain_has_one_response_up_to_the_bound() -> None:
    """Two states differ by no less than the least eigenvalue G − γ_k cos π/(N + 1) of what brings them together."""
    module = example("hatano_nelson")
    gamma_k, site = 0.8, np.arange(1, module.SITES + 1)
    least = 0.8 - gamma_k * np.cos(np.pi / (module.SITES + 1))
    assert least > 0
    chain = module.chain(tcmt.NonlocalLoss, gamma_k)

    def pulled(a: np.ndarray, b: np.ndarray) -> float:
        force = (chain.matrices().gamma - 1j * chain.matrices().omega) @ (a - b)
        force += sum(law.damping(jnp.asarray(a)) - law.damping(jnp.asarray(b)) for law in chain.laws)
        return float(np.vdot(a - b, force).real / np.vdot(a - b, a - b).real)

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(20, module.SITES)) + 1j * rng.normal(size=(20, module.SITES)) for _ in range(2))
    assert min(pulled(x, y) for x, y in zip(a, b, strict=True)) >= least
    closest = np.ones(module.SITES) + 0j
    worst = 0.1 * (-1.0) ** site * np.sin(np.pi * site / (module.SITES + 1))
    assert pulled(closest + worst, closest) == pytest.approx(least, abs=1e-7)  # attained; ε² = 1e-8 off
