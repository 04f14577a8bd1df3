"""The attacks, by what they aim at: each the command as it is typed, and what was done to its world before."""

from benchmarks.engine.attack_options import FOREVER, LACKS, NUMBERS, SIGNALS, SPLIT, TRAIN
from benchmarks.engine.attacks import EITHER, REFUSED, SURVIVED, Attack
from benchmarks.engine.tampering import BOMB, CODE, DEEP, foldered, gone, linked, piped, png, results, swapped, wrote

FILES = (
    Attack(1, f"precompute --stage proposals {SPLIT} --store data --workers 0"),
    Attack(1, f"precompute --stage proposals {SPLIT} --store data/JPEGImages --workers 0 --overwrite"),
    Attack(1, f"precompute --stage proposals {SPLIT} --store run --workers 0 --overwrite"),
    Attack(1, f"precompute --stage proposals {SPLIT} --store photo.jpg --workers 0"),
    Attack(1, f"export --run run {SPLIT} --store train.zarr --out data/ImageSets/Main/train.txt"),
    Attack(1, f"export --run run {SPLIT} --store train.zarr --out run/checkpoints/last.pt"),
    Attack(1, f"export --run run {SPLIT} --store train.zarr --out train.zarr/zarr.json"),
    Attack(1, f"export --run run {SPLIT} --store train.zarr --out data"),
    Attack(
        1,
        f"export --run run {SPLIT} --store train.zarr --out new.json",
        EITHER,
        linked("new.json", "data/classes.txt"),
    ),
    Attack(1, "status --store train.zarr --failed train.zarr/zarr.json"),
    Attack(1, "inspect --store train.zarr --image train_000001 --data voc:data --out data/JPEGImages/train_000001.jpg"),
    Attack(
        1, "inspect --store train.zarr --image train_000001 --out new.png", SURVIVED, linked("new.png", "photo.jpg")
    ),
    Attack(1, "predict --run run --proposals selective-search photo.jpg --out results.json"),
    Attack(1, "predict --run run --proposals selective-search photo.jpg --out run/checkpoints/last.pt"),
    Attack(1, f"{TRAIN.replace('--out new', '--out data')} steps=1"),
    Attack(1, f"{TRAIN.replace('--out new', '--out train.zarr')} steps=1"),
    Attack(1, f"{TRAIN.replace('--out new', '--out run')} steps=1"),
    Attack(1, "demo --out data"),
    Attack(1, "init --data voc:data", REFUSED, wrote("pdsl.yaml", "data: voc:data\n")),
    Attack(1, f"eval --results results.json {SPLIT} --out photo.jpg"),
    Attack(
        1, f"eval --results results.json {SPLIT} --out new", EITHER, linked("new", "data"), ("new", "data/metrics.json")
    ),
)
STORES = (
    Attack(
        2,
        "verify --store train.zarr",
        frozenset({3}),
        swapped("train.zarr/proposals/box/c/0/0/0", "train.zarr/grabcut/mask/c/0/0/0/0"),
    ),
    Attack(2, "verify --store train.zarr", EITHER, foldered("train.zarr/proposals/count/c/0")),
    Attack(3, "verify --store train.zarr", EITHER, linked("train.zarr/proposals/count/c/0", "0")),
    Attack(3, "verify --store train.zarr", EITHER, piped("train.zarr/proposals/count/c/0")),
    Attack(3, "status --store train.zarr", REFUSED, piped("train.zarr/zarr.json")),
    Attack(3, "status --store train.zarr", REFUSED, linked("train.zarr/zarr.json", "zarr.json")),
    Attack(3, "status --store train.zarr", REFUSED, wrote("train.zarr/zarr.json", DEEP)),
    Attack(3, "status --store train.zarr", REFUSED, foldered("train.zarr/zarr.json")),
    Attack(3, "status --store train.zarr", EITHER, wrote("train.zarr/proposals/lock.json", b"\xff" * 1000)),
    Attack(3, "status --store train.zarr", EITHER, piped("train.zarr/proposals/lock.json")),
    Attack(
        3,
        f"precompute --stage proposals {SPLIT} --store train.zarr --workers 0 --set proposals.method=selective-search",
        EITHER,
        wrote("train.zarr/proposals/lock.json", '{"host": 5, "pid": "x", "beat": 1e999}'),
        ("train.zarr",),
    ),
    Attack(
        3,
        f"precompute --stage proposals {SPLIT} --store train.zarr --workers 0 --set proposals.method=selective-search",
        EITHER,
        foldered("train.zarr/proposals/lock.json"),
        ("train.zarr",),
    ),
    Attack(3, "verify --store train.zarr", EITHER, linked("train.zarr/proposals/loop", "..")),
    Attack(
        3,
        "relabel --store train.zarr --data voc:data",
        EITHER,
        wrote("train.zarr/images/zarr.json", "{}"),
        ("train.zarr",),
    ),
    Attack(3, "verify --store train.zarr --repair", EITHER, piped("train.zarr/images/zarr.json"), ("train.zarr",)),
    Attack(3, f"{TRAIN} steps=1", REFUSED, gone("train.zarr/grabcut/records")),
    Attack(3, "verify --store results.json"),
    Attack(3, "verify --store /dev/null"),
)
CHECKPOINTS = (
    Attack(4, "train --out run --resume steps=3", EITHER, foldered("run/checkpoints/last.pt"), ("run",)),
    Attack(4, "train --out run --resume steps=3", EITHER, piped("run/checkpoints/last.pt"), ("run",)),
    Attack(4, "train --out run --resume steps=3", EITHER, wrote("run/checkpoints/last.pt", b""), ("run",)),
    Attack(4, "train --out run --resume steps=3", EITHER, linked("run/checkpoints/last.pt", "last.pt"), ("run",)),
    Attack(4, "train --out run --resume steps=3", EITHER, wrote("run/log.jsonl", b"\xff\0\n{"), ("run",)),
    Attack(4, "train --out run --resume steps=3", REFUSED, gone("run/config.yaml"), ("run",)),
    Attack(4, "train --out run --resume steps=3", REFUSED, piped("run/config.yaml"), ("run",)),
    Attack(4, "train --out run --resume steps=3", REFUSED, wrote("run/config.yaml", "steps: [1"), ("run",)),
    Attack(
        4, "predict --run run --proposals selective-search photo.jpg", REFUSED, wrote("run/checkpoints/last.pt", CODE)
    ),
    Attack(
        4,
        "predict --run run --proposals selective-search photo.jpg",
        REFUSED,
        linked("run/checkpoints/last.pt", FOREVER),
    ),
    Attack(4, f"eval --run run {SPLIT} --store train.zarr", REFUSED, piped("run/checkpoints/last.pt"), ("run",)),
    Attack(4, f"export --run photo.jpg {SPLIT} --store train.zarr --out new.json"),
    Attack(4, f"{TRAIN} --init run steps=1", REFUSED, wrote("run/checkpoints/last.pt", "[1]")),
    Attack(4, f"{TRAIN} --init {FOREVER} steps=1"),
)
PLACES = (
    Attack(8, "train --out run --resume steps=3", SURVIVED, wrote("pdsl.yaml", "data: voc:elsewhere\n"), ("run",)),
    Attack(
        8,
        "train --out run --resume steps=3",
        REFUSED,
        lambda place: (place / "train.zarr").rename(place / "moved"),
        ("run",),
    ),
    Attack(8, "predict --run run photo.jpg --out new", SURVIVED, gone("train.zarr")),
    Attack(8, "predict --run run photo.jpg --out new", SURVIVED, gone("data")),
    Attack(8, "predict --run run photo.jpg --out new", EITHER, gone("run/config.yaml")),
)
PARSED = (
    Attack(9, f"eval --results results.json {SPLIT}", REFUSED, wrote("results.json", DEEP)),
    Attack(9, f"eval --results results.json {SPLIT}", REFUSED, piped("results.json")),
    Attack(9, f"eval --results results.json {SPLIT}", REFUSED, linked("results.json", FOREVER)),
    Attack(9, f"eval --results data {SPLIT} --out new"),
    Attack(9, f"eval --results results.json {SPLIT}", REFUSED, results('"bbox": [1, 1, 1e999, 5]')),
    Attack(9, f"eval --results results.json {SPLIT}", REFUSED, results('"bbox": [1, 1, {"a": 1}, 5]')),
    Attack(
        9, f"eval --results results.json {SPLIT}", REFUSED, results('"segmentation": [[1e15, 1e15, 0, 0, 1e15, 3]]')
    ),
    Attack(
        9,
        f"eval --results results.json {SPLIT}",
        REFUSED,
        results('"segmentation": {"size": [64, 64], "counts": [-4096, 8192]}'),
    ),
    Attack(
        9,
        f"eval --results results.json {SPLIT}",
        REFUSED,
        results('"segmentation": {"size": [2147483647, 2147483647], "counts": "0"}'),
    ),
    Attack(
        9, f"eval --results results.json {SPLIT}", REFUSED, results('"bbox": [1, 1, 5, 5], "score": "1\\u001b[31m"')
    ),
    Attack(
        9,
        f"eval --results results.json {SPLIT}",
        REFUSED,
        wrote("data/Annotations/train_000001.xml", BOMB + "]><a>&x9;</a>"),
    ),
    Attack(
        9,
        f"eval --results results.json {SPLIT}",
        REFUSED,
        wrote(
            "data/Annotations/train_000001.xml",
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        ),
    ),
    Attack(9, "check voc:data", EITHER, wrote("data/classes.txt", "cat\x1b]0;owned\x07\ndog\n")),
    Attack(9, "check voc:data", EITHER, wrote("data/ImageSets/Main/train.txt", "../../../etc/passwd\n")),
    Attack(9, "check voc:data", EITHER, wrote("data/ImageSets/Main/train.txt", b"\0" * 100)),
    Attack(9, "check voc:data", EITHER, piped("data/JPEGImages/train_000001.jpg")),
    Attack(9, "check coco:data"),
    Attack(9, "check folder:/dev"),
    Attack(
        9,
        "predict --run run --proposals selective-search new.png --out new",
        EITHER,
        wrote("new.png", png(60_000, 60_000)),
    ),
    Attack(
        9, "predict --run run --proposals selective-search new.png --out new", EITHER, wrote("new.png", png(64, 64))
    ),
    Attack(9, "predict --run run --proposals selective-search new.svg --out new", EITHER, wrote("new.svg", "<svg/>")),
    Attack(9, "predict --run run --proposals selective-search /dev/zero --out new", EITHER),
    Attack(9, "predict --run run --proposals selective-search new.png --out new", EITHER, piped("new.png")),
    Attack(
        9, "predict --run run --proposals selective-search list.txt --out new", EITHER, wrote("list.txt", "list.txt\n")
    ),
    Attack(9, "predict --run run --proposals selective-search '/dev/*' --out new"),
    Attack(
        9,
        f"precompute --stage proposals {SPLIT} --store new.zarr --workers 0 --set proposals.method=files "
        "--proposals-from boxes.pkl",
        REFUSED,
        wrote("boxes.pkl", CODE),
    ),
    Attack(
        9,
        "config --diff tiny.yaml bad.yaml",
        REFUSED,
        wrote("bad.yaml", '!!python/object/apply:os.system ["touch owned"]'),
    ),
    Attack(9, "config --diff tiny.yaml bad.yaml", REFUSED, piped("bad.yaml")),
)
CLUSTERS = (
    Attack(
        10,
        f"precompute --stage proposals {SPLIT} --store new.zarr --cluster c.yaml",
        REFUSED,
        wrote("c.yaml", '!!python/object/apply:os.system ["touch owned"]'),
    ),
    Attack(
        10,
        f"precompute --stage proposals {SPLIT} --store new.zarr --cluster c.yaml",
        REFUSED,
        wrote("c.yaml", "kind: kubernetes\n"),
    ),
    Attack(
        10,
        f"precompute --stage proposals {SPLIT} --store new.zarr --cluster c.yaml",
        REFUSED,
        wrote("c.yaml", "kind: ssh\noptions: {hosts: [localhost]}\n"),
    ),
    Attack(
        10,
        f"precompute --stage proposals {SPLIT} --store new.zarr --cluster c.yaml",
        REFUSED,
        wrote("c.yaml", "kind: slurm\nworkers: 1e400\n"),
    ),
    Attack(10, f"precompute --stage proposals {SPLIT} --store new.zarr --scheduler tls://127.0.0.1:9", REFUSED),
    Attack(10, f"precompute --stage proposals {SPLIT} --store new.zarr --scheduler 'tcp://x\x1b[31m:1'", REFUSED),
)
POINTS = {
    1: "the user's files",
    2: "records and their rows",
    3: "documents of a store",
    4: "checkpoints and runs",
    5: "numbers and options",
    6: "what the machine lacks",
    7: "signals",
    8: "other places",
    9: "files that harm",
    10: "clusters",
}
ATTACKS = (*FILES, *STORES, *CHECKPOINTS, *NUMBERS, *LACKS, *SIGNALS, *PLACES, *PARSED, *CLUSTERS)
