#!/bin/sh
# make-venv.sh PYTHON VENV: a virtual environment with the pinned versions of constraints.txt, the build backend
# included.
set -eu
python=$1 venv=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; $python is $("$python" --version 2>&1). Try: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
    exit 1
fi
"$python" -m venv "$venv"
install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$@"
}
install "pip>=25.1"
install hatchling editables
install --no-build-isolation --editable . --group test --group lint --group bench
