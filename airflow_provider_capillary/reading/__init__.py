"""The decision core: what to ask next, what an answer means, when to stop, how long to wait.

Nothing here does I/O, reads a clock or knows Airflow. Everything is a generator that yields the steps of
:mod:`~airflow_provider_capillary.reading.steps` and is sent their outcomes; a driver of a few lines carries them out.

.. code-block:: text

    reader       one interval, complete: calibrate once, then walk it
    calibration  how this API reads dates: format, precision, zone, and that the filter is not ignored
    walk         the overlapping pages of one interval, and the proof that they join
    exchange     one question until it is answered: budget, token, retries
    retries      what a failure means and how long to wait
    answers      bytes to checked records, or the error that they are
    dates        an instant as the API wants it written
    instants     user input to instants, instants to milliseconds
    budget       at most so many requests in any minute
    steps        the vocabulary between the core and its drivers
"""
