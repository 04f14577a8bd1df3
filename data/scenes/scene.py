"""Synthetic scenes in the VOC layout, for the demo and the tests: a few objects on a cluttered ground.

The classes differ in colour distribution and texture (and in their family of shapes). Objects overlap, vary in size and
fill less than half of their box; none is so large that the whole image overlaps it by half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.errors import InputError, nearest
from data.masks import tight_box
from data.scenes import shapes, textures

OVERSAMPLING = 3
LEAST_VISIBLE = 0.5
"""An object that others would hide more than this is not placed."""
EXTENT = (0.22, 0.6)
"""Longer side of an object's box as a share of the image's shorter side."""
ATTEMPTS = 12
JPEG_QUALITY = 92


RED, YELLOW, TEAL, VIOLET = 0.99, 0.14, 0.47, 0.75


@dataclass(frozen=True)
class SceneClass:
    """Look of a class: random outline, pattern on the surface, and the hues (0..1) of its two halves.

    Every hue belongs to three classes, every pair of hues to one: half an object does not tell its class, the whole
    does. (Of objects of one colour, learning from image-level labels finds parts only.)
    """

    outline: Callable[[np.random.Generator], shapes.Outline]
    pattern: textures.Pattern
    hues: tuple[float, float]


CLASSES = {
    "starfish": SceneClass(shapes.star, textures.dots, (RED, YELLOW)),
    "moon": SceneClass(shapes.crescent, textures.speckle, (YELLOW, VIOLET)),
    "vine": SceneClass(shapes.vine, textures.stripes, (YELLOW, TEAL)),
    "boomerang": SceneClass(shapes.boomerang, textures.zigzag, (TEAL, VIOLET)),
    "gear": SceneClass(shapes.gear, textures.grid, (RED, TEAL)),
    "cross": SceneClass(shapes.cross, textures.checks, (RED, VIOLET)),
}
ALL_CLASSES = tuple(CLASSES)


@dataclass(frozen=True)
class Scene:
    """image: (H, W, 3) uint8 RGB. instance: (H, W) uint8, 0 ground, k + 1 where object k is visible. names: class of
    each object, from back to front."""

    image: np.ndarray
    instance: np.ndarray
    names: tuple[str, ...]


def write_scenes(
    out_dir: str | Path,
    *,
    train: int,
    val: int,
    side: int = 160,
    classes: Sequence[str] = ALL_CLASSES,
    seed: int = 0,
) -> None:
    """Writes `train` + `val` scenes of at most `side` pixels a side, readable as `voc:out_dir`.

    An image depends on (seed, its split, its number, side, classes) only: more images do not change the first ones.
    Lists: Main and Segmentation train, val, trainval. Raises InputError for unknown classes and impossible sizes.
    """
    for name in classes:
        if name not in CLASSES:
            raise InputError(f"classes: '{name}' is not a class of the scenes{nearest(name, CLASSES)}")
    if side < 32 or train < 0 or val < 0 or not classes:
        raise InputError(
            f"scenes: side {side}, {train} + {val} images, {len(classes)} classes; side must be at least 32"
        )
    out = Path(out_dir)
    for name in ("JPEGImages", "Annotations", "SegmentationObject", "SegmentationClass"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    lists: dict[str, list[str]] = {}
    for stream, (split, count) in enumerate((("train", train), ("val", val))):
        lists[split] = [f"{split}_{index:06d}" for index in range(count)]
        for index, image_id in enumerate(lists[split]):
            scene = draw_scene(np.random.default_rng([seed, stream, index]), side, classes)
            _write_scene(out, image_id, scene, classes)
    lists["trainval"] = lists["train"] + lists["val"]
    for kind in ("Main", "Segmentation"):
        folder = out / "ImageSets" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for split, ids in lists.items():
            (folder / f"{split}.txt").write_text("".join(f"{image_id}\n" for image_id in ids))


def draw_scene(rng: np.random.Generator, side: int = 160, classes: Sequence[str] = ALL_CLASSES) -> Scene:
    """One random scene of one to four objects; its longer side is `side` pixels."""
    size = (side, round(side * rng.uniform(0.75, 1)))
    height, width = size if rng.random() < 0.5 else size[::-1]
    canvas = textures.background((height, width), rng)
    instance = np.zeros((height, width), np.uint8)
    names: list[str] = []
    areas: list[int] = []
    wanted = int(rng.integers(1, 5))
    for _ in range(ATTEMPTS):
        if len(names) == wanted:
            break
        name = str(rng.choice(list(classes)))
        cover, corner = _object_cover(CLASSES[name], (height, width), rng)
        window = tuple(slice(c, c + n) for c, n in zip(corner, cover.shape, strict=True))
        trial = instance.copy()
        trial[window][cover > 0.5] = len(names) + 1
        new_areas = [*areas, int((cover > 0.5).sum())]
        if any((trial == k + 1).sum() < LEAST_VISIBLE * area for k, area in enumerate(new_areas)):
            continue
        _paint(canvas[window], cover, CLASSES[name], rng)
        instance, areas = trial, new_areas
        names.append(name)
    noisy = canvas + rng.normal(0, 0.012, canvas.shape)
    return Scene((noisy.clip(0, 1) * 255).round().astype(np.uint8), instance, tuple(names))


def _object_cover(
    look: SceneClass, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Share of each pixel that a new object covers, (h, w) float in 0..1, and where its top left pixel goes (y, x)."""
    extent = min(size) * float(np.exp(rng.uniform(*np.log(EXTENT))))
    outline = shapes.place(look.outline(rng), rng, extent * OVERSAMPLING)
    width, height = (int(np.ceil(v / OVERSAMPLING)) for v in outline[0].max(0))
    drawing = Image.new("L", (width * OVERSAMPLING, height * OVERSAMPLING))
    for polygon, fill in zip(outline, (255, 0), strict=False):
        ImageDraw.Draw(drawing).polygon([(float(x), float(y)) for x, y in polygon], fill=fill)
    cover = np.asarray(drawing.reduce(OVERSAMPLING), np.float64) / 255
    y, x = (int(rng.integers(0, max(1, limit - n + 1))) for limit, n in zip(size, (height, width), strict=True))
    return cover, (y, x)


