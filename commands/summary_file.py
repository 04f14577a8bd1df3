"""What a `precompute` did, as a JSON file for programs and for whoever looks at it tomorrow."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from commands.interrupt import exit_status
from data.errors import InputError
from data.whole_file import write_whole
from pipeline.runner import RunSummary

VERSION = 1


class SummaryFile:
    """Written when its block ends, whether well or not: {"format", "started", "seconds", "exit_status", "error",
    "stores": [{"store", "stages": [...]}]}."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stores: dict[str, list[RunSummary]] = {}
        self._began = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self.exit_status = 0

    def of_store(self, url: str) -> list[RunSummary]:
        """Where the summaries of a store's stages go."""
        return self._stores.setdefault(url, [])

    def status(self, exit_status: int) -> None:
        """How one of the runs ended."""
        self.exit_status = max(self.exit_status, exit_status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        document = {
            "format": VERSION,
            "started": self._started,
            "seconds": round(time.monotonic() - self._began, 3),
            "exit_status": self._exit_status(error),
            "error": None if error is None else str(error) or type(error).__name__,
            "stores": [
                {"store": url, "stages": [_plain(summary) for summary in summaries]}
                for url, summaries in self._stores.items()
            ],
        }
        write_whole(self._path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def _exit_status(self, error: BaseException | None) -> int:
        if isinstance(error, KeyboardInterrupt):
            return exit_status(error)
        return self.exit_status if error is None else 2 if isinstance(error, InputError) else 1


def _plain(summary: RunSummary) -> dict[str, Any]:
    """done, failed, upstream: of all images that were asked for; everything else: of those computed in this run."""
    tally, computed = summary.tally, summary.computed
    return {
        "stage": summary.stage,
        "images": summary.images,
        "done": tally.done,
        "failed": tally.failed,
        "upstream": tally.upstream,
        "reasons": dict(tally.reasons),
        "failures": [{"image": image, "reason": reason} for image, reason in tally.failures],
        "computed": computed.images,
        "seconds": round(summary.seconds, 3),
        "images_per_second": computed.images / summary.seconds if computed.images else None,
        "work_seconds": round(computed.seconds, 3),
        "slowest": [{"image": image, "seconds": seconds} for image, seconds in computed.slowest],
        "workers": [share.plain() for share in sorted(summary.workers.values(), key=lambda share: share.worker)],
        "worker_ends": dict(summary.ends),
        "storage_retries": summary.retries,
    }
