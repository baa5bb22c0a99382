"""What an Airflow connection of type ``capillary`` holds: its fields, defaults, checks and form.

.. code-block:: text

    fields      each field and extra once: name, kind, default, description
    form        the connection form of Airflow 2 and 3, made from the fields
    extras      the extras read and checked
    settings    a connection, read: what the rest of the package works with
    base_url    host and schema to the base URL
    credential  login and password to what is sent
    lookup      finding the connection in Airflow
"""
