"""The ``mlflow`` tracker."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from mlflow import MlflowClient
from mlflow.entities import Param, RunTag
from pydantic import Field

from toolbox.api.quiet import quiet
from toolbox.api.tracker import Tracker
from toolbox_trackers.heavy.scalars import of_epoch, of_evaluation

_TAG = "toolbox.run"
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}
_ENDS = 6000
"""Characters that MLflow allows a parameter's value."""


class MLflow(Tracker):
    """Writes a run of MLflow's: settings as parameters, figures by epoch, the metrics with their intervals.

    A run that goes on goes on in MLflow too.
    """

    def __init__(
        self,
        *,
        uri: Annotated[
            str, Field(description="tracking server; empty: MLFLOW_TRACKING_URI, else mlflow.db in the workspace")
        ] = "",
        experiment: Annotated[str, Field(min_length=1, description="MLflow's experiment")] = "toolbox",
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.step = 0
        self.run = ""
        self.client: MlflowClient | None = None

    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """See :class:`Tracker`."""
        place = folder.resolve()
        uri = (
            self.uri
            or os.environ.get("MLFLOW_TRACKING_URI")
            or f"sqlite:///{(place.parents[1] / 'mlflow.db').as_posix()}"
        )
        self.step = len(history)
        # A server that is away must not hold a training up for the minutes that MLflow would try.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        with quiet("mlflow", "alembic"):
            self.client = MlflowClient(uri)
            known = self.client.get_experiment_by_name(self.experiment)
            experiment = known.experiment_id if known else self.client.create_experiment(self.experiment)
            mine = f"tags.`{_TAG}` = '{place.as_posix().replace(chr(39), '')}'"
            before = self.client.search_runs([experiment], mine, max_results=1) if history else []
            if before:
                self.run = before[0].info.run_id
                self.client.update_run(self.run, status="RUNNING")
                return
            tags = {_TAG: place.as_posix().replace("'", ""), "mlflow.source.name": record["command"]}
            self.run = self.client.create_run(experiment, tags=tags, run_name=folder.name).info.run_id
            parameters = [Param(name, str(value)[:_ENDS]) for name, value in _flat(record).items()]
            self.client.log_batch(self.run, params=parameters, tags=[RunTag("toolbox.weights", record["weights"])])

    def epoch(self, line: Mapping[str, Any]) -> None:
        """See :class:`Tracker`."""
        self.step += 1
        self._log(of_epoch(line))

    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """See :class:`Tracker`."""
        assert self.client is not None
        if evaluation:
            self._log(of_evaluation(evaluation))
        with quiet("mlflow"):
            self.client.set_terminated(self.run, _STATUS.get(record["status"], "FAILED"))

    def _log(self, scalars: Mapping[str, float]) -> None:
        assert self.client is not None
        with quiet("mlflow"):
            for name, value in scalars.items():
                self.client.log_metric(self.run, name, value, step=self.step)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Model and settings by dotted name."""
    parameters: dict[str, Any] = {"model": record["model"], "kind": record["kind"]}
    for name, value in record["config"].items():
        settings = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        parameters |= settings
    return parameters
