"""Collocation on adaptive windows, with an estimate of the global error: the default method."""

from odenn.methods.collocation.method import Collocation as Collocation
