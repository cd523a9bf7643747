"""Files that users ask for: refused early, written whole, never in place of a device."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from madem.errors import DiskError, MademError
from madem.output import check_file, check_folder, same_file, write_whole
from madem.pictures import style


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


def test_a_file_that_is_named_like_a_temporary_one_is_nobody_elses(tmp_path: Path) -> None:
    other = tmp_path / "result.part"
    other.write_bytes(b"of the user")
    check_file(tmp_path / "result")
    write_whole(tmp_path / "result", b"new")
    assert other.read_bytes() == b"of the user"
    assert sorted(os.listdir(tmp_path)) == ["result", "result.part"]


def test_permissions_stay_and_a_new_file_has_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"new")
    (tmp_path / "b").touch()
    assert path.stat().st_mode == (tmp_path / "b").stat().st_mode
    path.chmod(0o640)
    write_whole(path, b"newer")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_whole(path, b"after"),
        lambda path: style.save_picture(style.blank_figure(2, 2), path),
    ],
    ids=["bytes", "picture"],
)
def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        write(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.png"]


def test_one_file_by_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = Path("one")
    one.touch()
    Path("soft").symlink_to(one)
    Path("hard").hardlink_to(one)
    Path("dangling").symlink_to("none")
    Path("folder").mkdir()
    for same in ("./one", tmp_path / "one", "soft", "hard", "folder/../one"):
        assert same_file(same, one)
        assert same_file(one, same)
    assert same_file("none", "./none")
    assert same_file("none", "dangling")
    for other in ("two", "folder/one", "folder"):
        assert not same_file(other, one)
    assert not same_file("/dev/null", "/dev/null"), "it keeps nothing"
