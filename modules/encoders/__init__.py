"""CNN encoders: pixels in, annotation vectors out."""
