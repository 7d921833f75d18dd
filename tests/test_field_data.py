"""Field data of which some was not measured, parts of a device, and its reference resistance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skrf

from diffnr.data import FieldData
from diffnr.plot import s_parameters
from diffnr.storage import load, save


def random_data(points: int = 6, ports: int = 3, **kwargs) -> FieldData:
    """Data without any symmetry: whatever is transposed or conjugated shows."""
    rng = np.random.default_rng(ports)
    s = 0.3 * (rng.normal(size=(points, ports, ports)) + 1j * rng.normal(size=(points, ports, ports)))
    return FieldData(2 * np.pi * np.linspace(1e9, 2e9, points), s, **kwargs)


def one_path(**kwargs) -> FieldData:
    """A two-port of which S11 and S21 were measured."""
    s = np.array(random_data(ports=2).s)
    s[:, :, 1] = np.nan
    return FieldData(random_data().omega, s, **kwargs)


class TestEntries:
    def test_all_are_measured_unless_they_are_nan(self):
        np.testing.assert_array_equal(random_data().entries, np.ones((3, 3), bool))
        np.testing.assert_array_equal(one_path().entries, [[True, False], [True, False]])

    def test_also_inside_of_jit(self):
        count = jax.jit(lambda data: jnp.sum(data.entries))
        assert count(one_path()) == 2

    def test_nan_at_some_frequencies_is_refused(self):
        s = np.array(one_path().s)
        s[3, 1, 1] = 0.5
        with pytest.raises(ValueError, match=r"s must be finite, or NaN at all frequencies of .* s\[0, 1, 1\]"):
            FieldData(one_path().omega, s)
        with pytest.raises(ValueError, match="s must hold an entry that was measured"):
            FieldData(one_path().omega, np.full((6, 2, 2), np.nan))

    def test_sigma_may_be_nan_where_s_is(self):
        sigma = np.where(one_path().entries, 0.1, np.nan) * np.ones((6, 1, 1))
        assert one_path(sigma=sigma).sigma.shape == (6, 2, 2)
        for wrong in (sigma * [[1.0, 1.0], [np.nan, 1.0]], sigma * [[1.0, 1.0], [-1.0, 1.0]]):
            with pytest.raises(ValueError, match=r"sigma must be (finite|positive), but sigma\[0, 1, 0\] was"):
                one_path(sigma=wrong)

    def test_figures_leave_out_what_was_not_measured(self):
        labels = [text.get_text() for text in s_parameters(one_path()).get_legend().get_texts()]
        assert labels == ["$S_{11}$", "$S_{21}$"]

    def test_return_from_a_file(self, tmp_path):
        save(tmp_path / "a.npz", one_path(resistance=[50.0, 75.0]))
        back = load(tmp_path / "a.npz")
        np.testing.assert_array_equal(back.s, one_path().s)
        np.testing.assert_array_equal(back.resistance, [50.0, 75.0])


class TestParts:
    DATA = random_data(
        energy=np.arange(1.0, 19.0).reshape(6, 3),
        sigma=np.arange(1.0, 55.0).reshape(6, 3, 3),
        sigma_energy=np.arange(2.0, 20.0).reshape(6, 3),
        resistance=[10.0, 20.0, 30.0],
        measured=True,
        name="x",
    )

    def test_one_entry(self):
        part = self.DATA.entry(out=2, into=0)
        assert (part.num_ports, part.measured, part.name) == (1, True, "x S31")
        np.testing.assert_array_equal(part.s[:, 0, 0], self.DATA.s[:, 2, 0])
        np.testing.assert_array_equal(part.sigma, self.DATA.sigma[:, 2, 0])
        assert (part.energy, part.resistance) == (None, None)

    def test_some_ports_in_another_order(self):
        part, keep = self.DATA.ports(2, 0), np.array([2, 0])
        for here, there in ((part.s, self.DATA.s), (part.sigma, self.DATA.sigma)):
            np.testing.assert_array_equal(here, np.asarray(there)[:, keep][:, :, keep])
        np.testing.assert_array_equal(part.energy, np.asarray(self.DATA.energy)[:, keep])
        np.testing.assert_array_equal(part.sigma_energy, np.asarray(self.DATA.sigma_energy)[:, keep])
        np.testing.assert_array_equal(part.resistance, [30.0, 10.0])

    def test_a_reflection_is_a_port(self):
        here, there = self.DATA.entry(out=1, into=1), self.DATA.ports(1)
        np.testing.assert_array_equal(here.s, there.s)
        np.testing.assert_array_equal(here.energy, self.DATA.energy[:, 1:2])

    def test_bad_ports(self):
        with pytest.raises(ValueError, match="out must be a port between 0 and 2, but was 3"):
            self.DATA.entry(out=3, into=0)
        with pytest.raises(ValueError, match="ports must name one port or several, each once"):
            self.DATA.ports(1, 1)
        with pytest.raises(ValueError, match="These data lack S12, which this needs: they were not measured"):
            one_path().entry(out=0, into=1)


class TestRenormalised:
    def test_a_resistor_has_its_closed_form(self):
        load_, new = 20.0, 75.0
        data = FieldData([1.0], [(load_ - 50.0) / (load_ + 50.0)], resistance=50.0).renormalised(new)
        np.testing.assert_allclose(data.s[0, 0, 0], (load_ - new) / (load_ + new), rtol=1e-15)  # two roundings
        assert data.resistance == new

    def test_a_series_resistor_between_unequal_lines(self):
        # S11 = (Z + R2 − R1)/(Z + R1 + R2) and S21 = 2 √(R1 R2)/(Z + R1 + R2) of a series impedance Z.
        def series(z, r1, r2):
            return np.array([[z + r2 - r1, 2 * np.sqrt(r1 * r2)], [2 * np.sqrt(r1 * r2), z + r1 - r2]]) / (z + r1 + r2)

        z = 30.0 + 12.0j
        data = FieldData([1.0], series(z, 50.0, 50.0)[None], resistance=50.0).renormalised([25.0, 75.0])
        np.testing.assert_allclose(data.s[0], series(z, 25.0, 75.0), rtol=1e-14)  # some roundings

    @pytest.mark.parametrize("kind", ["power", "pseudo", "traveling"])
    def test_agrees_with_scikit_rf(self, kind):
        old, new = [50.0, 75.0, 20.0], [10.0, 100.0, 75.0]
        data = random_data(resistance=old)
        network = skrf.Network(f=np.asarray(data.frequency), f_unit="Hz", s=np.array(data.s), z0=old)
        network.renormalize(new, s_def=kind)
        np.testing.assert_allclose(data.renormalised(new).s, network.s, atol=1e-14)  # some roundings of numbers near 1

    def test_and_back(self):
        data = random_data(resistance=50.0)
        np.testing.assert_allclose(data.renormalised([5.0, 80.0, 75.0]).renormalised(50.0).s, data.s, atol=1e-14)

    def test_noise_goes_with_it(self):
        rng = np.random.default_rng(0)
        sigma = rng.uniform(1e-6, 3e-6, size=(6, 3, 3))
        data, new = random_data(sigma=sigma, resistance=50.0), [10.0, 100.0, 75.0]
        moved = [
            FieldData(data.omega, data.s + sigma * (rng.normal(size=sigma.shape) + 1j * rng.normal(size=sigma.shape)))
            for _ in range(100)
        ]
        of_old = jax.jit(lambda s: FieldData(data.omega, s, resistance=50.0).renormalised(new).s)
        s = np.array([of_old(noisy.s) for noisy in moved])
        spread = np.sqrt((s.real.var(axis=0, ddof=1) + s.imag.var(axis=0, ddof=1)) / 2)
        # A deviation of 200 numbers is known to 5 %: the mean over 6 frequencies to 2 %, all nine within 3 of it.
        np.testing.assert_allclose((spread / data.renormalised(new).sigma).mean(axis=0), 1.0, atol=0.07)

    @pytest.mark.parametrize(
        ("data", "new", "message"),
        [
            (random_data(), 50.0, "have no reference resistance to start from"),
            (random_data(resistance=50.0, energy=np.ones((6, 3))), 75.0, "hold energies"),
            (one_path(resistance=50.0), 75.0, "lack S12, S22, which this needs"),
            (random_data(resistance=50.0), 0.0, "resistance must be positive and finite, but it was 0.0"),
            (random_data(resistance=50.0), [50.0, 75.0], r"resistance must have shape \(\) or \(3,\), but was \(2,\)"),
        ],
    )
    def test_refusals(self, data, new, message):
        with pytest.raises(ValueError, match=message):
            data.renormalised(new)

    def test_bad_resistance(self):
        with pytest.raises(ValueError, match=r"resistance must be positive, but it was -1\.0"):
            random_data(resistance=-1.0)
