"""Export: the interval of a run, and records that become one published object and its manifest."""
