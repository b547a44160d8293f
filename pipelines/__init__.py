"""The front doors: one file per application, its docstring is its manual."""
