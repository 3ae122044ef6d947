"""Residual: train a network until it satisfies the equation."""

from odenn.methods.residual.method import Residual as Residual
