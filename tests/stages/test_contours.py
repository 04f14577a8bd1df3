"""Contour detectors, the packaged weights and the boundary scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.errors import InputError
from stages.contours import detector_by_name
from stages.contours.bsds import evaluation_paths, training_paths
from stages.contours.evaluate import f_measure, match, scores, thin

PACKAGE = Path(__file__).resolve().parents[2] / "stages" / "contours"


def step_image(height: int = 40, width: int = 60) -> np.ndarray:
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, width // 2 :] = (200, 120, 90)
    return image


@pytest.mark.parametrize("name", ["net", "gradient"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (50, 3), (41, 58)])
def test_detectors_return_a_probability_of_every_pixel(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = detector_by_name(name)(image)
    assert found.shape == shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("name", ["net", "gradient"])
def test_a_step_is_stronger_than_flat_ground(name: str) -> None:
    found = detector_by_name(name)(step_image())
    assert found[10:30, 28:32].max(1).min() > 5 * found[10:30, 10:20].max()


def test_gradient_of_a_constant_image_is_zero() -> None:
    assert detector_by_name("gradient")(np.full((9, 9, 3), 77, np.uint8)).max() < 1e-6


def test_unknown_detector_is_named() -> None:
    with pytest.raises(InputError, match=r"contours: 'nett'"):
        detector_by_name("nett")


def test_packaged_weights_are_small() -> None:
    assert (PACKAGE / "contour_net.npz").stat().st_size <= 1_000_000


def test_opencv_computes_what_the_trained_network_does(tmp_path: Path) -> None:
    import torch

    from stages.contours.detector import lab_planes, net_contours
    from stages.contours.net import ContourNet
    from stages.contours.weights import save_weights

    torch.manual_seed(0)
    net = ContourNet().eval()
    for name, value in net.state_dict().items():
        if value.ndim:
            spread = torch.rand_like(value) if name.endswith(("running_var", "1.weight")) else torch.randn_like(value)
            value.copy_((0.5 + spread if "running_var" in name else 0.3 * spread).half().float())
    save_weights(net, tmp_path / "w.npz")
    image = np.random.default_rng(0).integers(0, 256, (45, 70, 3)).astype(np.uint8)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(lab_planes(image)).permute(2, 0, 1)[None]).sigmoid()[0, 0].numpy()
    assert wanted.std() > 0.05
    np.testing.assert_allclose(net_contours(image, tmp_path / "w.npz"), wanted, atol=1e-4)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from stages.contours.detector import net_contours

    np.savez(tmp_path / "w.npz", nonsense=np.zeros(3))
    with pytest.raises(InputError, match=r"w\.npz: not weights of this network"):
        net_contours(step_image(), tmp_path / "w.npz")


def test_network_gives_the_same_bytes_for_any_number_of_threads() -> None:
    import cv2

    image = np.random.default_rng(1).integers(0, 256, (120, 90, 3)).astype(np.uint8)
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append(detector_by_name("net")(image).tobytes())
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert len(set(found)) == 1


def test_a_worker_needs_no_torch() -> None:
    code = """
import sys, numpy as np
from stages.contours import detector_by_name
detector_by_name("net")(np.zeros((20, 20, 3), np.uint8))
print({"torch", "numba"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_importing_the_stage_loads_neither_torch_nor_numba() -> None:
    code = "import sys, stages.proposals.stage, stages.contours; print({'torch', 'numba', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_thinning_keeps_the_crest_of_a_wide_ridge() -> None:
    columns = np.arange(31)
    ridge = np.tile(np.exp(-((columns - 15) ** 2) / 8.0), (21, 1)).astype(np.float32)
    kept = thin(ridge)[5:16, 8:23] > 0.1
    assert kept[:, 7].all()
    assert kept.sum() == 11


def test_matching_is_one_to_one_and_within_reach() -> None:
    found, drawn = np.zeros((1, 10), bool), np.zeros((1, 10), bool)
    found[0, [0, 1, 8]] = True
    drawn[0, [0, 5]] = True
    matched, count = match(found, drawn, 3.0)
    assert count == 2
    assert matched[0, 8]
    assert matched[0, [0, 1]].sum() == 1
    assert match(found, np.zeros_like(drawn), 3.0)[1] == 0


def test_scores_of_perfect_and_useless_detectors() -> None:
    perfect = np.tile([10.0, 10, 30, 30], (2, 5, 1))
    assert scores(perfect) == pytest.approx({"ODS": 1, "OIS": 1, "AP": 1})
    useless = np.tile([10.0, 0, 30, 0], (2, 5, 1))
    assert scores(useless)["ODS"] == 0
    precision, recall, f = f_measure(np.array([4.0, 3, 8, 4]))
    assert (precision, recall) == (0.75, 0.5)
    assert f == pytest.approx(0.6)


def test_training_and_evaluation_images_are_apart(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 6)):
        folder = tmp_path / "images" / split
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i}.jpg").touch()
    trained, measured = training_paths(tmp_path, 2), evaluation_paths(tmp_path, 2)
    assert (len(trained), len(measured)) == (8, 2)
    assert not set(trained) & set(measured)
    with pytest.raises(InputError, match=r"no \.jpg files"):
        training_paths(tmp_path / "nothing", 2)


@pytest.mark.slow
@pytest.mark.real
def test_network_beats_the_gradient_on_images_kept_out(shared: Path) -> None:
    from stages.contours.evaluate import evaluate

    paths = evaluation_paths(shared / "data" / "bsds500", 50)[::10]
    net, gradient = (evaluate(detector_by_name(name), paths) for name in ("net", "gradient"))
    assert net["ODS"] > gradient["ODS"] + 0.05
    assert net["ODS"] > 0.65
