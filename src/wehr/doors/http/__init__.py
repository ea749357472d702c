"""The HTTP door: JSON for rspamd, Haraka, KumoMTA and whatever else can POST, and Stalwart's MTA Hooks.

``session`` knows HTTP, ``server`` the paths and the tokens, ``decide`` and ``hooks`` the two forms of the
question, ``openapi`` describes both; docs/http.md explains it to administrators.
"""

from wehr.doors.http.server import HttpServer

__all__ = ["HttpServer"]
