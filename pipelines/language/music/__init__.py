"""Tunes in ABC notation: read, judged, played."""