def _paint(canvas: np.ndarray, cover: np.ndarray, look: SceneClass, rng: np.random.Generator) -> None:
    """Puts an object with a soft dark rim onto `canvas` (h, w, 3), in place."""
    pitch = max(4.0, max(cover.shape) * rng.uniform(0.1, 0.16))
    colour = textures.surface(look.pattern, look.hues, (cover.shape[0], cover.shape[1]), pitch, rng)
    blurred = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(max(cover.shape) / 60))
    rim = (2 * np.asarray(blurred, np.float64) / 255 - 1).clip(0, 1)
    canvas += cover[..., None] * (colour * (0.45 + 0.55 * rim[..., None]) - canvas)


def _write_scene(out: Path, image_id: str, scene: Scene, classes: Sequence[str]) -> None:
    Image.fromarray(scene.image).save(out / "JPEGImages" / f"{image_id}.jpg", quality=JPEG_QUALITY)
    lookup = np.array([0, *(list(classes).index(name) + 1 for name in scene.names)], np.uint8)
    for kind, indices in (("SegmentationObject", scene.instance), ("SegmentationClass", lookup[scene.instance])):
        drawing = Image.fromarray(indices)
        drawing.putpalette(_voc_palette())
        drawing.save(out / kind / f"{image_id}.png")
    (out / "Annotations" / f"{image_id}.xml").write_text(_xml(image_id, scene))


def _xml(image_id: str, scene: Scene) -> str:
    """The VOC annotation: boxes of what is visible, 1-based and inclusive."""
    height, width = scene.instance.shape
    lines = ["<annotation>", f"  <filename>{image_id}.jpg</filename>"]
    lines.append(f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>")
    lines.append("  <segmented>1</segmented>")
    for k, name in enumerate(scene.names):
        x0, y0, x1, y1 = tight_box(scene.instance == k + 1).astype(int)
        box = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        lines.append(f"  <object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>", ""])


def _voc_palette() -> list[int]:
    """VOC's colour map: the bits of an index spread over the high bits of R, G, B."""
    index = np.arange(256)
    bits = [sum(((index >> (3 * k + channel)) & 1) << (7 - k) for k in range(3)) for channel in range(3)]
    palette: list[int] = np.stack(bits, 1).ravel().tolist()
    return palette
