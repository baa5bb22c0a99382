"""Incremental polling: report each matching event once. Nothing here does I/O, reads a clock or knows Airflow.

.. code-block:: text

    filters      which events match, and the few fields kept of each; never the body
    poll_state   what the next poll has to know of those before it
    failed_poll  which failed poll is repeated at once
"""
