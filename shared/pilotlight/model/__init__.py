"""What is known of a model: its lock, signature and golden samples, and tensors. Knows no format of requests."""
