"""Search for the structure of a network that suits a problem."""

from odenn.searching.result import Search as Search
from odenn.searching.result import Tried as Tried
from odenn.searching.run import search as search
