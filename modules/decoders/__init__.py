"""RNN decoders: annotation vectors in, a sequence out."""
