"""The door for Postfix's ``check_policy_service``: at MAIL or RCPT, refuses whom the last stage blocks."""

from wehr.doors.policy_service.server import PolicyServer
from wehr.doors.policy_service.session import PolicySession

__all__ = ["PolicyServer", "PolicySession"]
