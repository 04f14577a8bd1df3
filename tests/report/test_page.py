"""The page: one file that stands alone, escapes what it is given and fits a phone."""

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.records import ImageList, ImageRecord
from pdsl.evaluate.evaluation import Evaluation, evaluate_results
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.report.diagnosis import MATRIX_CLASSES, confusions, step_path
from pdsl.report.examples import EXAMPLES
from pdsl.report.provenance import command, duration, facts
from pdsl.report.report import write_report
from tests.evaluate.makers import SIZE, detection, image_truth, truth_object
from tests.needs import BROWSER, browser

NASTY = '<b class="x">&amp;\'</b>{{ 7 * 7 }}'
VOID = frozenset({"meta", "img", "br", "link", "input"})


def evaluation(folder: Path, names: tuple[str, ...], images: int = 3, spec: str = "coco:here") -> Evaluation:
    """Images of two objects, one found and one not, with a false detection each."""
    Image.new("RGB", SIZE[::-1], (90, 120, 90)).save(folder / "photo.png")
    ids = [f"{NASTY if number == 0 else 'photo'}{number}" for number in range(images)]
    records = tuple(ImageRecord(image_id, str(folder / "photo.png"), SIZE, (0,)) for image_id in ids)
    truth, found = [], []
    for number, image_id in enumerate(ids):
        own, other = number % len(names), (number + 1) % len(names)
        truth.append(image_truth(image_id, truth_object(own, (10, 10, 60, 60)), truth_object(other, (70, 60, 100, 99))))
        found += [detection(image_id, own, 0.8, (12, 10, 60, 60)), detection(image_id, other, 0.7, (0, 70, 40, 99))]
        found.append(detection(image_id, other, 0.6, (10, 12, 60, 60)))
    dataset = EvaluationSet(ImageList(spec, f"val{NASTY}", names, tuple(range(len(names))), records), truth)
    return evaluate_results(found, dataset, NASTY)


def page(folder: Path, given: Evaluation, run: Path | None = None) -> str:
    out = folder / "deep" / "report.html"
    write_report(run, out, given)
    return out.read_text()


class Structure(HTMLParser):
    """What a browser would see: elements by name with their attributes and what they stand in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        around = [f"{name}.{' .'.join(str(own.get('class') or '').split())}" for name, own in self.open]
        self.found.append((tag, dict(attrs), around))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with names and files that would like to be HTML."""
    folder = tmp_path_factory.mktemp("full")
    run = folder / "run"
    run.mkdir()
    entry = '{"step": %d, "loss": 1.5, "terms": {"mil": 0.5, "<i>": 0.2}, "images_per_second": 4.0}\n'
    (run / "log.jsonl").write_text("".join(entry % step for step in (10, 20, 30)))
    (run / "config.yaml").write_text(f"# {NASTY}\nmodel: {{backbone: {{name: vgg16, weights: null, freeze: all}}}}\n")
    return page(folder, evaluation(folder, (NASTY, "dog", "cow"), 5, "voc:here"), run)


def test_it_is_one_well_formed_file_without_outside_resources(full: str) -> None:
    seen = Structure(full).found
    for tag, attributes, _ in seen:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value[:60])
    assert "@import" not in full and not re.search(r"url\((?!#)", full)
    assert [tag for tag, _, _ in seen].count("script") == [tag for tag, _, _ in seen].count("dialog") == 1
    ids = [attributes["id"] for tag, attributes, around in seen if "id" in attributes and tag != "clipPath"]
    own = [i for i in ids if i and not re.fullmatch(r"[mp][0-9a-f]{10}", i)]  # matplotlib's markers and clips
    assert len(own) == len(set(own))


def test_everything_given_is_escaped(full: str) -> None:
    assert "<b class" not in full and "<i>" not in full
    assert full.count("&lt;b class=&#34;x&#34;&gt;&amp;amp;&#39;&lt;/b&gt;{{ 7 * 7 }}") > 5
    shown = [a.get("alt") or "" for tag, a, _ in Structure(full).found if tag == "img"]
    assert any(NASTY in text for text in shown)  # read back it is what it was


def test_nothing_can_be_wider_than_a_phone(full: str) -> None:
    """Tables and code stand in boxes that scroll by themselves; pictures and charts take the width there is."""
    for tag, _, around in Structure(full).found:
        if tag == "table":
            assert "div.scroll" in around
    style = full[full.index("<style>") : full.index("</style>")]
    for rule in (".scroll {\n  overflow-x: auto", ".row img { width: 100%", ".chart svg { width: 100%"):
        assert rule in style
    assert "@media print" in style and "prefers-color-scheme: dark" in style and "overflow-wrap: anywhere" in style


def test_without_scripts_all_is_to_be_read(full: str) -> None:
    """What only works with them is hidden until they run; nothing else is."""
    hidden = [(tag, a.get("class")) for tag, a, _ in Structure(full).found if "hidden" in a]
    assert set(hidden) == {("form", "filter"), ("p", "nothing")}


