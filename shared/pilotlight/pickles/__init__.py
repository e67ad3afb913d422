"""Pickles and skops files without their power: what they may ask for, and what they may hold."""
