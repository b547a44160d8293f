"""The steering system: its LightningModule, batches, preprocessing, and models frame by frame."""
