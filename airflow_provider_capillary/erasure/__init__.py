"""Erases the records of one customer from published objects. Where Capillary deletes a customer, the event logs stay.

.. code-block:: python

    for outcome in erase("s3://my_aws_conn@bucket/event_logs", matches=["mobile=919800012345"]):
        print(outcome)

See :func:`.erase.erase`, and :mod:`.command` for the command.
"""

from __future__ import annotations

from airflow_provider_capillary.erasure.erase import Outcome, erase

__all__ = ["Outcome", "erase"]
