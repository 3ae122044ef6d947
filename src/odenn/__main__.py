"""`python -m odenn` is the command `odenn`."""

from odenn.cli import main

main()
