"""Incremental polling: report each matching event once. Nothing here does I/O, reads a clock or knows Airflow.

.. code-block:: text

    filters      which events match, and the few fields kept of each; never the body
    matches      the events that were found, as counts and ids
    watermark    how far was read, and the ids that were reported
    poll_state   the state that goes from poll to poll, and as JSON from process to process
    failed_poll  which failed poll is repeated at once
    stored       checks of stored JSON
"""
