"""What a user has to be told of each kind of object store: its package, its credentials, what its objects lie in."""

import logging
from dataclasses import dataclass

for _client in ("gcsfs", "adlfs", "azure"):  # what they log, tracebacks too, is for -v: errors are told by this program
    logging.getLogger(_client).addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Cloud:
    """extra: of this program, with the client. holder: what the client's service calls the first part of a path.
    credentials: how the client gets them from the environment."""

    extra: str
    holder: str
    credentials: str


_S3 = Cloud("s3", "bucket", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_AZURE = Cloud(
    "azure",
    "container",
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
)
_GOOGLE = Cloud("gcs", "bucket", "GOOGLE_APPLICATION_CREDENTIALS")
_CLOUDS = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("az", "abfs", "abfss"), _AZURE),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
}
OPTIONS_VARIABLE = "PDSL_STORAGE_OPTIONS"
"""Environment variable that names a YAML file of fsspec options (endpoint, keys, ...)."""
_REFUSED = (401, 403)
_NO_CREDENTIALS = ("Credential", "ClientAuthentication", "RefreshError")
_NO_HOLDER = ("NoSuchBucket", "ContainerNotFound", "container does not exist", "bucket does not exist")


def how_to_install(protocol: str) -> str:
    """What to do where the client of a protocol is missing."""
    cloud = _CLOUDS.get(protocol)
    if cloud is None:
        return "install its package"
    return f"pip install 'pdsl[{cloud.extra}]' (in a clone: '.[{cloud.extra}]')"


def how_to_sign_in(protocol: str) -> str:
    """What to do where credentials are missing or refused, "" for protocols that are not known here."""
    cloud = _CLOUDS.get(protocol)
    return f"set {cloud.credentials}, or name a file of options by {OPTIONS_VARIABLE}" if cloud else ""


def missing_holder(url: str) -> str:
    """What to say where the bucket or container of a URL does not exist."""
    protocol, _, path = url.partition("://")
    cloud, name = _CLOUDS.get(protocol), path.partition("/")[0].partition("@")[0]  # abfs://container@account/…
    return f"there is no {cloud.holder if cloud else 'place'} '{name}'; make it first, or check the URL"


def advice_on(url: str, error: Exception) -> str:
    """What to do about an error of a client, "" where nothing is known."""
    words = f"{type(error).__name__} {error}"
    if any(sign in words for sign in _NO_HOLDER):
        return missing_holder(url)
    if lacks_rights(error) or "connection_string or account_name" in words:
        return how_to_sign_in(url.partition("://")[0])
    return ""


def lacks_rights(error: Exception) -> bool:
    """Whether an object store refused a request for who asks, or a client found no credentials to ask with."""
    kinds = type(error).__name__
    return (
        isinstance(error, PermissionError)
        or http_status(error) in _REFUSED
        or any(sign in kinds for sign in _NO_CREDENTIALS)
    )


def http_status(error: Exception) -> int | None:
    """The status of an HTTP response that a client made an error of; None where it says none."""
    for name in ("status_code", "status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) < 600:
            return int(value)
    return 403 if type(error) is OSError and str(error).startswith("Forbidden: ") else None  # gcsfs


def first_line(error: Exception) -> str:
    """An error in one line: its kind, and how its message begins."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}".removesuffix(": ")
