"""Personal data in event logs, before they are written: :mod:`.rules` has what a rule says, :mod:`.apply` what it does."""
