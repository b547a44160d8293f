"""How far gradients reach: the trainings of the `gradients` command, their tables and figures."""
