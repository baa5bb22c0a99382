"""One request to the API until it is answered. Nothing here does I/O, reads a clock or imports Airflow.

Each operation is a generator: it yields the *effects* of :mod:`.effects` (send this request, sleep that long) and is sent their outcomes.
A small driver carries the effects out; see :mod:`airflow_provider_capillary.hooks`.

.. code-block:: text

    effects       what a generator asks its driver to do, and the outcomes
    executor      one request until it is answered: budget, token, retries
    budget        a limit of requests per minute
    retries       which error a response means, and how long to wait before the next try
    backoff       pauses that double with each failure
    responses     a response body as checked records, or as an error
    date_formats  timestamps in the form that the API reads
    statuses      which statuses mean failure
"""
