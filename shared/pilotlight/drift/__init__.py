"""Whether what a model sees and answers is still like the rows that it was made for: counts in bins, and their test."""
