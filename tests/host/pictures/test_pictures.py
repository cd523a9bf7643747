"""Pictures: what is drawn is what was given; how good it looks is for people to judge."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from madem.data import braille
from madem.errors import MademError
from madem.pictures.arrays import weights_picture
from madem.pictures.classes import confusion_picture
from madem.pictures.learning import learning_curve
from madem.pictures.style import DIVERGING, save_picture
from madem.pictures.words import braille_picture

PNG = b"\x89PNG\r\n\x1a\n"


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def dots_drawn(figure: Figure, kind: str) -> int:
    """Circles in the collections of one kind of dot, the legend's not counted."""
    return sum(
        len(collection.get_paths())
        for collection in figure.axes[0].collections
        if collection.get_label() == kind
    )


def test_braille_picture_draws_every_dot_as_what_it_is() -> None:
    words = ["turing", "knuth"]
    truth = np.array([braille.encode(word) for word in words])
    random = np.random.default_rng(3)
    shown = truth ^ (random.random(truth.shape) < 0.3)
    recalled = truth.copy()
    recalled[1, [0, 50]] ^= 1  # k loses dot 1; a dot appears in a blank cell

    figure = braille_picture(words, shown, recalled, title="A title")

    drawn = np.array([shown, recalled, truth])
    clean = np.broadcast_to(truth, drawn.shape)
    assert dots_drawn(figure, "raised") == np.sum((drawn == 1) & (clean == 1))
    assert dots_drawn(figure, "flat") == np.sum((drawn == 0) & (clean == 0))
    assert dots_drawn(figure, "raised by mistake") == np.sum((drawn == 1) & (clean == 0))
    assert dots_drawn(figure, "missing") == np.sum((drawn == 0) & (clean == 1))
    found = texts(figure)
    for expected in ("A title", *words, "✓ exact", "✗ 2 dots wrong", "1 of 2 words exact"):
        assert expected in found


@pytest.mark.parametrize(("samples", "columns"), [(1, 1), (2, 2), (3, 3), (9, 3), (10, 3)])
def test_braille_picture_is_as_large_as_its_samples_need(samples: int, columns: int) -> None:
    dots = np.tile(braille.encode("a"), (samples, 1))

    def size(n: int) -> tuple[float, float]:
        width, height = braille_picture(["a"] * n, dots[:n], dots[:n]).get_size_inches()
        return float(width), float(height)

    assert size(samples)[0] == pytest.approx(size(1)[0] * columns, rel=0.1)
    if samples >= 3:
        assert size(samples)[0] == size(min(samples, 3))[0]
        rows = -(-samples // 3)
        assert (size(samples)[1] > size(3)[1]) == (rows > 1)


def test_learning_curve_shows_passes_and_recall() -> None:
    baselines = {"ml_bound": {"0.10": 1.0, "0.20": 0.9}, "mine": {"0.10": 0.2, "0.20": 0.1}}

    figure = learning_curve(
        [0.3, 0.2, 0.1],
        [None, 0.25, None],
        recall={"0.10": 0.8, "0.20": 0.7},
        baselines=baselines,
        samples=90,
        device_label="twin",
    )

    left, right = figure.axes
    curves = {line.get_label(): line.get_xydata() for line in left.get_lines()}
    assert np.array_equal(curves["training samples"], [[1, 0.3], [2, 0.2], [3, 0.1]])
    assert np.array_equal(curves["test samples"], [[2, 0.25]])
    curves = {line.get_label(): line.get_xydata() for line in right.get_lines()}
    assert np.array_equal(curves["twin"], [[0.1, 0.8], [0.2, 0.7]])
    assert np.array_equal(curves["nearest word (bound)"], [[0.1, 1.0], [0.2, 0.9]])
    assert np.array_equal(curves["mine"], [[0.1, 0.2], [0.2, 0.1]])
    legend = right.get_legend()
    assert legend is not None
    assert next(iter(legend.get_texts())).get_text() == "twin"


@pytest.mark.parametrize("test", [None, [None, None]])
def test_learning_curve_without_test_or_recall(test: list[None] | None) -> None:
    figure = learning_curve([0.9, 0.95], test, measure="samples right")

    (axes,) = figure.axes
    assert len(axes.get_lines()) == 1
    assert axes.get_ylim() == (0, 1.02)
    assert "Samples right while learning" in texts(figure)


def test_confusion_picture_has_counts_and_shares() -> None:
    counts = np.array([[2, 1, 0], [0, 2, 0], [1, 0, 0]])
    figure = confusion_picture(counts, ["a", "b", "c"], title="some")

    (image,) = [each for each in figure.findobj(AxesImage) if isinstance(each, AxesImage)]
    matrix = image.get_array()
    assert matrix is not None
    assert np.allclose(matrix, [[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]])
    found = texts(figure)
    assert {"some", "66.7 % of 6 test samples right"} <= set(found)
    cells = sorted(text for text in found if text.isdecimal())
    assert cells == ["1", "1", "2", "2"]


def test_weights_are_drawn_on_scales_that_are_symmetrical_about_zero() -> None:
    layers = [np.array([[-3, 1], [0, 2], [1, 1]]), np.array([[0.5, 0.1]]), np.zeros((2, 2))]

    figure = weights_picture(layers, ["in", "middle", "out"], unit="µS")

    images = [axes.images[0] for axes in figure.axes if axes.images]
    for image, layer, limit in zip(images, layers, (3, 0.5, 1), strict=True):
        assert np.array_equal(np.asarray(image.get_array()), layer)
        assert image.get_clim() == (-limit, limit)
    assert {"in", "middle", "out", "3 word lines", "1 word lines", "µS"} <= set(texts(figure))
    red, green, blue, _ = DIVERGING(0.5)
    assert min(red, green, blue) > 0.99


def test_pictures_are_saved_and_repeat_byte_by_byte(tmp_path: Path) -> None:
    def draw() -> Figure:
        return weights_picture([np.eye(3)], title="Repeat")

    first = save_picture(draw(), tmp_path / "new" / "folder" / "a.png").read_bytes()
    second = save_picture(draw(), tmp_path / "b.png").read_bytes()

    assert first.startswith(PNG)
    assert first == second


def test_unwritable_picture_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(MademError, match=r"can't write .*a\.png"):
        save_picture(Figure(), tmp_path / "file" / "a.png")


def test_our_style_neither_leaks_nor_depends_on_the_users(tmp_path: Path) -> None:
    def rendered() -> bytes:
        return save_picture(learning_curve([0.3, 0.2]), tmp_path / "a.png").read_bytes()

    with mpl.rc_context():
        plain = rendered()
        mpl.rcParams["font.size"] = 33
        mpl.rcParams["axes.facecolor"] = "red"
        assert rendered() == plain
        assert mpl.rcParams["font.size"] == 33
