"""Saved files: what comes back is what went in, and plain numpy reads it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diffnr.data import FieldData, reciprocity
from diffnr.results import RESULTS
from diffnr.storage import load, save
from storable import TYPES, Checked, Fit, Law, Model, Outcome, assert_same, model, rewrite


class Place(NamedTuple):
    x: float
    tags: tuple


def round_trip(path: Path, obj: Any, **kwargs: Any) -> Any:
    save(path, obj)
    return load(path, TYPES, **kwargs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.diffnr"


class TestRoundTrip:
    def test_nested_modules(self, path):
        fit = Fit(model(), {"loss": [1.0, 0.5, None], "loss.gamma_k": jnp.arange(3)}, result=True)
        back = round_trip(path, fit)
        assert_same(back, fit)
        assert type(back.model) is Model
        assert back.model.laws[0].mode == 1
        assert (back.model.name, back.model.harmonics, back.model.note) == ("pair", (1, 3), None)
        assert back.model.s.dtype == jnp.complex128
        assert back.model.laws[1].gamma_k.dtype == jnp.float32

    def test_it_works_afterwards(self, path):
        back = round_trip(path, model())
        gradient = eqx.filter_grad(lambda m: jnp.sum(jnp.abs(m.s) ** 2) * m.laws[0].gamma_k)(back)
        np.testing.assert_allclose(gradient.laws[0].gamma_k, 1.5**2 + 2**2 + 3**2 + 4**2, rtol=1e-14)  # a few roundings

    @pytest.mark.parametrize(
        "obj",
        [
            None,
            True,
            -3,
            2**80,
            -0.0,
            1e-310,
            float("inf"),
            complex(float("nan"), -0.0),
            "Ω\n\0\ud800",
            (),
            [],
            {},
            ((1,), [2.0], {"a": None}),
            jnp.array(1.5),
            jnp.zeros((0, 3), dtype=jnp.int8),
            np.array([True, False]),
            np.float64(0.1),
            np.float32(0.1),
            np.complex64(1j),
            {"file": np.arange(2.0), "allow_pickle": np.arange(3.0), "__diffnr__": np.arange(4.0)},
            {
                "a.b": np.array(1),
                "a": {"b": np.array(2)},
                "[a.b]": np.array(3),
                "../../x": np.array(4),
                "": np.array(5),
            },
            {"0": [np.array(1), np.array(2)], "a/b\\c\0\ud800 ü": np.array(3)},
        ],
        ids=repr,
    )
    def test_plain_values(self, path, obj):
        back = round_trip(path, obj)
        assert_same(back, obj)
        assert repr(back) == repr(obj)  # tells -0.0 from 0.0, a tuple from a list, and keeps the order of keys

    def test_field_data(self, path):
        data = FieldData([1.0, 2.0], np.ones((2, 2, 2)), sigma=0.1, measured=True, name="device")
        save(path, data)
        assert_same(load(path), data)
        save(path, reciprocity(data))
        assert_same(load(path), reciprocity(data))

    def test_named_tuples(self, path):
        mine = Place(x=1.5, tags=("a", np.arange(2)))
        save(path, [mine])
        (back,) = load(path, [Place])
        assert type(back) is Place
        assert_same(back, mine)
        with pytest.raises(ValueError, match=r"holds the class '.*Place', which is not among"):
            load(path)

        def shorten(header):
            del header["tree"]["list"][0]["fields"]["x"]

        rewrite(path, shorten)
        with pytest.raises(ValueError, match=r"with the fields \['tags'\], but here that class has \['tags', 'x'\]"):
            load(path, [Place])

    @pytest.mark.parametrize("value", [RESULTS.successful, RESULTS.max_steps_reached, Outcome.poor])
    def test_members_of_enumerations(self, path, value):
        back = round_trip(path, {"result": value})["result"]
        assert back._enumeration is value._enumeration
        assert bool(back == value)
        assert repr(back) == repr(value)

    def test_arrays_of_members(self, path):
        ended = jax.vmap(lambda x: RESULTS.where(x > 0, RESULTS.successful, RESULTS.max_steps_reached))
        value = ended(jnp.array([1.0, -1.0, 2.0]))
        back = round_trip(path, Fit(None, {}, result=value))
        np.testing.assert_array_equal(back.result == RESULTS.successful, [True, False, True])
        assert_same(back.result, value)

    def test_members_are_matched_by_name(self, path):
        save(path, Outcome.poor)

        def reorder(header):
            header["tree"]["members"] = ["removed", "poor", "fine"]

        rewrite(path, reorder)  # number 1 is "poor" in the file, too
        assert bool(load(path, TYPES) == Outcome.poor)
        save(path, Outcome.fine)
        rewrite(path, reorder)  # number 0 is now a member that is gone
        with pytest.raises(ValueError, match=r"holds members of .*Outcome that are not known here: \['removed'\]"):
            load(path, TYPES)

        def swap(header):
            header["tree"]["members"] = ["poor", "fine"]

        save(path, Outcome.fine)
        rewrite(path, swap)
        assert bool(load(path, TYPES) == Outcome.poor)

    def test_batched_and_filtered_trees(self, path):
        batch = eqx.filter_vmap(Checked)(jnp.arange(3.0))
        arrays, others = eqx.partition(Fit(model(), {}, result=Outcome.poor), eqx.is_inexact_array)
        assert_same(round_trip(path, arrays), arrays)
        for tree in (batch, others):
            with pytest.raises(ValueError, match=r"that its class refuses"):
                round_trip(path, tree)
            assert_same(load(path, TYPES, check=False), tree)

    @settings(max_examples=60)
    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats()
            | st.complex_numbers()
            | st.text(st.characters(), max_size=5)
            | hnp.arrays(
                st.sampled_from([np.bool_, np.int32, np.uint8, np.float32, np.float64, np.complex128]),
                hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
            )
            | hnp.arrays(np.complex64, 2).map(jnp.asarray),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.lists(inner, max_size=3).map(tuple),
                st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3),
                st.builds(Law, inner, st.integers(0, 5)),
                st.builds(Fit, inner, st.dictionaries(st.sampled_from("ab"), inner), st.sampled_from([Outcome.poor])),
            ),
            max_leaves=12,
        )
    )
    def test_any_tree(self, tmp_path_factory, tree):
        path = tmp_path_factory.getbasetemp() / "any"
        save(path, tree)
        assert_same(load(path, TYPES), tree)


class TestFile:
    def test_plain_numpy_reads_it(self, path):
        save(path, Fit(model(), {"loss.gamma_k": jnp.arange(3), "x": jnp.ones(2)}))
        with np.load(path, allow_pickle=False) as file:
            np.testing.assert_array_equal(file["model.s"], model().s)
            assert file["model.laws.1.gamma_k"].dtype == np.float32
            assert set(file) == {
                "__diffnr__",
                "model.s",
                "model.laws.0.gamma_k",
                "model.laws.1.gamma_k",
                "model.checked.rate",
                "model.checked.twice",
                "history[loss.gamma_k]",
                "history.x",
            }
            header = json.loads(str(file["__diffnr__"]))
        assert header["format"] == 2
        assert header["tree"]["module"].endswith("storable.Fit")

    def test_name_is_kept_and_nothing_is_left_beside(self, tmp_path):
        save(tmp_path / "result", model())
        save(str(tmp_path / "result"), model())
        assert [p.name for p in tmp_path.iterdir()] == ["result"]

    def test_same_contents_same_bytes(self, tmp_path):
        save(tmp_path / "a", model())
        save(tmp_path / "b", model())
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_failed_save_keeps_the_old_file(self, path, monkeypatch):
        save(path, [1.0])

        def fail(*args, **kwargs):
            raise OSError("No space left on device")

        monkeypatch.setattr(np.lib.format, "write_array", fail)
        with pytest.raises(OSError, match="No space left"):
            save(path, model())
        monkeypatch.undo()
        with pytest.raises(ValueError, match="Argument obj"):
            save(path, [print])
        assert load(path) == [1.0]
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    def test_missing_file(self, path):
        with pytest.raises(FileNotFoundError):
            load(path)


class TestFloat32:
    @pytest.mark.parametrize("shape", [(), (2,)])
    @pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.int64])
    def test_float64_is_never_truncated(self, path, dtype, shape):
        save(path, [jnp.full(shape, 2**40, dtype)])
        message = f"holds {np.dtype(dtype)} in '0', which needs float64"
        with jax.enable_x64(False), pytest.raises(ValueError, match=message):
            load(path)

    def test_what_needs_no_float64_loads_without(self, path):
        obj = [jnp.ones(2, np.float32), np.ones(2), 1.0, Outcome.poor]
        save(path, obj)
        with jax.enable_x64(False):
            assert_same(load(path, TYPES), obj)

    def test_float32_stays_float32(self, path):
        with jax.enable_x64(False):
            save(path, jnp.asarray(1.5))
        assert load(path).dtype == jnp.float32
