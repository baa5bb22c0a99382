"""What an Airflow connection of type ``capillary`` holds: its fields, defaults, checks and form.

.. code-block:: text

    fields      each field and extra once: name, kind, default, description, limits
    form        the connection form of Airflow 2 and 3, made from the fields
    extras      reads and checks the extras, by the fields
    settings    Settings: the connection, checked and typed, for the rest of the package
    base_url    the base URL, from host, port and schema
    credential  what is sent and masked for login and password
    lookup      finds the connection in Airflow
"""
