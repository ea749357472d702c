"""Where mail systems ask: one gate, and a thin adapter for each way in."""
