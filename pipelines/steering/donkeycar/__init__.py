"""What a DonkeyCar needs to drive by an exported model."""
