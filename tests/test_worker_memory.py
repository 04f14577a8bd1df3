"""What a worker needs at full size: P = 2000 proposals of a 640 x 480 image through all three real stages."""

import subprocess
import sys
from pathlib import Path

from stages.registry import STAGE_NAMES, build_stage

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
from pathlib import Path
from commands import precompute
from data.scenes import write_scenes

folder = Path(sys.argv[1])
write_scenes(folder / "scenes", train=2, val=0, side=640)
store = str(folder / "a.zarr")
status = precompute.run(data=f"voc:{folder / 'scenes'}", split="train", store=store, stage="all", workers=0)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print("peak", status, peak)
"""


def test_a_worker_stays_below_what_the_stages_state(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    status, kibibytes = done.stdout.rsplit("peak", 1)[1].split()
    assert status == "0"
    stated = max(build_stage(name, capacity=2000).memory for name in STAGE_NAMES)
    assert int(kibibytes) * 1024 < stated, f"{int(kibibytes) / 1024:.0f} MiB"
