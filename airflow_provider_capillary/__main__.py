"""``python -m airflow_provider_capillary``; see :mod:`airflow_provider_capillary.commands`."""

from __future__ import annotations

import sys

from airflow_provider_capillary.commands import main

if __name__ == "__main__":
    sys.exit(main())
