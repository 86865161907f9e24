"""Versions written into other tools: one function each, one line in `EXPORTERS`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from diagnostics.store.errors import StoreError
from diagnostics.store.records import Version

EXPERIMENT = "workload-planner"


def to_mlflow(version: Version, content: bytes, address: str) -> str:
    """Log a version as a run of MLflow at a tracking URI, with its file as an artifact; gives the run's address.

    Nothing of MLflow's own model formats is used: the file stays what the store checks.

    Raises:
        StoreError: MLflow is not installed, or does not take it.

    """
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise StoreError("export to mlflow: MLflow is not installed: pip install 'workload-planner[mlflow]'") from error
    made = version.made
    try:
        client = mlflow.MlflowClient(tracking_uri=address)
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        tags = {"version": version.id, "hardware": made.hardware, "stage": version.stage, "parent": made.parent or "",
                "data_sha256": made.data_sha256, "code_version": made.code_version, "file_sha256": version.file_sha256}
        run = client.create_run(experiment, tags=tags, run_name=version.id)
        for name, value in made.parameters.items():
            client.log_param(run.info.run_id, name, json.dumps(value)[:6000])
        for name, value in made.metrics.items():
            client.log_metric(run.info.run_id, name, value)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{version.id}.skops"
            path.write_bytes(content)
            client.log_artifact(run.info.run_id, str(path))
        client.set_terminated(run.info.run_id)
    except mlflow.exceptions.MlflowException as error:
        raise StoreError(f"export to mlflow: {address}: {str(error).splitlines()[0]}") from error
    return f"{address}#/experiments/{experiment}/runs/{run.info.run_id}"


EXPORTERS: dict[str, Callable[[Version, bytes, str], str]] = {"mlflow": to_mlflow}
