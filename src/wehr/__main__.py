"""``python -m wehr``."""

from wehr.cli import main

main()
