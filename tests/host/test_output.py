"""Files that users ask for: refused early, written whole, never in place of a device."""

import os
import threading
from pathlib import Path

import pytest

from madem.errors import MademError
from madem.output import check_file, check_folder, write_whole


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for data in (b"one", b"two"):
        check_file(path)
        write_whole(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"kept")
    check_file(old)
    check_file(tmp_path / "new")
    assert old.read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [old]


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(MademError, match=r"can't write .*deep/er/x: No such file"):
        check_file(tmp_path / "deep" / "er" / "x")
    check_file(tmp_path / "deep" / "er" / "x", make_folder=True)
    assert list((tmp_path / "deep" / "er").iterdir()) == []
    check_folder(tmp_path / "pictures" / "new")
    check_folder(tmp_path / "pictures" / "new")
    assert list((tmp_path / "pictures" / "new").iterdir()) == []


@pytest.mark.parametrize("where", ["", ".", "folder", "file/x", "/proc/x", "a" * 300])
def test_what_can_not_be_written(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    for refuse in (check_file, lambda path: write_whole(path, b"data")):
        with pytest.raises(MademError, match="can't write") as caught:
            refuse(where)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir()) == ["file", "folder"]


@pytest.mark.parametrize("where", ["file", "file/x", "/proc/x", "a" * 300])
def test_what_is_no_folder(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(MademError, match="can't write"):
        check_folder(where)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "folder" / "link"
    link.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)
    check_file(link)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """As /dev/stdout may be one, and /dev/null is no file either."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    check_file(pipe)
    write_whole(pipe, b"result")
    reader.join(120)
    assert heard == [b"result"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
