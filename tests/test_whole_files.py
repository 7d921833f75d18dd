"""Files are written whole or not at all, with the links and the permissions that there were."""

import os
import stat

import pytest

from diffnr.data import FieldData
from diffnr.storage import load, save
from diffnr.whole_files import write_whole


def fails(file):
    file.write(b"half")
    raise OSError(28, "No space left on device")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    for before in ([], [b"whole"]):
        for content in before:
            path.write_bytes(content)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, fails)
        assert [file.read_bytes() for file in tmp_path.iterdir()] == before


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "far" / "b")
    for value in (1, 2):
        save(tmp_path / "a", value)
        assert (tmp_path / "a").is_symlink()
        assert load(tmp_path / "far" / "b") == value


def test_permissions_stay(tmp_path):
    old = os.umask(0o022)
    try:
        save(tmp_path / "a", 1)
        assert mode(tmp_path / "a") == 0o644
        (tmp_path / "a").chmod(0o600)
        save(tmp_path / "a", 2)
        assert mode(tmp_path / "a") == 0o600
    finally:
        os.umask(old)


def test_what_was_private_never_lies_open(tmp_path):
    (tmp_path / "a").touch(0o600)
    seen: list[int] = []
    write_whole(tmp_path / "a", lambda file: seen.append(mode(next(tmp_path.glob(".*.partial")))))
    assert seen == [0o600]


def test_what_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "a").touch(0o400)
    monkeypatch.setattr(os, "access", lambda path, kind: False)  # tests may run as root, who may write anywhere
    with pytest.raises(PermissionError, match="Permission denied"):
        save(tmp_path / "a", 1)


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(tmp_path / "pipe", lambda file: file.write(b"text"))
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_field_data_return_through_a_long_name(tmp_path):
    path = tmp_path / ("x" * 250)
    save(path, FieldData([1.0], [0.5]))
    assert load(path).num_points == 1
