"""Wehr: a transport-based enforcement system for every mail receiver.

The folders are the rooms of the house, from the ground up: ``evidence``, ``catalogue`` and ``policy`` are
pure; ``ledger`` remembers; ``doors`` are where mail systems ask; ``cli`` and ``service`` stand on top.
"""

__version__ = "0.1.0"
