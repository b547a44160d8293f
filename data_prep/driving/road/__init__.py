"""Drawn roads and the drives on them: a data set that needs no download."""
