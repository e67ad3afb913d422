"""A model's files from a store, by a deadline, onto the disk."""
