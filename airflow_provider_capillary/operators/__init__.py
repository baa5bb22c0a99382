"""The operator: an interval of a run becomes one object, or a task that fails and says why."""
