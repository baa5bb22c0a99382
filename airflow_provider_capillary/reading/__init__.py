"""An interval, complete: the proof. Nothing here does I/O, reads a clock or knows Airflow.

.. code-block:: text

    reader       one interval, complete: the proof
    part_state   how the reading of each part stands
    ledger       which spans of the interval are proved
    lanes        parts of the interval that are read side by side
    direction    from which end of the interval a reading goes
    pending      records that were seen and are not yielded yet
    capacity     how many records the API gives at once, over how long a window, and when its zone was seen to be right
    nearby       records come from where they are asked for, and the zone is right there
    future       windows that end after the API's clock
    bounds       how the API reads dates: which window surely holds a span
    calibration  finds the bounds by asking for records whose times are known
    precision    ... and shows finer dates, where shorter windows are needed
    diagnosis    the error where no date format fits, with the zone that would
    crowded      finer dates or longer answers, where a window can't be split
    no_records   an API that shows no record
    sizing       which window to ask for next: a guess that proves nothing
    subsets      what answers in no order show of the records still to be read
    reach        the proof that the API does not cut long windows
    client       requests for windows of event logs, with a limit that the API accepts
    sampling     about how many records an interval holds, for the estimate of a backfill
    survey       what else can be found out of an API, for the check of a connection
"""
