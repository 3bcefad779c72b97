#!/bin/sh
# demo.sh: the main job, live. See demo.py, which this starts with the python3 that the machine has.
set -eu
exec python3 "$(dirname "$0")/demo.py" "$@"
