"""Verification: compare a solution with one that was found in another way.

The reference is SymPy's formula where it finds one in time, else SciPy at tight tolerance. A reference is not believed
for its name: a formula has to meet the conditions, satisfy the equations and follow SciPy; SciPy has to say how far it
moves when its tolerance is loosened tenfold, and no error below that is called known.
"""

from odenn.verify.comparison import verify as verify
from odenn.verify.places import origin as origin
from odenn.verify.places import times as times
from odenn.verify.places import tolerance as tolerance
from odenn.verify.report import Verification as Verification
from odenn.verify.report import VerificationError as VerificationError
from odenn.verify.report import known_errors as known_errors
