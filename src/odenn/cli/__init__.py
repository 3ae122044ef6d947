"""The command line: `odenn solve`, `odenn show`, `odenn zoo`.

Exit codes: 0 solved, 1 not solved to the tolerance, 2 a mistake in the call, 130 interrupted (a training then has
nothing to show).
"""

from odenn.cli._app import app as app
from odenn.cli._app import main as main
