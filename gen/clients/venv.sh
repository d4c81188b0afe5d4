#!/bin/sh
# venv.sh makes .tools in the working folder a virtual environment with exactly what requirements.txt there
# pins, unless it is that already.
set -eu

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo 'venv.sh: Python 3.11 or newer is needed, as python3.' >&2
  exit 1
fi
if ! cmp -s requirements.txt .tools/requirements.txt; then
  rm -rf .tools
  if ! python3 -m venv .tools; then
    echo 'venv.sh: Python cannot make virtual environments here; on Debian, install python3-venv.' >&2
    exit 1
  fi
  .tools/bin/pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.txt
  cp requirements.txt .tools/requirements.txt # last: it says that the rest is complete
fi
