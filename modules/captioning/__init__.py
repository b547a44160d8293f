"""The captioning system: its LightningModule, batches, preprocessing and losses of its own."""
