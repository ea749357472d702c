#!/bin/sh
# Installs the Debian packages that the tests use. Says what it cannot install, and why; the tests that need
# it are then skipped, and nothing else.
set -eu

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

if have postfix; then
  exit 0
elif ! have apt-get; then
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
