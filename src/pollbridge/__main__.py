"""`python -m pollbridge`."""

from pollbridge.cli import main

main()
