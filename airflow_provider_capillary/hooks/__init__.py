"""The hook: an Airflow connection becomes an authenticated session that reads event logs."""
