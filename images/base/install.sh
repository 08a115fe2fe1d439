#!/bin/sh
# The toolchain's environment, as one layer: installed, stripped, and given fixed times, in /out.
#   install.sh [ARGUMENT OF uv pip install ...]
set -eu
/opt/uv/bin/uv venv --quiet --python "$(command -v python3)" /opt/venv
/opt/uv/bin/uv pip install --no-deps --require-hashes --python /opt/venv "$@" -r /build/requirements.lock
# uv notes when it took a wheel from a folder, which differs from one build to the next.
find /opt/venv -name uv_cache.json -delete
find /opt/venv -path '*.dist-info/RECORD' -exec sed -i '/uv_cache\.json/d' {} +
# No .pyc: 300 MB of them.
find /opt/venv -name __pycache__ -prune -exec rm -rf {} +
rm -f /opt/venv/.lock
mkdir -p /out/opt
mv /opt/venv /out/opt/
find /out -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +
