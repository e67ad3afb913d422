"""Features from an online store: a request names an entity, and the store has the features of it."""
