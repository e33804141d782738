"""The hooks: six, one for each kind of component.

A plugin is a module (or object) behind an entry point in the group ``toolbox`` that implements any of them::

    # pyproject.toml
    [project.entry-points.toolbox]
    my-plugin = "my_plugin"

Hooks are called once, when components are first listed or looked up; they must be cheap (no torch, no file
access) and return descriptors, not things. The order of what is returned does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import pluggy

from toolbox.api.components import (
    AugmenterComponent,
    DatasetComponent,
    EngineComponent,
    EvaluatorComponent,
    ModelComponent,
    TrackerComponent,
)

PROJECT = "toolbox"
F = TypeVar("F", bound=Any)

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook with its name."""


class Hooks:
    """The hook specifications, as pluggy reads them."""

    @hookspec
    def toolbox_datasets(self) -> Iterable[DatasetComponent]:
        """Datasets, which yield samples: ``--data NAME``.

        Example::

            @hookimpl
            def toolbox_datasets():
                yield DatasetComponent(
                    name="folder",
                    summary="class folders of image files",
                    factory="toolbox_folder.dataset:FolderDataset",
                )
        """
        raise NotImplementedError

    @hookspec
    def toolbox_augmenters(self) -> Iterable[AugmenterComponent]:
        """Augmenters, which make copies or mix batches: ``--augmenter NAME``.

        Example::

            @hookimpl
            def toolbox_augmenters():
                yield AugmenterComponent(
                    name="alzheimer",
                    summary="study A: small rotation, shift, shear, zoom and flip together",
                    factory="toolbox_kornia.heavy.studies:Alzheimer",
                )
        """
        raise NotImplementedError

    @hookspec
    def toolbox_models(self) -> Iterable[ModelComponent]:
        """Models to train: ``toolbox train NAME`` and ``finetune NAME``.

        Example::

            @hookimpl
            def toolbox_models():
                yield ModelComponent(
                    name="resnet50",
                    summary="ResNet-50 with ImageNet weights, from timm",
                    factory="toolbox_timm.models:resnet50",
                    example="toolbox finetune resnet50 --unfreeze-last",
                )
        """
        raise NotImplementedError

    @hookspec
    def toolbox_evaluators(self) -> Iterable[EvaluatorComponent]:
        """Evaluators, which turn predictions into metrics, tables and figures: ``--evaluator NAME``.

        Example::

            @hookimpl
            def toolbox_evaluators():
                yield EvaluatorComponent(
                    name="classification",
                    summary="confusion matrix, accuracy, precision, recall, F1, ROC and AUC",
                    factory="toolbox_classification.heavy.evaluator:Classification",
                )
        """
        raise NotImplementedError

    @hookspec
    def toolbox_trackers(self) -> Iterable[TrackerComponent]:
        """Trackers, which log runs elsewhere: ``--set 'training.trackers=["NAME"]'``.

        Example::

            @hookimpl
            def toolbox_trackers():
                yield TrackerComponent(
                    name="mlflow",
                    summary="MLflow, on a server or in the workspace",
                    factory="toolbox_trackers.heavy.flow:MLflow",
                    requires=("vision-toolbox[mlflow]",),
                )
        """
        raise NotImplementedError

    @hookspec
    def toolbox_engines(self) -> Iterable[EngineComponent]:
        """Engines, which run work in processes or on a cluster: ``--set augment.engine=NAME``.

        Example::

            @hookimpl
            def toolbox_engines():
                yield EngineComponent(
                    name="processes",
                    summary="several processes on this machine",
                    factory="toolbox_engines.processes:Processes",
                )
        """
        raise NotImplementedError
