"""Starting and changing an A/B test and a shadow: `experiment.lock` and `shadow.lock` beside `model.lock`."""
