"""Starting and changing an A/B test: `experiment.lock` beside `model.lock`."""
