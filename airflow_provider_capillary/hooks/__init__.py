"""Reading event logs over an Airflow connection.

.. code-block:: text

    capillary          CapillaryHook: for tasks; everything else here serves it
    capillary_async    CapillaryAsyncHook: the same reading on an event loop, for triggers
    _driver            carrying out what a reading asks for, in a task
    _lanes             threads for requests side by side
    _turns             the budget of requests a minute
    _session           one HTTP session with the API: credential, timeouts, caps on size and time
    _interrupt         ending a request that is under way
    _transport_errors  why no whole answer came, and what to change
    _filters           counts of what filters kept, and a warning where they kept nothing
    _progress          lines in the task log, and Airflow's metrics
"""
