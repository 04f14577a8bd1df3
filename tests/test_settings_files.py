"""Files of settings that people write: whatever stands in one, exit status 2, one line, the file and the place."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from cli import cli
from data.yaml_text import LARGEST, decode_text, parse_yaml

BROKEN: dict[str, bytes] = {
    "a list": b"- a\n- b\n",
    "a word": b"hello",
    "not YAML": b"a: [",
    "latin-1": "stores: {train: \xe4}".encode("latin-1"),
    "half UTF-16": b"\xff\xfea\x00\x00\xd8",
    "a zero byte": b"data: a\0b",
    "an escaped zero byte": b'kind: "a\\0b"\n',
    "deep nesting": b"[" * 5000,
    "deep but closed": b"a: " + b"[" * 200 + b"]" * 200,
    "itself": b"a: &a\n  b: *a\n",
    "itself in a list": b"a: &a [*a]\n",
    "aliases of aliases": b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b", ".join([b"*%c" % c] * 10)) for c in range(97, 106)),
    "a key twice": b"steps: 3\nsteps: 4\n",
    "a key twice below": b"stores:\n  train: a\n  train: b\n",
    "a list as key": b"? [a]\n: b\n",
    "a date that is none": b"a: 2020-13-45\n",
    "thousands of digits": b"steps: " + b"9" * 5000,
    "a tag": b"a: !!python/object/apply:os.system ['true']\n",
    "another document": b"a: b\n---\nc: d\n",
}
READERS = {
    "pdsl.yaml": ["status"],
    "run.yaml": ["train", "--config", "run.yaml", "--store", "s.zarr", "--out", "new"],
    "base.yaml": ["train", "--config", "top.yaml", "--store", "s.zarr", "--out", "new"],
    "run/config.yaml": ["train", "--out", "run", "--resume"],
    "cluster.yaml": ["precompute", "--stage", "proposals", "--cluster", "cluster.yaml"],
    "options.yaml": ["status", "--store", "s3://bucket/x.zarr"],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDSL_STORAGE_OPTIONS", str(tmp_path / reader) if reader == "options.yaml" else "")
    Path("run").mkdir()
    Path("top.yaml").write_text("base: base.yaml")
    Path("images").mkdir()
    Image.new("RGB", (8, 8)).save("images/one.png")
    Path("labels.csv").write_text("image,split,labels\none.png,train,cat\n")
    Path(reader).write_bytes(BROKEN[case])
    arguments = [*READERS[reader]]
    if reader == "cluster.yaml":
        arguments += ["--data", "folder:.", "--split", "train", "--store", "s.zarr"]
    done = CliRunner().invoke(cli, arguments)
    said = done.stderr
    assert done.exit_code == 2 and said.startswith("error: "), (done.exit_code, said)
    assert Path(reader).name in said and len(said.splitlines()) == 1


def test_what_editors_put_before_the_text_is_read() -> None:
    text = "a: \xe4"
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode("utf-16")):
        assert parse_yaml(decode_text(data)) == {"a": "\xe4"}


def test_good_yaml_stays_good() -> None:
    """Anchors, merged keys, flow and block: as PyYAML itself reads them."""
    text = "base: &b {lr: 0.1, steps: 3}\nother:\n  <<: *b\n  steps: 4\nlist: [*b, *b]\nempty:\nwords: a b\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    for path in (Path(__file__).parents[1] / "configs").rglob("*.yaml"):
        assert parse_yaml(path.read_text()) == yaml.safe_load(path.read_text())
    assert parse_yaml("") is None
    assert len(parse_yaml(json.dumps(list(range(LARGEST - 1))))) == LARGEST - 1
    with pytest.raises(ValueError, match=f"line 1: more than {LARGEST} values"):
        parse_yaml(json.dumps(list(range(LARGEST))))
