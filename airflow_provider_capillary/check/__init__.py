"""The check of a live connection: what its API does that the documentation leaves open.

.. code-block:: text

    command   ``python -m airflow_provider_capillary check`` and ``airflow capillary check``
    report    the findings of :mod:`~airflow_provider_capillary.reading.survey` as text, as JSON, and as extras for the connection
"""
