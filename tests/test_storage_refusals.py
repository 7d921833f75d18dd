"""What cannot be saved and what cannot be loaded: one sentence for each, and no file can do harm."""

import contextlib
import sys
import zipfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffnr.storage import load, save
from storable import TYPES, Checked, Fit, Holder, Law, Outcome, assert_same, model, rewrite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.diffnr"


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
        with pytest.raises(
            ValueError, match=r"Argument types must hold eqx\.Module, eqx\.Enumeration or NamedTuple classes"
        ):
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
