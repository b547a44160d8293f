"""Predictions and references in, one self-contained `report.html` out."""
