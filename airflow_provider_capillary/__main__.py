"""``python -m airflow_provider_capillary``: ``check``, see :mod:`.check`, and ``erase``, see :mod:`.erasure`."""

from __future__ import annotations

import sys

from airflow_provider_capillary.check.command import main

if __name__ == "__main__":
    sys.exit(main())
