"""What is drawn where."""

import numpy as np
import pytest

from data import rle
from pdsl.report.overlay import Shape, draw, picture_scale, text_colour
from pdsl.report.palette import CLASS_COLOURS, class_colour, class_colours
from pdsl.report.panels import side_by_side

IMAGE = np.full((400, 640, 3), 128, np.uint8)
RED = (255, 0, 0)


def _square() -> np.ndarray:
    mask = np.zeros((400, 640), bool)
    mask[100:200, 100:200] = True
    return mask


def test_a_mask_has_a_solid_contour_and_a_translucent_inside() -> None:
    pixels = np.asarray(draw(IMAGE, [Shape(RED, mask=rle.encode(_square()))]))
    assert pixels[101, 150].tolist() == [255, 0, 0]
    assert 128 < pixels[150, 150, 0] < 255 and 0 < pixels[150, 150, 1] < 128
    assert (pixels[~_square()] == 128).all()


def test_a_box_is_an_outline() -> None:
    pixels = np.asarray(draw(IMAGE, [Shape(RED, box=np.array([100, 100, 200, 200]))]))
    assert pixels[100, 150].tolist() == pixels[199, 150].tolist() == [255, 0, 0]
    assert (pixels[150, 150] == 128).all() and (pixels[200, 150] == 128).all()


def test_the_first_shape_lies_on_top() -> None:
    blue = Shape((0, 0, 255), mask=rle.encode(np.ones((400, 640), bool)))
    pixels = np.asarray(draw(IMAGE, [Shape(RED, mask=rle.encode(_square())), blue]))
    assert pixels[101, 150].tolist() == [255, 0, 0]


def test_labels_do_not_cover_each_other() -> None:
    """Two labels at the same corner: both plates are to be seen."""
    box = np.array([300, 200, 400, 300])
    shapes = [Shape(RED, box, text="cat 0.90"), Shape((0, 0, 255), box, text="dog 0.80")]
    pixels = np.asarray(draw(IMAGE, shapes)).astype(int)
    plates = [((pixels == colour).all(-1)).sum() for colour in (RED, (0, 0, 255))]
    assert min(plates) > 500


@pytest.mark.parametrize("box", [(300, 200, 306, 206), (0, 0, 8, 8), (636, 396, 640, 400), (0, 0, 640, 12)])
def test_every_box_is_named_however_small(box: tuple[int, ...]) -> None:
    pixels = np.asarray(draw(IMAGE, [Shape(RED, np.array(box), text="cat 0.90")])).astype(int)
    assert ((pixels == RED).all(-1)).sum() > 500


def test_many_small_boxes_at_one_place_all_keep_their_names() -> None:
    colours = [(0, 0, 40 + 10 * k) for k in range(12)]
    box = np.array([630, 390, 640, 400])
    pixels = np.asarray(draw(IMAGE, [Shape(colour, box, text="potted plant 0.42") for colour in colours])).astype(int)
    assert min(((pixels == colour).all(-1)).sum() for colour in colours) > 500


@pytest.mark.parametrize("box", [(-50, -50, 20, 20), (630, 390, 700, 500), (10, 10, 10, 10), (30, 30, 20, 20)])
def test_boxes_at_and_beyond_the_border(box: tuple[int, ...]) -> None:
    assert draw(IMAGE, [Shape(RED, np.array(box), text="a very long label indeed")]).size == (640, 400)


def test_small_images_are_enlarged() -> None:
    assert picture_scale((160, 120)) == 4 and picture_scale((2000, 3000)) == 1
    assert draw(np.zeros((40, 80, 3), np.uint8), [Shape(RED, mask=rle.encode(np.ones((40, 80), bool)))]).size == (
        640,
        320,
    )


def test_text_reads_on_every_class_colour() -> None:
    """Contrast of at least 4.5 : 1 (WCAG AA)."""

    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in CLASS_COLOURS:
        bright, dark = sorted((luminance(colour), luminance(text_colour(colour))), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_panels() -> None:
    sheet = side_by_side([("one", draw(IMAGE, [])), ("two", draw(IMAGE, [])), ("three", draw(IMAGE, []))], 2)
    assert sheet.width > 2 * 640 and sheet.height > 2 * 400


def test_classes_of_a_picture_have_colours_of_their_own() -> None:
    assert class_colours([3, 3, 5]) == {3: class_colour(3), 5: class_colour(5)}
    assert len(set(class_colours([0, 10, 20, 30]).values())) == 4
    assert len(class_colours(range(30))) == 30
