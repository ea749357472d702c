#!/bin/sh
# Installs the Debian packages that the tests use, and fetches those that are named beside them. Says what it cannot install, and why; the tests that need
# it are then skipped, and nothing else.
set -eu

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
have_server() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
skip() { echo "tests: $1: the tests with a real $2 are skipped" >&2; }

install() {
  if ! have apt-get; then
    skip "no apt-get here, so $2 is not installed" "$2"
  elif [ "$(id -u)" -ne 0 ]; then
    skip "not root, so $2 is not installed" "$2"
  else
    echo "tests: installing $2" >&2
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$1" >/dev/null
  fi
}

# The mail systems that Debian lets nobody install beside Postfix, and rspamd, are only fetched, with the libraries that are
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
    skip "$1 cannot be fetched" "$1"
  fi
}

# From npm, as it was on a day: later versions of what it needs have come and gone. None of its scripts is run.
fetch_npm() {
  if [ -e "build/npm/$1/complete" ]; then
    return
  fi
  mkdir -p "build/npm/$1"
  if have npm && npm install --prefix "build/npm/$1" --before=2026-08-01 --omit=dev --omit=optional \
    --ignore-scripts --no-audit --no-fund --silent "$1@$2" >/dev/null 2>&1; then
    touch "build/npm/$1/complete"
  else
    skip "$1 cannot be fetched" "$1"
  fi
}

cd "$(dirname "$0")/.."
if have postfix; then
  :
elif have sendmail; then
  # Debian's mail systems exclude each other: installing Postfix would remove the one that is in use.
  skip "another mail system is installed, which Postfix would replace" Postfix
else
  if have debconf-set-selections && [ "$(id -u)" -eq 0 ]; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
  fi
  install postfix Postfix
fi
have_server || install postgresql PostgreSQL
have chromium || install chromium Chromium
have mandoc || install mandoc mandoc
for package in sendmail-bin exim4-daemon-light opensmtpd rspamd prometheus "$@"; do
  fetch "$package"
done
fetch_npm Haraka 3.1.1
fetch_npm oidc-provider 9.10.0
