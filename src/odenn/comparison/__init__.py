"""Methods side by side on one problem: true error, estimate, time, work."""

from odenn.comparison.result import Comparison as Comparison
from odenn.comparison.result import Entry as Entry
from odenn.comparison.run import compare as compare
