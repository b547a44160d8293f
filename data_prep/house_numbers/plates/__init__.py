"""Drawn house numbers: fonts, materials, one picture, a data set."""
