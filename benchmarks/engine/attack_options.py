"""Attacks by options, by what the machine lacks, and by signals; see `benchmarks.engine.attack_table`."""

import resource
import signal

from benchmarks.engine.attacks import EITHER, REFUSED, Attack
from benchmarks.engine.tampering import linked, piped, wrote

SPLIT = "--data voc:data --split train"
TRAIN = "train --config tiny.yaml --store train.zarr --out new"
ENDED = frozenset({0, 130, 143, -signal.SIGINT, -signal.SIGTERM})
"""The last two: before the command has begun, and after it is over, or by a second signal."""
FOREVER = "/dev/zero"

NUMBERS = (
    tuple(
        Attack(5, f"{TRAIN} {value}")
        for value in (
            "threads=1000000000",
            "data.loaders=1000000",
            "optimizer.images_per_step=99999999999",
            "steps=.inf",
            "checkpoint_every=0",
            "seed=-1",
            "pictures=-1",
            "features.limit_gb=.nan",
            "augment.exposure=.inf",
            "augment.scales=[1000000]",
            "augment.scales=[]",
            "inference.detections=-1",
            "inference.tta_scales=[]",
            "schedule.drops=[.nan]",
            "schedule.drops=[5,5]",
            "validation.every=5",
            "classes={cat:[1]}",
            "precision=float8",
            "model.backbone.weights=/dev/zero",
            "model.backbone.weights=data",
            "init=/dev/null",
            "data.images=voc:/dev/null",
            "model.mask.convs=1000000",
            "model.mask.channels=100000000000",
            "model.detection.n_r=10000000",
            "'model.box_head.hidden=[1000000000,32]'",
            "model.box_head.pool=10000",
            "model.mask.pool=100000",
            "model.mask.sampling=1000000",
            "model.mask.cascade.sigma=-1",
            "model.detection.smooth_l1_beta=-1",
            "log_every=1e400",
            "data.min_size=.nan",
            "optimizer.momentum=1",
            "base=/dev/zero",
            "base=.",
            "model=5",
            "model.mask=[]",
            "=5",
            "a.b.c=1",
        )
    )
    + tuple(
        Attack(5, f"precompute --stage proposals {SPLIT} --store new.zarr {value}", mine=("new",))
        for value in (
            "--workers -1",
            "--scheduler garbage",
            "--scheduler tcp://",
            "--scheduler tcp://127.0.0.1:1",
            "--cluster /dev/zero",
            "--cluster data",
            "--images 5:2",
            "--images=-1:3",
            "--workers 0 --images 9:99999999999999999999",
            "--images /dev/zero",
            "--workers 0 --set store.shard=0",
            "--workers 0 --set store.shard=-4",
            "--workers 0 --set proposals.max_proposals=-1",
            "--workers 0 --set proposals.max_proposals=1e400",
            "--workers 0 --set proposals.method=files --proposals-from /dev/zero",
            "--workers 0 --set proposals.method=files --proposals-from data",
            "--set =",
            "--set proposals",
        )
    )
    + (
        Attack(
            5,
            "precompute --stage proposals --data 'voc:data?max_pixels=nan' --split train --store new.zarr --workers 0",
        ),
        Attack(
            5,
            "precompute --stage proposals --data 'voc:data?max_pixels=-1' --split train --store new.zarr --workers 0",
        ),
        Attack(
            5, "precompute --stage proposals --data 'voc:data?grey_bits=99' --split train --store new.zarr --workers 0"
        ),
        Attack(5, "predict --run run photo.jpg --proposals selective-search --score nan"),
        Attack(5, "predict --run run photo.jpg --proposals selective-search --top 0"),
        Attack(5, "inspect --store train.zarr --random 0 --out new.png"),
        Attack(5, "status", REFUSED, wrote("pdsl.yaml", b"\xff\xfe\0")),
        Attack(5, "status", REFUSED, piped("pdsl.yaml")),
        Attack(5, "status", REFUSED, linked("pdsl.yaml", FOREVER)),
        Attack(5, "status --store s3://nowhere/a.zarr", REFUSED, environment={"PDSL_STORAGE_OPTIONS": FOREVER}),
    )
)
_LIMITED = tuple(
    Attack(6, line, EITHER, limits=((what, value),), mine=("new", "train.zarr", "run"))
    for line in (
        f"{TRAIN} steps=1",
        "train --out run --resume steps=3",
        f"export --run run {SPLIT} --store train.zarr --out new.json",
        f"eval --results results.json {SPLIT} --out new --voc-results new.voc",
        "inspect --store train.zarr --image train_000001 --out new.png",
        f"precompute --stage proposals {SPLIT} --store new.zarr --workers 0 --set proposals.method=selective-search",
        "verify --store train.zarr",
    )
    for what, value in ((resource.RLIMIT_FSIZE, 400), (resource.RLIMIT_NOFILE, 14))
)
_FULL = tuple(
    Attack(6, line, frozenset({0, 2}), closed=True, mine=("new",))
    for line in (
        "status --store train.zarr",
        "verify --store train.zarr",
        "config",
        "--help",
        "check voc:data",
        f"eval --results results.json {SPLIT} --out new",
        f"export --run run {SPLIT} --store train.zarr --out new.json",
        f"{TRAIN} steps=1",
    )
)
_NO_PLACE = tuple(
    Attack(6, line.replace("NEW", place))
    for line in (
        f"export --run run {SPLIT} --store train.zarr --out NEW.json",
        f"eval --results results.json {SPLIT} --out NEW",
        f"eval --results results.json {SPLIT} --voc-results NEW",
        "predict --run run photo.jpg --out NEW",
        "inspect --store train.zarr --image train_000001 --out NEW.png",
        "status --store train.zarr --failed NEW.csv",
        f"{TRAIN} steps=1".replace("--out new", "--out NEW"),
        f"precompute --stage proposals {SPLIT} --store NEW.zarr --workers 0 --set proposals.method=selective-search",
        "demo --out NEW",
    )
    for place in ("/proc/new", "/proc/new/new", "photo.jpg/new", "/dev/null/new", "n" * 300)
)
LACKS = (
    *_LIMITED,
    *_FULL,
    *_NO_PLACE,
    Attack(6, f"{TRAIN} steps=1", EITHER, environment={"TMPDIR": "/nowhere", "HOME": "/nowhere"}),
)
_WORKERS = "--set proposals.method=selective-search --set store.shard=1"
SIGNALS = (
    *(
        Attack(7, line, ENDED, kill=kills, mine=("new", "run"))
        for line in (
            f"{TRAIN} steps=500",
            f"eval --run run {SPLIT} --store train.zarr --out new",
            f"precompute --stage proposals {SPLIT} --store new.zarr --workers 0 {_WORKERS}",
            f"export --run run {SPLIT} --store train.zarr --out new.json",
            "predict --run run data/JPEGImages --out new",
            "demo --out new",
        )
        for kills in (
            ((0.2, signal.SIGTERM),),
            ((1.0, signal.SIGTERM),),
            ((1.0, signal.SIGINT),),
            ((1.0, signal.SIGINT), (0.3, signal.SIGINT)),
            ((0.5, signal.SIGTERM), (0.05, signal.SIGTERM)),
        )
    ),
    *(
        Attack(
            7,
            f"precompute --stage proposals {SPLIT} --store new.zarr --workers 2 {_WORKERS}",
            ENDED,
            kill=((seconds, number),),
        )
        for seconds in (0.3, 0.8, 1.5, 2.2, 3.0, 4.0)
        for number in (signal.SIGINT, signal.SIGTERM)
    ),
    Attack(7, "train --out run --resume steps=500", ENDED, kill=((0.7, signal.SIGTERM),), mine=("run",)),
    Attack(7, "verify --store train.zarr", ENDED, kill=((0.1, signal.SIGTERM),)),
    Attack(7, "inspect --store train.zarr --random 6 --out new.png", ENDED, kill=((0.3, signal.SIGTERM),)),
)
