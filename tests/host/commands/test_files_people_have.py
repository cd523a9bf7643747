"""Files of the shapes that users of sensor boards really have, and what becomes of each."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from madem.cli import main

X, Y = (np.asarray(part) for part in load_iris(return_X_y=True))
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def table(x: np.ndarray, y: np.ndarray | None, names: list[str]) -> str:
    lines = [",".join(names)]
    for i, row in enumerate(x):
        lines.append(",".join([*(f"{v:g}" for v in row), *([] if y is None else [str(y[i])])]))
    return "\n".join(lines) + "\n"


def motion(seed: int = 1) -> list[str]:
    """Whole numbers of three channels, 64 samples at rest and 64 shaken in turn."""
    random = np.random.default_rng(seed)
    rows = []
    for k in range(10):
        swing, label = ((40, "still"), (400, "shake"))[k % 2]
        for a, b, c in np.rint(random.normal((0, 0, 1000), swing, (64, 3))).astype(int):
            rows.append(f"{a},{b},{c},{label}")
    return rows


def phone(separator: str, decimal: str, second: str = "X (m/s^2)") -> str:
    """A phone's export: quoted headers with units, times from which the rate follows."""
    random = np.random.default_rng(2)
    lines = [separator.join(f'"{n}"' for n in ("Time (s)", second, "Y (m/s^2)", "Z (m/s^2)"))]
    for i, row in enumerate(random.normal((0, 0, 9.81), 0.3, (600, 3))):
        lines.append(separator.join(f"{v:.9E}".replace(".", decimal) for v in (i * 0.00502, *row)))
    return "\n".join(lines) + "\n"


def forwarded() -> str:
    """A sensor forwarder's: a row in 4 ms."""
    rows = np.random.default_rng(3).normal(0, 1, (600, 3))
    lines = [f"{4 * i},{a:.4f},{b:.4f},{c:.4f}" for i, (a, b, c) in enumerate(rows)]
    return "\n".join(["timestamp,accX,accY,accZ", *lines]) + "\n"


def acquired() -> str:
    """The same as the JSON of an acquisition."""
    values = np.random.default_rng(3).normal(0, 1, (600, 3)).round(4).tolist()
    sensors = [{"name": name, "units": "m/s2"} for name in ("accX", "accY", "accZ")]
    payload = {"device_type": "board", "interval_ms": 4, "sensors": sensors, "values": values}
    head = {"protected": {"ver": "v1", "alg": "none"}, "signature": "0" * 64}
    return json.dumps({**head, "payload": payload})


def gesture(swing: float, turn: float, seed: int) -> str:
    """Fourteen recordings apart by blank lines, g beside deg/s, without a label."""
    random, blocks = np.random.default_rng(seed), []
    for _ in range(14):
        t = np.linspace(0, 1, 119)[:, None]
        bump = np.exp(-(((t - 0.4) / 0.12) ** 2)) * random.uniform(0.7, 1.3)
        g = bump * swing * [[1, 0.4, -0.6]] + random.normal(0, 0.05, (119, 3)) + (0, 0, 1)
        gyro = np.gradient(bump[:, 0])[:, None] * [[900, -400, 600]] * turn
        rows = np.hstack([g, gyro + random.normal(0, 3, (119, 3))])
        blocks.append("\n".join(",".join(f"{v:.3f}" for v in row) for row in rows))
    return "aX,aY,aZ,gX,gY,gZ\n" + "\n\n".join(blocks) + "\n"


def glitched() -> str:
    x = X.copy()
    x[[10, 20, 60, 70, 110, 120, 140, 145], [0, 0, 1, 1, 2, 2, 3, 3]] = 65535
    return table(x, SPECIES, [*COLUMNS, "species"])


def holed() -> str:
    cells = [row.split(",") for row in motion()]
    for row in cells[7::50]:
        row[1] = "nan"
    return "x,y,z,label\n" + "\n".join(",".join(row) for row in cells) + "\n"


NOISE = np.random.default_rng(4).normal(size=(120, 2))
HALVES = np.repeat(["a", "b"], 60)
FLOWERS = {"setosa": 50, "versicolor": 50, "virginica": 50}


@dataclass(frozen=True)
class Case:
    """A file, and how it has to be understood."""

    name: str
    content: str | dict[str, Any]
    rows: int
    features: str
    classes: dict[str, int] = field(default_factory=dict)
    rate_hz: float | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    encoding: str = "utf-8"


