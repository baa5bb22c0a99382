"""One question to the API until it is answered. Nothing here does I/O, reads a clock or knows Airflow.

Each question is a generator: it yields the *effects* of :mod:`.effects` (send this request, sleep that long) and is sent their outcomes.
A driver of a few lines carries them out; see :mod:`airflow_provider_capillary.hooks`.

.. code-block:: text

    effects       what a generator may ask of its driver, and what comes back
    executor      one request until it is answered: budget, token, retries
    budget        at most so many requests in any minute
    retries       what a failure means, and how long to wait before the next try
    responses     bytes to checked records, or the error that they are
    date_formats  a timestamp as the API wants it written
    statuses      which statuses mean failure
"""
