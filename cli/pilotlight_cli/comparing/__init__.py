"""`pilotlight diff`: two models beside each other. Contract and predictions are compared by pure functions."""
