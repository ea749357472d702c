"""The filter program for OpenSMTPD: ``session`` knows its protocol, ``shim`` its pipes."""

from wehr.doors.opensmtpd.session import Asking, FilterSession
from wehr.doors.opensmtpd.shim import Shim

__all__ = ["Asking", "FilterSession", "Shim"]
