"""Captioned photographs: one reader per format, all giving the same records."""
