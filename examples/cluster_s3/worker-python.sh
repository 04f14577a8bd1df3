#!/bin/sh
# The Python of workers, on every machine under the same path: tells them how to reach the object store.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export PDSL_STORAGE_OPTIONS="${PDSL_STORAGE_OPTIONS:-$here/storage.yaml}"
exec "${PDSL_PYTHON:-/opt/pdsl/bin/python}" "$@" # where pdsl is installed on the workers
