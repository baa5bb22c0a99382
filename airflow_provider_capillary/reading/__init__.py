"""An interval, complete: the proof. Nothing here does I/O, reads a clock or knows Airflow.

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
"""
