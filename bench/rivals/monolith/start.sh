#!/bin/sh
# The monolith's roles: all (the API and the worker side by side), api, worker, migrate.
set -eu
case "${1:-all}" in
worker)
    exec python3 -m app.worker
    ;;
api | migrate)
    SERVICE_TYPE="$1" exec python3 -m app
    ;;
all)
    python3 -m app.worker &
    SERVICE_TYPE=api exec python3 -m app
    ;;
*)
    echo "start.sh: the role is '$1'; give it one of all, api, worker, migrate" >&2
    exit 2
    ;;
esac
