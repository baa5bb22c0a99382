"""What exporting an interval will cost, before anything is queued.

.. code-block:: text

    command   ``python -m airflow_provider_capillary estimate`` and ``airflow capillary estimate``
    cost      the estimate from the samples of :mod:`~airflow_provider_capillary.reading.sampling`: pure arithmetic
    report    the estimate as text and as JSON
"""
