"""What is remembered: merge rules (pure), journal, store, migrations."""
