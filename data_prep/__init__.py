"""From what people have on disk to tensors."""
