"""Equations as people write them, read through a closed grammar; nothing in a text is ever executed."""

from odenn.equations.errors import EquationError as EquationError
from odenn.equations.parsing import parse_system as parse_system
from odenn.equations.parsing import reread_system as reread_system
from odenn.equations.system import System as System
