"""The language model as a system: its LightningModule, writing, scoring and looking inside."""
