"""Airflow provider for Capillary's event logs."""

__version__ = "0.1.0"
