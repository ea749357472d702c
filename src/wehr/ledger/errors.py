"""What can go wrong with memory. Each message names the file or store and what to do."""


class LedgerError(Exception):
    """The base of this room's errors; its text is fit to be shown to an operator."""


class StoreUnreadable(LedgerError):
    """The store exists but is damaged or is not Wehr's. It has not been touched."""


class RuleDamaged(StoreUnreadable):
    """A pause, an exemption or the ladders in the store cannot be read: nobody knows whom they spare."""


class StateDamaged(LedgerError, ValueError):
    """A server's stored state cannot be read."""


class StoreNewer(LedgerError):
    """The store was written by a newer Wehr. It has not been touched."""


class StoreAway(LedgerError):
    """The store cannot be reached, is locked, full or read-only: to be tried again later."""


class PositionMoved(LedgerError):
    """The journal is carried by somebody else as well: its position is not where it was left."""


class JournalBusy(LedgerError):
    """Another process writes this node's journal."""