CASES = [
    Case("phone.csv", phone(",", "."), 600, "X Y Z", rate_hz=199.2,
         left_out={"Time": "the time, in s"}),
    Case("phone_decimal_comma.csv", phone(";", ","), 600, "X Y Z", rate_hz=199.2,
         left_out={"Time": "the time, in s"}),
    Case("phone_latin1.csv", phone(";", ",", "Feld (µT)"), 600, "Feld Y Z", rate_hz=199.2,
         left_out={"Time": "the time, in s"}, encoding="latin-1"),
    Case("timestamped.csv", forwarded(), 600, "accX accY accZ", rate_hz=250,
         left_out={"timestamp": "the time, in ms"}),
    Case("acquisition.json", acquired(), 600, "accX accY accZ", rate_hz=250),
    Case("integer_label.csv", "ax,ay,az,activity\n" + "\n".join(motion()).replace("still", "0")
         .replace("shake", "1") + "\n", 640, "ax ay az", {"0": 320, "1": 320}),
    Case("id_column.csv", table(np.column_stack([np.arange(120), NOISE]), HALVES,
         ["Id", "u", "v", "label"]), 120, "u v", {"a": 60, "b": 60},
         left_out={"Id": "it counts the rows"}),
    Case("first_column.csv", "\n".join(["kind,u,v", *(f"{k},{a:.3f},{b:.3f}" for k, (a, b) in
         zip(HALVES, NOISE, strict=True))]), 120, "u v", {"a": 60, "b": 60}),
    Case("constant_column.csv", table(np.column_stack([X, np.ones(150)]), SPECIES,
         [*COLUMNS, "one", "species"]), 150, " ".join(COLUMNS), FLOWERS,
         left_out={"one": "it is always 1"}),
    Case("escape.csv", "a\x1b]0;title\x07,b,label\n" + "\n".join(f"{i},{i % 7},{i % 2}" for i in
         range(40)), 40, "b", {"0": 20, "1": 20},
         left_out={"a\\x1b]0;title\\x07": "it counts the rows"}),
    Case("with_comment.csv", "# made by a logger, 100 Hz\n" + table(X, SPECIES, [*COLUMNS,
         "species"]), 150, " ".join(COLUMNS), FLOWERS),
    Case("tabs.tsv", table(X, SPECIES, [*COLUMNS, "species"]).replace(",", "\t"), 150,
         " ".join(COLUMNS), FLOWERS),
    Case("wide.csv", table(np.random.default_rng(5).normal(size=(60, 229)), np.arange(60) % 2,
         [*(f"f{k}" for k in range(229)), "label"]), 60, " ".join(f"f{k}" for k in range(229)),
         {"0": 30, "1": 30}),
    Case("train_and_test.npz", {"x_train": X[::2], "y_train": Y[::2], "x_test": X[1::2],
         "y_test": Y[1::2]}, 150, "column 0 column 1 column 2 column 3",
         {"0": 50, "1": 50, "2": 50}, more={"test": "75 rows, as the file says"}),
    Case("groups.npz", {"X": X, "y": Y, "groups": np.arange(150) // 10}, 150,
         "column 0 column 1 column 2 column 3", {"0": 50, "1": 50, "2": 50}, more={"groups": 15}),
    Case("one_hot.npz", {"X": X, "y": np.eye(3)[Y]}, 150, "column 0 column 1 column 2 column 3",
         {"0": 50, "1": 50, "2": 50}),
    Case("byte_labels.npz", {"X": X, "y": SPECIES.astype("S10")}, 150,
         "column 0 column 1 column 2 column 3", FLOWERS),
    Case("windows.npz", {"X": np.random.default_rng(6).normal(size=(30, 119, 6)), "y": np.arange(30)
         % 2}, 3570, " ".join(f"column {k}" for k in range(6)), {"0": 1785, "1": 1785},
         more={"recordings": 30, "series": True}),
]  # fmt: skip


def put(folder: Path, case: Case) -> Path:
    path = folder / case.name
    if isinstance(case.content, str):
        path.write_bytes(case.content.encode(case.encoding))
    else:
        np.savez(path, **case.content)
    return path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command that must succeed; what it says as JSON."""

    def run(*words: str | Path, code: int = 0) -> Any:
        assert main([*map(str, words), "--json", "-", "--quiet"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_in_a_file(case: Case, told: Callable[..., Any], tmp_path: Path) -> None:
    found = told("data", put(tmp_path, case), code=0 if case.classes else 1)
    assert (found["rows"], " ".join(f["name"] for f in found["features"])) == (
        case.rows,
        case.features,
    )
    assert found["classes"] == case.classes
    assert found["left_out"] == case.left_out
    assert found["rate_hz"] == (case.rate_hz and pytest.approx(case.rate_hz, abs=0.01))
    assert {name: found[name] for name in case.more} == case.more


def test_units_are_read_with_the_names(told: Callable[..., Any], tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "phone_latin1.csv")
    found = told("data", put(tmp_path, case), code=1)
    assert [feature["unit"] for feature in found["features"]] == ["µT", "m/s^2", "m/s^2"]


@pytest.mark.parametrize(
    "name", ["phone.csv", "phone_decimal_comma.csv", "phone_latin1.csv", "timestamped.csv"]
)
def test_an_export_is_recorded_with_its_rate_and_without_its_time(
    name: str, told: Callable[..., Any], tmp_path: Path
) -> None:
    case = next(case for case in CASES if case.name == name)
    out = tmp_path / "out.csv"
    told("stream", "record", put(tmp_path, case), "--out", out)
    found = told("data", out, code=1)
    assert (found["rows"], " ".join(f["name"] for f in found["features"])) == (600, case.features)
    assert found["rate_hz"] == pytest.approx(case.rate_hz, abs=0.01)


@pytest.mark.parametrize(("content", "rows"), [
    ("1,2,nan\n" + "\n".join(row.rsplit(",", 1)[0] for row in motion()) + "\n", 640),
    (holed(), 627),
], ids=["first", "middle"])  # fmt: skip
def test_a_missing_value_is_a_gap(
    content: str, rows: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(content)
    assert main(["stream", "record", str(path), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    gaps = 1 if rows == 640 else 13
    assert f"missing: values in {gaps} row" in said
    assert f"{rows:,} samples of 3 channels" in said
    assert "nan" not in out.read_text()


def test_samples_beyond_16_bits_are_counted_and_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, out = tmp_path / "punch.csv", tmp_path / "out.csv"
    path.write_text(gesture(2.5, 1, 7))
    values = np.array([row.split(",") for row in path.read_text().split("\n")[1:] if row], float)
    clipped = int((np.abs(values / 0.001) >= 32768).any(axis=1).sum())
    assert main(["stream", "record", str(path), "--scale", "0.001", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert clipped > 100
    assert f"clipped: {clipped} of 1,666 samples are beyond 16 bits" in said
    assert "in gX, gY, gZ" in said


def test_a_folder_of_gestures_is_learned_and_used(told: Callable[..., Any], tmp_path: Path) -> None:
    folder, net = tmp_path / "gestures", tmp_path / "net.madem"
    folder.mkdir()
    (folder / "punch.csv").write_text(gesture(2.5, 1, 7))
    (folder / "flex.csv").write_text(gesture(1.0, 2, 8))
    found = told("learn", folder, "--board", "twin", "--epochs", "4", "--no-baselines",
                 "--save", net)  # fmt: skip
    assert found["data"]["file"]["classes"] == {"flex": 1666, "punch": 1666}
    assert found["data"]["file"]["test"] == "6 whole recordings, drawn"
    assert found["metrics"]["accuracy"] >= 0.9
    (tmp_path / "new.csv").write_text(gesture(2.5, 1, 9))
    used = told("predict", tmp_path / "new.csv", "--load", net, "--out", tmp_path / "a.csv")
    answers = [row.split(",")[1] for row in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    assert used["answers"] == len(answers) == 14 * 4
    assert answers.count("punch") >= 0.9 * len(answers)


def test_an_index_teaches_nothing(told: Callable[..., Any], tmp_path: Path) -> None:
    """Its rows come class after class, so that it would tell them apart."""
    case = next(case for case in CASES if case.name == "id_column.csv")
    found = told("learn", put(tmp_path, case), "--board", "twin", "--epochs", "5",
                 "--no-baselines")  # fmt: skip
    assert found["metrics"]["accuracy"] < 0.75


def test_outliers_do_not_squash_the_others(told: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "outlier.csv"
    path.write_text(glitched())
    found = told("learn", path, "--board", "twin", "--epochs", "20", "--no-baselines")
    assert found["metrics"]["accuracy"] >= 0.9
    assert any("lie outside the range" in line for line in found["warnings"])


def test_columns_beside_those_that_were_taught_are_passed_over(
    told: Callable[..., Any], tmp_path: Path
) -> None:
    """Whatever they hold: words, or values that are missing."""
    path, net = tmp_path / "flowers.csv", tmp_path / "net.madem"
    path.write_text(table(X, SPECIES, [*COLUMNS, "species"]))
    told("learn", path, "--board", "twin", "--epochs", "1", "--no-baselines", "--save", net)
    lines = path.read_text().splitlines()
    more = [f"{row},{k % 5 or ''},by {k % 3}" for k, row in enumerate(lines[1:])]
    wide = tmp_path / "wide.csv"
    wide.write_text("\n".join([f"{lines[0]},day,who", *more]) + "\n")
    one, other = (told("predict", each, "--load", net) for each in (path, wide))
    assert one["metrics"] == other["metrics"]
    assert other["data"]["left_out"] == dict.fromkeys(
        ("day", "who"), "the network was taught without it"
    )
