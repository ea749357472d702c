"""Mail to the administrators of a server, and digests to one's own."""
