"""Saved files: what comes back is what went in, plain numpy reads it, and no file can do harm."""

import contextlib
import json
import sys
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import Array

from diffnr.checks import is_concrete
from diffnr.data import FieldData, reciprocity
from diffnr.results import RESULTS
from diffnr.storage import load, save


class Law(eqx.Module):
    gamma_k: Array
    mode: int = eqx.field(static=True)


class Checked(eqx.Module):
    rate: Array
    twice: Array

    def __init__(self, rate):
        self.rate = jnp.asarray(rate)
        self.twice = 2 * self.rate

    def __check_init__(self):
        if self.rate.ndim > 0:
            raise ValueError("Argument rate must have shape [].")
        if is_concrete(self.rate) and self.rate < 0:
            raise ValueError("Argument rate must not be negative.")


class Model(eqx.Module):
    s: Array
    laws: tuple[Law, ...]
    checked: Checked | None
    name: str = eqx.field(static=True)
    harmonics: tuple[int, ...] = eqx.field(static=True)
    note: str | None = None


class Fit(eqx.Module):
    model: Any
    history: dict[str, Any]
    result: Any = None


class Holder(eqx.Module):
    law: Callable = eqx.field(static=True)


class Outcome(eqx.Enumeration):
    fine = ""
    poor = "It went badly."


TYPES = (Law, Checked, Model, Fit, Outcome)


def model() -> Model:
    laws = (Law(jnp.array(0.3), mode=1), Law(jnp.arange(3.0, dtype=jnp.float32), mode=0))
    return Model(jnp.array([[1.5 - 2j, 0], [3j, 4]]), laws, Checked(0.25), name="pair", harmonics=(1, 3))


def assert_same(a: Any, b: Any) -> None:
    """The same structure, static fields, classes, dtypes, array types and values, NaN being equal to NaN."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            assert x.dtype == y.dtype
            assert x.shape == y.shape
            np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_equal(x, y)


def round_trip(path: Path, obj: Any, **kwargs: Any) -> Any:
    save(path, obj)
    return load(path, TYPES, **kwargs)


def rewrite(path: Path, change: Callable[[dict], Any]) -> None:
    """Change the header of a saved file, as an attacker or another version of diffnr would."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("__diffnr__")))
    changed = change(header)
    with open(path, "wb") as file:
        np.savez(file, __diffnr__=np.array(json.dumps(changed if changed is not None else header)), **arrays)


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
        assert header["tree"]["module"].endswith("test_storage.Fit")

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


class TestRefusedToSave:
    @pytest.mark.parametrize(
        ("obj", "message"),
        [
            ({"a": [1, print]}, r"but 'a\.1' is a builtins\.builtin_function_or_method"),
            (Holder(jnp.tanh), "but 'law' is a "),
            (Fit(lambda x: x, {}), r"but 'model' is a builtins\.function"),
            (Fit(jax.jit(lambda x: x), {}), "but 'model' is a .*PjitFunction"),
            ({1: 2}, "must hold dicts with str keys, but its root has the key 1"),
            ({"a": {1, 2}}, r"but 'a' is a builtins\.set"),
            (namedtuple("Point", "x")(1), "but its root is a .*Point"),
            (Law, "but its root is a .*"),
            ([np.array([None])], "must hold arrays of numbers, but '0' has dtype object"),
            ([np.array("x")], "but '0' has dtype <U1"),
            ([jnp.ones(2, jnp.bfloat16)], "but '0' has dtype bfloat16"),
            ([jax.random.key(0)], "but '0' has dtype key"),
        ],
    )
    def test_with_the_place(self, path, obj, message):
        with pytest.raises(ValueError, match=message):
            save(path, obj)
        assert not path.exists()

    def test_tracers(self, path):
        with pytest.raises(ValueError, match="'0' is traced: save outside of jit and vmap"):
            jax.jit(lambda x: save(path, [x]))(1.0)


