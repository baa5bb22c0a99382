"""The decision core: what to ask next, what an answer means, when to stop, how long to wait.

Nothing here does I/O, reads a clock or knows Airflow. Everything is a generator that yields the steps of
:mod:`~airflow_provider_capillary.reading.steps` and is sent their outcomes; a driver of a few lines carries them out.

.. code-block:: text

    reader       one interval, complete: the proof
    ledger       what is proved of it, from its end backwards
    capacity     how many records the API gives at once, and over how long a window
    bounds       how the API reads dates: which window surely holds a span
    calibration  ... found out from its own records
    diagnosis    ... and why no date format fits, in words that help
    sizing       which window to ask for next: a guess that proves nothing
    reach        the proof that long windows are not cut
    client       windows of event logs, with a limit that the API accepts
    exchange     one question until it is answered: budget, token, retries
    retries      what a failure means and how long to wait
    answers      bytes to checked records, or the error that they are
    dates        an instant as the API wants it written
    instants     user input to instants, instants to milliseconds
    budget       at most so many requests in any minute
    steps        the vocabulary between the core and its drivers
"""
