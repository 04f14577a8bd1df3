"""The store's JSON documents. Each carries a checksum of itself, so that a changed byte shows wherever it is."""

import json
from collections.abc import Mapping
from typing import Any

from store.shards import checksum

CHECKSUM = "checksum"


class DocumentError(ValueError):
    """A document that is no whole one; the message says what is wrong."""


def seal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields and the crc32c of their canonical JSON."""
    content = {name: value for name, value in fields.items() if name != CHECKSUM}
    return {**content, CHECKSUM: _digest(content)}


def sealed_bytes(fields: Mapping[str, Any]) -> bytes:
    """The sealed fields as JSON in one line."""
    return json.dumps(seal(fields), ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def check_seal(fields: Mapping[str, Any]) -> None:
    """Raises DocumentError unless the fields match their checksum; those of older versions have none and pass."""
    if CHECKSUM in fields and fields[CHECKSUM] != _digest({k: v for k, v in fields.items() if k != CHECKSUM}):
        raise DocumentError("does not match its checksum")


def group_document(attributes: Mapping[str, Any]) -> bytes:
    """zarr.json of a group with `attributes`, sealed."""
    return _group(seal(attributes))


def group_attributes(document: bytes) -> dict[str, Any]:
    """The attributes of a group's zarr.json, without their checksum. Raises DocumentError unless it is whole."""
    attributes = parse_object(document).get("attributes")
    if not isinstance(attributes, dict):
        raise DocumentError("is no document of a Zarr group")
    check_seal(attributes)
    if CHECKSUM in attributes and document != _group(attributes):
        raise DocumentError("is not as it was written")
    return {name: value for name, value in attributes.items() if name != CHECKSUM}


def parse_object(document: bytes) -> dict[str, Any]:
    """A JSON object. Raises DocumentError for anything else."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DocumentError(f"is not a JSON object but {type(found).__name__}")
    return found


def _group(attributes: Mapping[str, Any]) -> bytes:
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="surrogatepass")


def _digest(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return checksum(text.encode(errors="surrogatepass"))
