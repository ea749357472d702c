"""The same questions asked of archives and logs."""
