"""A bucket of any S3-compatible storage, through obstore.

Owns the connection and the translation of its errors. The library is imported when a bucket is configured: it belongs
to the extra `s3`. Used by workbench through the interface in sink.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from comfy_mcp.assets.sink import CHUNK_BYTES, absent, check_key
from comfy_mcp.errors import NotFound, SettingsError, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

__all__ = ["S3Sink"]

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 20
_REQUEST_SECONDS = 300
_RETRY_SECONDS = 10
_RETRIES = 3
_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class S3Sink:
    """Stores each key as an object ``prefix/key`` in ``bucket``; keys come from the standard AWS_* variables.

    ``endpoint`` None means Amazon's own. Raises SettingsError at once for what cannot work.
    """

    def __init__(
        self, bucket: str, *, prefix: str = "", endpoint: str | None = None, region: str | None = None
    ) -> None:
        self._store = _connect(bucket, prefix, endpoint, region)

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        if await self._size(key) == len(data):
            return
        await self._upload(key, data)

    async def get(self, key: str) -> bytes:
        import obstore

        check_key(key)
        with _translated():
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def stream(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        import obstore

        check_key(key)
        size = await self._size(key)
        if size is None:
            raise absent()
        stop = size if stop is None else min(stop, size)
        if start >= stop:
            return
        with _translated():
            found = await obstore.get_async(self._store, key, options={"range": (start, stop)})
            async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(piece)

    async def exists(self, key: str) -> bool:
        try:
            check_key(key)
        except NotFound:
            return False
        return await self._size(key) is not None

    async def delete(self, key: str) -> None:
        import obstore

        try:
            check_key(key)
            with _translated():
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def check(self) -> None:
        key = f"check-{secrets.token_hex(8)}"
        await self._upload(key, b"The workbench can write here.")
        await self.delete(key)

    async def _upload(self, key: str, data: bytes) -> None:
        import obstore

        try:
            with _translated():
                # In one request: it appears whole or not at all, and nothing half-sent is left to pay for.
                await obstore.put_async(self._store, key, data, use_multipart=False)
        except NotFound as failure:
            raise StorageUnavailable(
                "The bucket of the setting `assets` does not exist.", hint="Make it, or mend its name."
            ) from failure

    async def _size(self, key: str) -> int | None:
        import obstore

        try:
            with _translated():
                return (await obstore.head_async(self._store, key))["size"]
        except NotFound:
            return None


def _connect(bucket: str, prefix: str, endpoint: str | None, region: str | None) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError as failure:
        raise SettingsError(
            "Pictures in a bucket need the library obstore, which is not installed.",
            hint='Install it with: pip install "comfyui-workbench[server,s3]".',
        ) from failure
    if not any(os.environ.get(name) for name in _KEYS):
        raise SettingsError(
            "There are no keys for the bucket of the setting `assets`.",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.",
        )
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config: S3Config = {"region": region, "virtual_hosted_style_request": False}
    if endpoint:
        _check_endpoint(endpoint)
        config["endpoint"] = endpoint
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http:")),
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=_SILENCE_SECONDS),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
    )


def _check_endpoint(endpoint: str) -> None:
    """Keys and pictures travel unencrypted over http, so it stays inside this machine. Raises SettingsError."""
    parts = _split(endpoint)
    host = parts.hostname if parts else None
    if parts is None or not host or parts.scheme not in ("http", "https") or parts.username is not None or parts.query:
        raise SettingsError(
            "The endpoint of the bucket is no address.", hint="Write it as `https://host` or `http://127.0.0.1:9000`."
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(
            "The endpoint of the bucket is neither https nor on this machine.", hint="Give it an https address."
        )


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        # A port out of range shows only when it is read.
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _translated() -> Generator[None]:
    """Raises NotFound or StorageUnavailable for what obstore raises, without the address of the bucket."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError as failure:
        raise absent() from failure
    except (BaseError, OSError) as failure:
        log.warning("The bucket refuses: %s", str(failure).partition("\n")[0])
        refused = isinstance(failure, PermissionDeniedError | UnauthenticatedError)
        hint = "Check the AWS_* keys and their rights." if refused else "Check its address and that it answers."
        raise StorageUnavailable("The bucket for pictures refuses.", hint=hint) from failure
