"""PyTorch parts: cells, attention, encoders, decoders, decoding, metrics and the LightningModules over them.

Axis letters in every docstring: B batch, T time or words, L locations, D annotation width, H hidden,
A attention, E embedding, V vocabulary, K beams, C Hh Ww image.
"""
