"""What a live connection shows of the things that the API's documentation leaves open.

.. code-block:: text

    survey    at most 20 requests, and what their answers show; no I/O of its own
    report    the survey as text, as JSON, and as the extras to put into the connection
    command   ``python -m airflow_provider_capillary check`` and ``airflow capillary check``
"""
