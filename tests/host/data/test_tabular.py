"""Users' files: what can be read reads back exactly, the rest is explained in one line."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from madem.data.tabular import DataFile, read_data_file
from madem.errors import TaskError


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str, target: str | int | None = None) -> DataFile:
    return read_data_file(write(folder, content), target)


HEADERLESS = "1,2,a\n3,4,b\n5,6,a\n7,9,b\n"
HEADED = "left,right,kind\n" + HEADERLESS


@pytest.mark.parametrize("content", [HEADERLESS, HEADED])
def test_header_or_not(tmp_path: Path, content: str) -> None:
    data = read(tmp_path, content)

    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 9]]
    assert data.y.tolist() == [0, 1, 0, 1]
    assert data.class_names == ("a", "b")
    if content is HEADED:
        assert data.feature_names == ("left", "right")
        assert data.target_name == "kind"
    else:
        assert data.feature_names == ("column 0", "column 1")
        assert data.target_name == "column 2"


@pytest.mark.parametrize("target", ["kind", "0", 0, "-3", -3])
def test_target_by_name_or_index(tmp_path: Path, target: str | int) -> None:
    data = read(tmp_path, "kind,left,right\n7,1,2\n8,3,4\n7,5,6\n8,7,9\n", target)

    assert data.class_names == ("7", "8")
    assert data.feature_names == ("left", "right")
    assert data.x[:, 0].tolist() == [1, 3, 5, 7]


def test_numbers_as_column_names_need_the_target_by_name(tmp_path: Path) -> None:
    # As pandas writes a frame without column names.
    content = "0,1,label\n1.5,2,0\n3,4,1\n5,6,0\n7,9,1\n"

    with pytest.raises(TaskError, match=r"line 1, is neither a header nor numbers.*--target"):
        read(tmp_path, content)
    assert read(tmp_path, content, "label").x[0].tolist() == [1.5, 2]


def test_a_typing_error_in_the_first_row_is_no_header(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"column 0 has '1\.o', column 1 has '2'"):
        read(tmp_path, HEADERLESS.replace("1,2,a", "1.o,2,a"))


def test_integer_labels_are_sorted_as_numbers_and_kept_apart(tmp_path: Path) -> None:
    big = 2**53
    data = read(tmp_path, f"1,10\n2,9.0\n3,9\n4,{big}\n5,{big + 1}\n6,10\n7,{big}\n8,{big + 1}\n")

    assert data.class_names == ("9", "10", str(big), str(big + 1))
    assert data.y.tolist() == [1, 0, 0, 2, 3, 1, 2, 3]


def test_quotes_blanks_byte_order_mark_and_empty_lines(tmp_path: Path) -> None:
    data = read(tmp_path, '\ufeff"x, y", kind\r\n1, "a, b"\r\n\r\n2 ,c\r\n3,"a, b"\r\n4,c\r\n')

    assert data.feature_names == ("x, y",)
    assert data.class_names == ("a, b", "c")


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", None, "is empty"),
        ("\n ,\n", None, "is empty"),
        ("a,b\n", None, r"line 1, column 0: 'a' is not a number"),
        ("1;2;a\n3;4;b\n", None, r"one column.*separated by commas; it seems to use ';'"),
        ("1\n2\n", None, r"has one column: features and label must be separated by commas$"),
        ("1,2,a\n3,b\n", None, r"line 2: 2 cells where 3 are expected"),
        ("1,2,a\n3,,b\n", None, r"line 2, column 1: missing value"),
        ("p,q,r\n1,2,a\n3,NaN,b\n", None, r"line 3, column 'q': missing value"),
        ("1,2,a\n3,4,\n", None, r"line 2, column 2: the label is missing"),
        ("1,2,a\n3,red,b\n", None, r"line 2, column 1: 'red' is not a number"),
        ("p,q,r\nred,1,a\nblue,2,b\n", None, r"line 2, column 'p': 'red' is not a number"),
        ("1,2,a\n3,1_000,b\n", None, r"line 2, column 1: '1_000' is not a number"),
        ("1,2,a\n3,-inf,b\n", None, r"line 2, column 1: -inf is too large"),
        ("1,2,0.5\n3,4,1\n", None, r"line 1, column 2: the label 0.5 is no class"),
        ("1,2,inf\n3,4,1\n", None, r"line 1, column 2: the label inf is no class"),
        ("p,q,r\n1,2,a\n3,4,a\n", None, r"only one class, a; is column 'r' the label\?"),
        ("p,q,r\n1,2,a\n3,4,b\n5,6,b\n", None, r"at least 2 samples.*: a; is column 'r' the label"),
        ("1,7,2,a\n3,7,4,b\n1,7,2,a\n3,7,5,b\n", None, r"column is constant.*remove: column 1$"),
        ("1,1,1,a\n1,1,4,b\n1,1,2,a\n1,1,5,b\n", None, r"2 columns are constant.*column 0, column"),
        (HEADED, "colour", r"has no column 'colour': its columns are left, right, kind"),
        (HEADERLESS, "colour", r"has no column 'colour': it has no header"),
        (HEADED, "3", r"has no column 3: its columns are 0 to 2"),
        (HEADED, -4, r"has no column -4"),
        ("p,p,r\n1,2,a\n3,4,b\n", "p", r"has 2 columns named 'p'"),
        ("a,b,c\n", "c", r"has a header but no samples"),
        ("\0\1,2\n", None, r"data\.csv"),
        (b"\xff\xfe1,2", None, r"is not UTF-8 text"),
    ],
)
def test_unusable_csv(
    tmp_path: Path, content: str | bytes, target: str | int | None, message: str
) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        read_data_file(write(tmp_path, content), target)
    assert "\n" not in str(caught.value)


def test_too_many_classes_or_features(tmp_path: Path) -> None:
    rows = [(i, i % 65) for i in range(130)]
    with pytest.raises(TaskError, match=r"has 65 classes; at most 64"):
        read(tmp_path, "\n".join(f"{a},{b}" for a, b in rows))
    x = np.arange(2 * 1025.0).reshape(2, 1025)
    with pytest.raises(TaskError, match=r"has 1025 features; at most 1024"):
        read_data_file(save(tmp_path, X=x, y=[0, 1]))


def test_as_many_classes_and_features_as_promised(tmp_path: Path) -> None:
    rows = [(i, i % 64) for i in range(128)]
    assert len(read(tmp_path, "\n".join(f"{a},{b}" for a, b in rows)).class_names) == 64
    x = np.arange(4 * 1024.0).reshape(4, 1024)
    assert read_data_file(save(tmp_path, X=x, y=[0, 1, 0, 1])).x.shape == (4, 1024)


def test_no_file_or_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no such file: .*none\.csv"):
        read_data_file(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TaskError, match="is not a file"):
        read_data_file(tmp_path / "folder.csv")


finite = st.floats(-1e300, 1e300)


# One folder serves all examples: each writes its own file anew.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    x=hnp.arrays(float, st.tuples(st.integers(4, 12), st.integers(1, 5)), elements=finite),
    labels=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=5),
        min_size=2,
        max_size=3,
        unique_by=lambda text: text.strip(),
    ),
    header=st.booleans(),
)
def test_csv_round_trip(tmp_path: Path, x: np.ndarray, labels: list[str], header: bool) -> None:
    missing = {"", "na", "n/a", "nan", "null", "none", "?"}
    assume(not any(label.strip().lower() in missing for label in labels))
    assume(any(not is_number(label) for label in labels))  # else they are sorted as numbers
    assume(all(np.ptp(x / 2, axis=0) > 0))
    assume(len(x) >= 2 * len(labels))
    y = [labels[row % len(labels)] for row in range(len(x))]
    path = tmp_path / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow([*(f"feature {i}" for i in range(x.shape[1])), "label"])
        writer.writerows(
            [*map(repr, map(float, row)), label] for row, label in zip(x, y, strict=True)
        )

    data = read_data_file(path)

    assert np.array_equal(data.x, x)
    assert [data.class_names[index] for index in data.y] == [label.strip() for label in y]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- NPZ ---------------------------------------------------------------------------------------

X = np.array([[1, 2], [3, 4], [5, 6], [7, 9]])


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})  # pyright: ignore[reportArgumentType]
    return path


@pytest.mark.parametrize(("x_name", "y_name"), [("X", "y"), ("x", "Y"), ("data", "target")])
@pytest.mark.parametrize(
    ("labels", "class_names"),
    [
        ([10, 9, 10, 9], ("9", "10")),
        ([[1.0], [0.0], [1.0], [0.0]], ("0", "1")),
        ([True, False, True, False], ("0", "1")),
        (["b", "a", "b", "a"], ("a", "b")),
    ],
)
def test_npz(
    tmp_path: Path, x_name: str, y_name: str, labels: list, class_names: tuple[str, ...]
) -> None:
    data = read_data_file(save(tmp_path, **{x_name: X, y_name: labels}))

    assert np.array_equal(data.x, X)
    assert data.y.tolist() == [1, 0, 1, 0]
    assert data.class_names == class_names


def test_npz_label_array_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, X=X, y=[0, 1, 0, 1], speaker=["d", "c", "c", "d"])

    assert read_data_file(path, "speaker").class_names == ("c", "d")


@pytest.mark.parametrize(
    ("arrays", "target", "message"),
    [
        ({"X": X}, None, r"needs arrays named X and y: it has X"),
        ({}, None, r"needs arrays named X and y: it has nothing"),
        ({"X": X, "x": X, "y": [0, 1, 0, 1]}, None, r"several arrays for X: X, x"),
        ({"X": X, "y": [0, 1, 0, 1]}, "z", r"has no array 'z': it has X, y"),
        ({"X": X, "y": [0, 1, 0, 1]}, 1, r"the target is the name of the label array"),
        ({"X": X.ravel(), "y": range(8)}, None, r"2 dimensions .* not shape \(8,\)"),
        ({"X": X[None], "y": [0]}, None, r"not shape \(1, 4, 2\)"),
        ({"X": X, "y": [0, 1, 0]}, None, r"X has 4 samples but y has shape \(3,\)"),
        ({"X": X * 1j, "y": [0, 1, 0, 1]}, None, r"X holds complex128, not real numbers"),
        ({"X": X.astype(str), "y": [0, 1, 0, 1]}, None, r"X holds <U\d+, not real"),
        ({"X": np.where(X == 6, np.nan, X), "y": [0, 1, 0, 1]}, None, r"X\[2, 1\] is nan"),
        ({"X": np.where(X == 6, -np.inf, X), "y": [0, 1, 0, 1]}, None, r"X\[2, 1\] is -inf"),
        ({"X": X, "y": [0, np.nan, 0, 1]}, None, r"y\[1\]: the label is missing"),
        ({"X": X, "y": [0, 0.5, 0, 1]}, None, r"y\[1\]: the label 0.5 is no class"),
        ({"X": X, "y": np.array([0, 1, 0, 1]) * 1j}, None, r"y holds complex128; labels must be"),
        ({"X": X, "y": np.array(["a", 1, "a", 1], object)}, None, r"y holds pickled Python"),
        ({"X": X.astype(object), "y": [0, 1, 0, 1]}, None, r"X holds pickled Python"),
        ({"X": X[:, :0], "y": [0, 1, 0, 1]}, None, r"has no features"),
        ({"X": X[:0], "y": []}, None, r"has no samples"),
        ({"X": X, "y": [1, 1, 1, 1]}, None, r"only one class, 1"),
        ({"X": X * [1, 0], "y": [0, 1, 0, 1]}, None, r"constant.*remove: feature 1$"),
    ],
)
def test_unusable_npz(tmp_path: Path, arrays: dict, target: str | None, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        read_data_file(save(tmp_path, **arrays), target)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 nonsense", b"plain text", b"\x80\x04K\x01."])
def test_no_npz_at_all(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TaskError, match=r"data\.npz is not an \.npz file, or it is damaged"):
        read_data_file(write(tmp_path, content, "data.npz"))


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, X=np.random.default_rng(1).random((50, 20)), y=np.arange(50) % 2)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:300] + b"\xff" * 40 + whole[340:]):
        with pytest.raises(TaskError, match=r"is not an \.npz file, or it is damaged"):
            read_data_file(write(tmp_path, damaged, "data.npz"))


def test_single_array_with_the_wrong_ending(tmp_path: Path) -> None:
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(TaskError, match=re.escape("single array, not an .npz archive")):
        read_data_file(tmp_path / "data.npz")
