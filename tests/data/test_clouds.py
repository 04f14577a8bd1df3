"""What a user is told of an object store's errors, and which of them are tried again."""

import subprocess
import sys
from pathlib import Path

import pytest

from data.clouds import advice_on, first_line, http_status
from data.errors import InputError
from data.files import open_filesystem
from data.retry import UnreachableError, retried


class HttpResponseError(Exception):
    """As azure-core has it."""

    __module__ = "azure.core.exceptions"

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


class HttpError(Exception):
    """As gcsfs has it: the code as a number or as text."""

    __module__ = "gcsfs.retry"

    def __init__(self, code: object, message: str) -> None:
        super().__init__(message)
        self.code = code


ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = OSError("Forbidden: b/stores/o\nno right to list")
GONE = HttpResponseError(404, "The specified container does not exist.\nRequestId:1")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HttpResponseError(503, "busy"), 503),
        (HttpError("401", "who"), 401),
        (HttpError(None, "?"), None),
        (FORBIDDEN, 403),
        (OSError(13, "Permission denied"), None),
        (ValueError("x"), None),
    ],
)
def test_the_status_of_a_response(error: Exception, status: int | None) -> None:
    assert http_status(error) == status


@pytest.mark.parametrize(
    ("url", "error", "advice"),
    [
        ("gs://b/x", HttpError(401, "who"), "set GOOGLE_APPLICATION_CREDENTIALS, or name a file"),
        ("gs://b/x", FORBIDDEN, "set GOOGLE_APPLICATION_CREDENTIALS, or name a file"),
        ("s3://b/x", PermissionError("Access denied"), "set AWS_ACCESS_KEY_ID and AWS_SECRET"),
        ("abfs://c/x", ValueError("Must provide either a connection_string or account_name"), "set AZURE_STORAGE_CON"),
        ("az://c/x", GONE, "there is no container 'c'; make it first"),
        ("az://c/x", HttpResponseError(500, "busy"), ""),
        ("odd://c/x", HttpError(401, "who"), ""),
    ],
)
def test_advice(url: str, error: Exception, advice: str) -> None:
    found = advice_on(url, error)
    assert found.startswith(advice) and bool(found) == bool(advice)


def test_what_clients_log_is_not_for_the_terminal() -> None:
    code = (
        "import data.files, logging; logging.getLogger('gcsfs.retry').error('x'); logging.getLogger('mine').error('y')"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert said == "y\n"


def test_an_error_of_many_lines_is_told_in_one() -> None:
    assert first_line(GONE) == "HttpResponseError: The specified container does not exist."
    assert first_line(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (HttpResponseError(503, "busy"), 3),
        (HttpResponseError(429, "slow down"), 3),
        (HttpError("502", "busy"), 3),
        (HttpResponseError(403, "no"), 1),
        (HttpError("401", "who"), 1),
        (FORBIDDEN, 1),
        (ConnectionResetError("gone"), 3),
    ],
)
def test_what_is_tried_again(error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.retry.RETRY_DELAYS", (0.0, 0.0))
    calls = []

    def ask() -> None:
        calls.append(1)
        raise error

    with pytest.raises(UnreachableError if attempts > 1 else type(error)):
        retried(ask)
    assert len(calls) == attempts


def test_a_client_that_tries_for_long_itself_is_not_asked_nine_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.retry.LONGEST", -1.0)
    with pytest.raises(UnreachableError, match="after 1 attempts in 0 s: ConnectionResetError: gone"):
        retried(lambda: (_ for _ in ()).throw(ConnectionResetError("gone")))


@pytest.mark.parametrize(("protocol", "module", "extra"), [("az", "adlfs", "azure"), ("gs", "gcsfs", "gcs")])
def test_a_client_that_is_not_installed(
    protocol: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)  # imported by another test
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"cannot use {protocol}:// .*pip install 'pdsl\[{extra}\]'"):
        open_filesystem(f"{protocol}://stores/a.zarr")
