"""Airflow's own channels: what its metrics, asset events, lineage and links are told; and the commands."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

INTERFACES = "tests/test_airflow_interfaces.py"

# Each row breaks what one channel is told, or what it is not to be told.
MUTATIONS = (
    Mutation(
        breaks="Airflow's interfaces: the metrics of a triggerer",
        file="_airflow.py",
        text='    elif getattr(where, "_factory", False) is None:\n',
        becomes="    elif where is None:\n",
        caught_by=(f"{INTERFACES}::test_airflow_s_metrics_client_is_set_up_and_takes_tags", "tests/hooks/test_metrics.py"),
    ),
    Mutation(
        breaks="metrics of a failed poll",
        file="triggers/_shared_poller.py",
        text="            await self._count(fatal)\n",
        becomes="",
        caught_by=("tests/hooks/test_metrics.py",),
    ),
    Mutation(
        breaks="a task whose metrics client fails",
        file="hooks/_metrics.py",
        text="    except Exception as error:",
        becomes="    except OSError as error:",
        caught_by=("tests/hooks/test_metrics.py",),
    ),
    Mutation(
        breaks="asset URIs without a connection id",
        file="operators/_lineage.py",
        text='    bucket = authority.rpartition("@")[2]\n',
        becomes="    bucket = authority\n",
        caught_by=("tests/operators/test_lineage.py",),
    ),
    Mutation(
        breaks="no link to a store that is not Amazon's",
        file="operators/_links.py",
        text='    return "endpoint_url" in str(extra) or ',
        becomes="    return ",
        caught_by=("tests/operators/test_links.py",),
    ),
    Mutation(
        breaks="the note that a watch polls again",
        file="triggers/_asset_watch.py",
        text='                        await self._note("")\n',
        becomes="",
        caught_by=("tests/triggers/test_watch_trigger.py",),
    ),
    Mutation(
        breaks="estimate: a minute of throttling is waited for",
        file="hooks/capillary.py",
        text="        client = EventLogsClient(self._make_executor(PLAN), limit=settings.page_size)\n",
        becomes="        client = EventLogsClient(self._make_executor(PLAN.__class__(attempts=3, total=60.0)), limit=settings.page_size)\n",
        caught_by=("tests/estimate/test_command.py", "-k", "throttling"),
    ),
    Mutation(
        breaks="check: its report shows the hint of the error that ended the survey",
        file="check/report.py",
        text='lines.append(("bad" if bounds is None else "warn", "Dates", str(self._error)))',
        becomes='lines.append(("bad" if bounds is None else "warn", "Dates", self._error.problem))',
        caught_by=("tests/check/test_command.py", "-k", "exports_fail"),
    ),
)
