"""A real rspamd of the tests' own, with Debian's configuration and the very module that docs/recipes holds.

It scans in its proxy, as a milter and over HTTP. No look-up leaves the machine: what asks the DNS is off.
"""

import contextlib
import json
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import beside
from ports import free_port

RECIPE = Path(__file__).resolve().parent.parent.parent / "docs" / "recipes" / "rspamd" / "wehr.lua"

_START = """
cd /etc/rspamd
for module in modules.d/*.conf; do
  echo 'enabled = false;' > "local.d/${{module##*/}}"
done
# The whole list of suffixes would be compiled for ten seconds.
echo org > /etc/rspamd/suffixes
echo 'filters = ""; url_tld = "/etc/rspamd/suffixes";' > local.d/options.inc
echo 'type = "console"; level = "notice";' > local.d/logging.inc
echo 'count = 0;' > local.d/worker-normal.inc
echo 'count = 0;' > local.d/worker-controller.inc
echo 'bind_socket = "{host}:{milter}"; upstream "local" {{ self_scan = yes; }}' > local.d/worker-proxy.inc
cat >> rspamd.conf.local <<END
worker "normal" {{ bind_socket = "{host}:{http}"; count = 1; }}
wehr {{ {settings} }}
END
mkdir -p plugins.d /var/lib/rspamd /run/rspamd
cp {folder}/wehr.lua plugins.d/
chown _rspamd:_rspamd /var/lib/rspamd /run/rspamd
exec rspamd -f -u _rspamd -g _rspamd
"""


@dataclass(frozen=True)
class Rspamd:
    """A running instance."""

    folder: Path
    host: str
    port: int
    milter_port: int

    @property
    def milter(self) -> str:
        """For ``smtpd_milters``."""
        return f"{{ inet:{self.host}:{self.milter_port}, default_action=tempfail }}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "output").read_text(errors="replace")

    def scan(self, message: str, about: Mapping[str, str]) -> dict[str, Any]:
        """What it says of a message over HTTP; ``about`` are its headers for envelope and client."""
        url = f"http://{self.host}:{self.port}/checkv2"
        request = urllib.request.Request(url, message.encode(), dict(about))
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            found: dict[str, Any] = json.load(response)
        return found


@contextlib.contextmanager
def running(folder: Path, settings: str, *, host: str = "127.0.0.1") -> Iterator[Rspamd]:
    """Start an instance in ``folder``; ``settings`` is what stands in its section for the module."""
    beside.require("rspamd")
    folder.mkdir(exist_ok=True)
    milter, http = free_port(host), free_port(host)
    shutil.copy(RECIPE, folder)
    script = _START.format(folder=folder, host=host, milter=milter, http=http, settings=settings)
    argv = beside.command("rspamd", folder, ("_rspamd",), ["/bin/sh", "-ec", script])
    with beside.daemon(argv, folder, (host, http), b""):
        yield Rspamd(folder, host, http, milter)
