"""A shadow: a second version that sees the pinned one's inputs, whose answers are compared and never served."""
