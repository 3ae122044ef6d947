"""Solve systems of ordinary differential equations with neural networks."""

from odenn._version import __version__ as __version__
