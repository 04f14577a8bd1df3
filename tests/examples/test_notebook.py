"""examples/notebook: its cells, run in order in a workspace; what is committed has no outputs."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from tests.examples.makers import EXAMPLES, write_workspace

NOTEBOOK = json.loads((EXAMPLES / "notebook" / "explore.ipynb").read_text())


def test_it_is_a_notebook_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    images = write_workspace(train=3, side=64)
    entries = [{"step": step, "loss": 2.0 / step, "terms": {"mil": 1.0 / step, "mask": 1.0 / step}} for step in (1, 2)]
    Path("runs/default/log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    known: dict[str, Any] = {}
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), known)
    assert known["pixels"].shape[:2] == images.records[0].size and len(known["box"]) <= 30
    assert [p.image_id for p in known["shown"]] == [images.records[0].id] * 3
    told = capsys.readouterr().out
    assert "3 images of voc:data train" in told and "proposals: 3 done, by " in told and "proposal 0: IoU 1.00" in told
    figures = [known["plt"].figure(number) for number in known["plt"].get_fignums()]
    drawn = [ax.lines or ax.patches for figure in figures for ax in figure.axes]
    assert len(figures) == 3 and all(drawn)
    known["plt"].close("all")