class TestRefusedToLoad:
    @pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "this.Zen", "builtins.eval", "diffnr.Nothing"])
    @pytest.mark.parametrize("node", ["module", "enumeration"])
    def test_classes_that_are_none_of_ours(self, path, name, node):
        save(path, Law(jnp.array(1.0), mode=0) if node == "module" else Outcome.poor)
        rewrite(path, lambda header: header["tree"].update({node: name}))
        with pytest.raises(ValueError, match=f"holds the class '{name}', which is not among the imported classes"):
            load(path, TYPES)
        assert "this" not in sys.modules

    def test_modules_of_other_packages_are_unknown_unless_given(self, path):
        save(path, eqx.nn.Linear(2, 3, key=jax.random.key(0)))
        with pytest.raises(ValueError, match=r"holds the class 'equinox\.nn\._linear\.Linear', which is not among"):
            load(path)
        assert load(path, types=[eqx.nn.Linear]).weight.shape == (3, 2)

    def test_a_class_is_not_an_enumeration_nor_the_reverse(self, path):
        save(path, Law(jnp.array(1.0), mode=0))
        rewrite(path, lambda header: header["tree"].update(module=f"{Outcome.__module__}.Outcome"))
        with pytest.raises(ValueError, match="which is not among the imported classes"):
            load(path, TYPES)

    @pytest.mark.parametrize("entry", ["__diffnr__", "gamma_k", "unused"])
    def test_pickled_objects(self, path, entry):
        class Exploit:
            def __reduce__(self):
                return (Path.touch, (path.parent / "executed",))

        save(path, Law(jnp.array(1.0), mode=0))
        with np.load(path) as file:
            arrays = {**file, entry: np.array([Exploit()], dtype=object)}
        with open(path, "wb") as file:
            np.savez(file, **arrays)
        with pytest.raises(ValueError, match="allow_pickle=False"):
            load(path, TYPES)
        assert not (path.parent / "executed").exists()
        # The trap is a real one.
        with np.load(path, allow_pickle=True) as file:
            file[entry]
        assert (path.parent / "executed").exists()

    def test_types_must_be_classes_of_the_right_kind(self, path):
        save(path, 1)
        with pytest.raises(ValueError, match=r"Argument types must hold eqx\.Module or eqx\.Enumeration classes"):
            load(path, types=[dict])

    def test_values_that_a_class_refuses(self, path):
        save(path, eqx.tree_at(lambda c: c.rate, Checked(1.0), jnp.array(-1.0)))
        with pytest.raises(ValueError, match=r"that its class refuses: Argument rate must not be negative"):
            load(path, TYPES)
        assert load(path, TYPES, check=False).rate == -1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda h: h.update(format=3, diffnr="9.9"),
                r"has format 3, made by diffnr 9\.9; this diffnr reads up to 2",
            ),
            (lambda h: h.update(format="1"), "is damaged: its header has no format"),
            (lambda h: {"format": 1}, "is damaged: its header has no format or no tree"),
            (lambda h: [1], "is not a file that diffnr saved"),
            (lambda h: h["tree"]["fields"].pop("mode"), r"with the fields \['gamma_k'\], but here that class has"),
            (lambda h: h["tree"]["fields"].update(extra=1), r"'extra'.*but here that class has \['gamma_k', 'mode'\]"),
            (lambda h: h["tree"]["fields"]["gamma_k"].update(array="x"), "it lacks the array 'x'"),
            (lambda h: h["tree"]["fields"].update(mode={"what": 1}), "'mode' is nothing that diffnr writes"),
            (lambda h: h["tree"]["fields"].update(mode={"complex": ["a", "b"]}), "'mode' is no complex number"),
            (
                lambda h: h["tree"]["fields"]["gamma_k"].update({"as": "object"}),
                "'gamma_k' is nothing that diffnr writes",
            ),
            (lambda h: h.update(tree=[1]), "its root is nothing that diffnr writes"),
        ],
    )
    def test_damaged_headers(self, path, change, message):
        save(path, Law(jnp.array(1.0), mode=0))
        rewrite(path, lambda header: header if (new := change(header)) is None or isinstance(new, (int, str)) else new)
        if "fields" in message:
            message = "holds .*Law " + message
        with pytest.raises(ValueError, match=message) as raised:
            load(path, TYPES)
        assert str(path) in str(raised.value)

    def test_nesting_without_end(self, path):
        save(path, 1)
        depth = 100_000
        text = '{"format": 1, "tree": ' + '{"list": [' * depth + "1" + "]}" * depth + "}"
        with open(path, "wb") as file:
            np.savez(file, __diffnr__=np.array(text))
        with pytest.raises(ValueError, match="is damaged"):
            load(path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY", b"\x80\x04pickle"])
    def test_other_files(self, path, content):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a file that diffnr saved"):
            load(path)

    def test_other_archives(self, path):
        with open(path, "wb") as file:
            np.savez(file, a=np.ones(2))
        with pytest.raises(ValueError, match="is not a file that diffnr saved"):
            load(path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("word/document.xml", "<a/>")
        with pytest.raises(ValueError, match="not one of diffnr's"):
            load(path)

    @settings(max_examples=60)
    @given(st.data())
    def test_truncated_and_corrupted_files(self, tmp_path_factory, data):
        path = tmp_path_factory.getbasetemp() / "corrupted"
        save(path, model())
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content = content[:place]
        else:
            content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(bytes(content))
        # Not every byte of an archive matters, but none may change a value without a word, nor raise anything else.
        with contextlib.suppress(ValueError):
            assert_same(load(path, TYPES), model())

    def test_every_truncation(self, path):
        save(path, [1.0, np.arange(2)])
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"not a file that diffnr saved|is damaged, truncated"):
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
