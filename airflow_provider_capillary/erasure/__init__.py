"""Erases the records of one customer from published objects. Where Capillary deletes a customer, the event logs stay.

.. code-block:: python

    from airflow_provider_capillary.erasure.erase import erase

    for outcome in erase("s3://my_aws_conn@bucket/event_logs", matches=["mobile=919800012345"]):
        print(outcome)

:mod:`.command` is the same as a command.
"""
