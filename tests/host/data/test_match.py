"""New data against what was taught: matched by names, or refused with both sides named."""

from pathlib import Path

import numpy as np
import pytest

from madem.data.files.read import read
from madem.data.match import Taught, matched
from madem.errors import TaskError

TAUGHT = Taught(("long", "wide"), ("cm", ""), ("a", "b"))


def write(folder: Path, text: str) -> Path:
    path = folder / "new.csv"
    path.write_text(text)
    return path


def test_columns_come_in_the_network_s_order_and_others_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "wide,more,long,label\n1.5,7,2.5,b\n3.5,8,4.5,a\n5.5,9,6.5,b\n")
    found = matched(read(path, learn=False), TAUGHT)
    assert found.x.tolist() == [[2.5, 1.5], [4.5, 3.5], [6.5, 5.5]]
    assert found.feature_names == TAUGHT.names
    assert found.y.tolist() == [1, 0, 1]


def test_classes_are_the_network_s_whatever_the_file_has_of_them(tmp_path: Path) -> None:
    path = write(tmp_path, "long,wide,label\n1.5,2.5,b\n3.5,4.5,b\n5.5,6.5,b\n")
    found = matched(read(path, learn=False), TAUGHT)
    assert found.y.tolist() == [1, 1, 1]
    assert found.class_names == ("a", "b")


def test_without_a_label_there_is_none(tmp_path: Path) -> None:
    found = matched(read(write(tmp_path, "long,wide\n1.5,2.5\n"), learn=False), TAUGHT)
    assert found.x.tolist() == [[1.5, 2.5]]
    assert found.class_names == ()


def test_columns_without_names_are_taken_in_their_order(tmp_path: Path) -> None:
    found = matched(read(write(tmp_path, "1.5,2.5\n3.5,4.5\n"), learn=False), TAUGHT)
    assert np.array_equal(found.x, [[1.5, 2.5], [3.5, 4.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("long,tall\n1.5,2.5\n", r"no column 'wide': the network was taught with long, wide, the"),
        ("1.5,2.5,3.5\n4.5,5.5,6.5\n", r"3 columns without names, the network takes 2: long, wide"),
        ("long (mm),wide\n1.5,2.5\n", r"'long' of .* is in mm, the network was taught with cm"),
        ("long,wide,label\n1.5,2.5,z_a\n3.5,4.5,b\n", r"the label 'z_a', the network knows a, b"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        matched(read(write(tmp_path, text), learn=False), TAUGHT)
