#!/bin/sh
# Installs the Debian packages that the tests use. Says what it cannot install, and why; the tests that need
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

if ! have_server; then
  if have apt-get && [ "$(id -u)" -eq 0 ]; then
    # The tests start a throw-away server of their own; Debian's is not to be made.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
      echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  install postgresql PostgreSQL
fi
