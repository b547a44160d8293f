"""What the commands of steer.py draw: overlays on camera frames, and roads from above."""