def test_every_row_says_what_classes_it_shows(full: str) -> None:
    rows = [a for tag, a, _ in Structure(full).found if tag == "article"]
    assert rows and all(re.fullmatch(r"\d+( \d+)*", str(a["data-classes"])) for a in rows)
    options = [a["value"] for tag, a, _ in Structure(full).found if tag == "option"]
    assert options == ["", "0", "1", "2"]


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    """No run: neither what it learnt from nor how; an image that is gone is passed over."""
    given = evaluation(tmp_path, ("cat", "dog"))
    shown = page(tmp_path, given)
    assert "Predictions beside ground truth" in shown and "What is taken for what" in shown
    for heading in ("What was learnt", "<h2>Training", "Configuration", "What it learns from", "Command"):
        assert heading not in shown
    (tmp_path / "photo.png").unlink()
    assert "data:image" not in page(tmp_path, given)


def test_the_number_of_pictures_is_bounded(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(40))
    shown = page(tmp_path, evaluation(tmp_path, names, 90))
    assert shown.count("data:image/jpeg") <= 2 * (EXAMPLES + 6)
    assert f"up to {EXAMPLES} in all" in shown


@pytest.mark.parametrize(("learnt_from", "shown"), [(True, True), (False, False), (None, False)])
def test_corloc_is_shown_of_images_that_were_learnt_from(tmp_path: Path, learnt_from: bool | None, shown: bool) -> None:
    given = evaluation(tmp_path, ("cat", "dog"))
    given = Evaluation(given.dataset, given.predictions, {**given.metrics, "learnt_from": learnt_from}, given.measured)
    assert ("CorLoc" in page(tmp_path, given)) == shown


def test_a_table_of_confusions_for_few_classes_a_list_for_many(tmp_path: Path) -> None:
    box, mask = confusions(evaluation(tmp_path, ("cat", "dog", "cow")))
    assert box.columns == ["nothing", "cat", "dog", "cow"] and not box.pairs and "3 images" in box.title
    assert [name for name, _ in box.cells] == ["cat", "dog", "cow", "not found"]
    assert [[n for n, _ in cells] for _, cells in box.cells] == [[1, 1, 0, 1], [1, 1, 1, 0], [1, 0, 1, 1], [0, 1, 1, 1]]
    assert "masks" in mask.title
    names = tuple(f"class {number}" for number in range(MATRIX_CLASSES + 1))
    many, _ = confusions(evaluation(tmp_path, names, MATRIX_CLASSES + 1))
    assert not many.cells and many.pairs[1].name == "class 1" and many.pairs[1].cells == ["class 0", ("1", 100.0)]
    assert "25 detections on objects of their class, 25 on objects of another one, 25 on nothing; 25" in many.text


def test_a_curve_is_drawn_in_steps() -> None:
    assert step_path(np.array([1.0, 1.0, 0.5, 0.5, 0.0])) == "M0,0H25V50H75V100H100"
    assert step_path(np.zeros(3)) == "M0,100H100"


def test_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/pdsl", "eval", "--store", "s3://me:secret@host/a b?token=secret"])
    given = evaluation(tmp_path, ("cat", "dog"))
    looked = {**given.metrics, "step": 1200, "tta": True, "failed": {"a": "b"}}
    del looked["results"]
    config = {
        "optimizer": {"images_per_step": 2},
        "model": {"backbone": {"name": "vgg16", "weights": "w.pth", "freeze": 2}},
    }
    log = [{"step": step, "loss": 1.0, "terms": {}, "images_per_second": 4.0} for step in (600, 1200)]
    told = dict(
        facts(Evaluation(given.dataset, given.predictions, looked, given.measured, 487.0), tmp_path, config, log)
    )
    assert told["Command"] == "pdsl eval --store 's3://…@host/a b?…'"
    assert "1,200 updates" in told["Run"] and told["Training"].endswith("some 10 min 0 s at 4 images a second")
    assert told["Took"].startswith("8 min 7 s on ") and "vgg16 with w.pth; frozen: 2" in told["Weights"]
    assert "1 images could not be looked at" in told["Detections"] and "torch 2" in told["Versions"]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d{4} on .", told["Made"])
    for started, said in (
        ("/usr/lib/ipykernel_launcher.py", ""),
        ("/lib/pytest/__main__.py", ""),
        ("/lib/pdsl/__main__.py", "pdsl -f"),
        ("cli.py", "pdsl -f"),
    ):
        assert command([started, "-f"]) == said
    assert duration(0.2) == "0 s"


@pytest.mark.parametrize("width", [420, 1280])
def test_a_browser_finds_nothing_that_sticks_out(full: str, tmp_path: Path, width: int) -> None:
    """The page in a frame of this width, and its scripts without an error."""
    BROWSER.or_skip()
    wrapper = tmp_path / "frame.html"
    watched = "<script>onerror = (text) => parent.document.title = text</script>" + full
    wrapper.write_text(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(watched)}"></iframe><script>'
        "const frame = document.querySelector('iframe'); frame.onload = () => {"
        "const root = frame.contentDocument.documentElement;"
        "document.title ||= `${root.scrollWidth} of ${root.clientWidth}, ${root.className}`; };</script>"
    )
    options = [
        "--headless",
        "--hide-scrollbars",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [str(browser()), *options, "--virtual-time-budget=5000", "--dump-dom", wrapper.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    assert f"<title>{width} of {width}, scripted</title>" in done.stdout, done.stdout[-300:]
