#!/bin/sh
# Measure Wehr beside its peers: the milter door, the parser, and messages through Postfix. Says what it cannot
# install and skips it. Arguments are the milter bench's: --rounds, --seconds, --connections, --json.
set -eu
cd "$(dirname "$0")/.."
BIN=${VENV:-.venv}/bin
BUILD=build/bench
mkdir -p "$BUILD"

if [ ! -e /usr/include/libmilter/mfapi.h ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -qq libmilter-dev >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq libmilter-dev >/dev/null; } ||
            echo "bench: libmilter-dev cannot be installed" >&2
    else
        echo "bench: without root libmilter-dev is not installed; its programs and pymilter are left out" >&2
    fi
fi

cc -O2 -o "$BUILD/mload" bench/mload.c
if [ -e /usr/include/libmilter/mfapi.h ]; then
    cc -O2 -o "$BUILD/empty_milter" bench/empty_milter.c -lmilter -lpthread
    "$BIN/pip" --disable-pip-version-check --quiet install --require-hashes -r requirements/bench.txt ||
        echo "bench: pymilter is left out" >&2
fi

"$BIN/python" bench/milter_bench.py "$BUILD" "$@"
"$BIN/python" bench/evidence_bench.py
if [ "$(id -u)" = 0 ] && [ -x /usr/sbin/smtp-source ]; then
    sh tests/system-packages.sh postgrey rspamd
    [ -e /usr/lib/postfix/postfix-pcre.so ] || apt-get install -y -qq postfix-pcre >/dev/null 2>&1 ||
        echo "bench: the static header check is measured with regexp instead of pcre" >&2
    "$BIN/python" bench/postfix_bench.py "$BUILD"
    "$BIN/python" bench/smtp_bench.py
else
    echo "bench: without root and Postfix nothing is measured through Postfix" >&2
fi
