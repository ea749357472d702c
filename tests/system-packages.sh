#!/bin/sh
# Installs the Debian packages that the tests use. Says what it cannot install, and why; the tests that need
# it are then skipped, and nothing else.
set -eu

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

install_postfix() {
  if ! have apt-get; then
    echo "tests: no apt-get here, so Postfix is not installed: the tests with a real Postfix are skipped" >&2
  elif [ "$(id -u)" -ne 0 ]; then
    echo "tests: not root, so Postfix is not installed: the tests with a real Postfix are skipped" >&2
  elif have sendmail; then
    # Debian's mail systems exclude each other: installing Postfix would remove the one that is in use.
    echo "tests: another mail system is installed, which Postfix would replace: the tests with it are skipped" >&2
  else
    echo "tests: installing Postfix" >&2
    apt-get -qq update
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postfix >/dev/null
  fi
}

# The mail systems that Debian lets nobody install beside Postfix are only fetched, with the libraries that are
# missing here. tests/support/beside.py unpacks them where nothing but the test sees them.
download() {
  # Locks and folders are apt's own elsewhere; nothing is changed there.
  apt-get -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
    -o "Dir::Cache::archives=$PWD/build/debian/$1" install "$1" >/dev/null 2>&1
}

fetch() {
  if [ -e "build/debian/$1/complete" ]; then
    return
  fi
  mkdir -p "build/debian/$1/partial"
  if have apt-get && { download "$1" || { apt-get -qq update >/dev/null 2>&1 && download "$1"; }; }; then
    touch "build/debian/$1/complete"
  else
    echo "tests: $1 cannot be fetched: the tests with it are skipped" >&2
  fi
}

cd "$(dirname "$0")/.."
have postfix || install_postfix
for package in sendmail-bin exim4-daemon-light opensmtpd; do
  fetch "$package"
done
