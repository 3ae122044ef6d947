"""Pictures, as matplotlib Figures: a solution with its errors, the course of a training."""

from odenn.plot.solution import plot_solution as plot_solution
from odenn.plot.style import COLOURS as COLOURS
from odenn.plot.training import plot_training as plot_training
