"""Postfix: how its instances are wired, and the line that wires one."""

from wehr.service.mta.postfix.examine import look
from wehr.service.mta.postfix.instance import find
from wehr.service.mta.postfix.plan import plan

__all__ = ["find", "look", "plan"]
