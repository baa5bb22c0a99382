"""The sensor: a task that waits for event logs of a given status."""
