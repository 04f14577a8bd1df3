"""Ranges of objects on S3 by plain requests, for whoever reads many small ones.

The client that fsspec uses takes more than a millisecond of a core for each request: most of it builds and signs it
anew. Here an object's address is signed once an hour, and ranges of it are asked for over connections that stay open.
Whatever is out of the ordinary is left to that client, with its retries and its errors.
"""

import http.client
import os
import ssl
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import SplitResult, urlsplit

from store.objects import Range

PROTOCOLS = ("s3", "s3a")
CONNECTIONS = 32
SIGNED_SECONDS = 3600
_SPARE_SECONDS = 300  # of those an address is not used for
REST_SECONDS = 60.0
_TIMEOUT = 20.0
_ADDRESSES = 50_000


class DirectReader:
    """Reads ranges below `root` of an s3fs file system, in the process that made it.

    After an answer that is not the bytes asked for it rests for REST_SECONDS.
    """

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem, self._root = filesystem, root
        self._pid = os.getpid()
        self._signed: OrderedDict[str, tuple[float, SplitResult]] = OrderedDict()
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="pdsl-direct")
        self._own = threading.local()
        self._rests_until = 0.0

    def is_mine(self) -> bool:
        """Whether this process made it: threads do not survive a fork."""
        return self._pid == os.getpid()

    def rests(self) -> bool:
        """Whether everything is left to the client for now."""
        return time.monotonic() < self._rests_until

    def _rest(self) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS

    def read(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of each range, all asked for at once; None where they did not come."""
        if self.rests():
            return [None] * len(ranges)
        try:
            addresses = [self._address(key) for key, _, _ in ranges]
        except Exception:  # no credentials, or such as can not sign: the client knows what to say
            self._rest()
            return [None] * len(ranges)
        return list(self._threads.map(self._get, addresses, ranges))

    def _address(self, key: str) -> SplitResult:
        until, address = self._signed.get(key, (0.0, urlsplit("")))
        if until < time.monotonic():
            address = self._sign(key)
            if address.hostname is None or _is_behind_a_proxy(address):
                raise ValueError("such addresses are left to the client")
            self._signed[key] = time.monotonic() + SIGNED_SECONDS - _SPARE_SECONDS, address
            if len(self._signed) > _ADDRESSES:
                self._signed.popitem(last=False)
        return address

    def _sign(self, key: str) -> SplitResult:
        """An object's address with a signature of version 4, which every region and server knows."""
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest

        told = urlsplit(self._filesystem.sign(f"{self._root}/{key}", expiration=SIGNED_SECONDS))
        request = AWSRequest("GET", told._replace(query="").geturl())
        region = self._filesystem.s3.meta.region_name
        S3SigV4QueryAuth(_credentials(self._filesystem), "s3", region, expires=SIGNED_SECONDS).add_auth(request)
        return urlsplit(request.url)

    def _get(self, address: SplitResult, asked: Range) -> bytes | None:
        if self.rests():
            return None
        _, start, stop = asked
        wanted = f"bytes={start}" if start is not None and start < 0 else f"bytes={start or 0}-{_last(stop)}"
        for fresh in (False, True):  # a server may have closed a connection that was not used for a while
            try:
                data = self._answer(address, {"Range": wanted}, fresh)
            except (OSError, http.client.HTTPException):
                continue
            whole = data is not None and len(data) == _length(start, stop, len(data))
            if whole:
                return data
            break
        self._rest()
        return None

    def _answer(self, address: SplitResult, headers: dict[str, str], fresh: bool) -> bytes | None:
        """The body of an answer; None for one that is an error. (Some servers send a part with status 200.)"""
        connection = getattr(self._own, "connection", None)
        if connection is None or fresh:
            if connection is not None:
                connection.close()
            connection = self._own.connection = _connect(address)
        connection.request("GET", f"{address.path}?{address.query}", headers=headers)
        response = connection.getresponse()
        data: bytes = response.read()
        return data if response.status in (http.client.OK, http.client.PARTIAL_CONTENT) else None


def _connect(address: SplitResult) -> http.client.HTTPConnection:
    if address.scheme.endswith("s"):
        context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        return http.client.HTTPSConnection(address.netloc, timeout=_TIMEOUT, context=context)
    return http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT)


def _is_behind_a_proxy(address: SplitResult) -> bool:
    host = str(address.hostname)
    return bool(urllib.request.getproxies().get(address.scheme)) and not urllib.request.proxy_bypass(host)


def _credentials(filesystem: Any) -> Any:
    """Those that the file system was given, or else its session's, as of now."""
    from botocore.credentials import Credentials
    from fsspec import asyn

    if filesystem.key:
        return Credentials(filesystem.key, filesystem.secret, filesystem.token)

    async def ask() -> Any:
        return await (await filesystem.session.get_credentials()).get_frozen_credentials()

    return asyn.sync(filesystem.loop, ask)


def _length(start: int | None, stop: int | None, found: int) -> int:
    """How many bytes were asked for; as many as were `found` where only the object's size would tell."""
    if start is not None and start < 0:
        return -start
    return found if stop is None else stop - (start or 0)


def _last(stop: int | None) -> str:
    return "" if stop is None else str(stop - 1)
