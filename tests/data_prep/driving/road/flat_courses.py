"""Roads as simple as they can be."""

import numpy as np

from data_prep.driving.road.course import NODE_M, Course


def flat_course(length_m: float, curvature: float = 0.0) -> Course:
    """Returns a level course without bumps: a straight, or a circle of constant curvature [1/m]."""
    nodes = int(np.ceil(length_m / NODE_M)) + 1
    return Course(np.full(nodes, float(curvature)), np.zeros(nodes), np.zeros(nodes))
