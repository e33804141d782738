"""The model of study A, described; torch is imported when it is built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest

Variant = Literal["proposed", "test-1", "test-2"]
Init = Literal["glorot-uniform", "glorot-normal", "he", "zeros", "ones", "pytorch"]

WIDEST = 65_536
"""Units of a dense layer, at most."""

SMALLEST = 16
"""Pixels a side below which nothing would be left after four poolings; asked of every variant, for one rule."""


class AlzheimerModel(Model):
    """A small CNN for grey-scale brain MRI, trained from scratch: study A's.

    Variants:

    - proposed: four blocks of 3x3 convolution, ReLU and 2x2 max pooling; dense 128, dense 64, output.
    - test-1: two such blocks; dense 128, output.
    - test-2: two convolutions with ReLU, pooling only after the second; dense 128, dense 64, output.

    Convolutions are padded to keep their size ("same"; the paper does not say), so that any image of 16 pixels
    and more will do. Input is scaled to [0, 1] and nothing else. In two-stage fine-tuning the last convolution
    block is the last block, the dense layers are the head; "flatten-N" puts one dense layer of N units there,
    "mlp-N-M" pools what the last block gives and puts dense layers of N and M units there.
    There are no pretrained weights.

    Source: AbdulAzeem, Bahgat, Badawy, "A CNN based framework for classification of Alzheimer's disease", Neural
    Computing and Applications 33 (2021), and a re-implementation of it for AD against MCI. The study's settings:
    Adam, learning rate 0.001, batch 64.
    """

    size = 64
    channels = 1

    def __init__(
        self,
        *,
        variant: Annotated[Variant, Field(description="which of the study's three networks")] = "proposed",
        filters: Annotated[int, Field(ge=1, le=4096, description="filters of each convolution")] = 32,
        dropout: Annotated[
            float,
            Field(ge=0, lt=1, description="probability of dropping a value before each dense layer, the output's too"),
        ] = 0.0,
        init: Annotated[
            Init,
            Field(description="how weights start; he: normal, by fan-in; pytorch: PyTorch's own, biases included"),
        ] = "glorot-uniform",
        bias: Annotated[
            float, Field(ge=-10, le=10, description="what every bias starts at, unless init is pytorch")
        ] = 0.01,
        dense: Annotated[
            list[int] | None,
            Field(max_length=16, description="units of the dense layers before the output, in place of the variant's"),
        ] = None,
    ) -> None:
        if any(not 1 <= units <= WIDEST for units in dense or ()):
            raise UsageError(f"dense={dense}: a layer has 1 to {WIDEST:,} units", "Write dense=[128,64], say.")
        self.variant = variant
        self.filters = filters
        self.dropout = dropout
        self.init = init
        self.bias = bias
        self.dense = dense

    def build(self, request: ModelRequest) -> BuiltModel:
        """See :meth:`Model.build`.

        Raises
        ------
        WeightsUnavailable: pretrained weights are wanted; there are none.
        UsageError: the image is too small, or both ``dense`` and a head of given sizes are given.
        """
        if request.pretrained:
            raise WeightsUnavailable(
                "alzheimer-cnn has no pretrained weights",
                "Train it from scratch with 'toolbox train alzheimer-cnn', or give it weights with --weights FILE.",
            )
        if request.size < SMALLEST:
            raise UsageError(
                f"alzheimer-cnn needs images of at least {SMALLEST} pixels a side, not {request.size}",
                "Set training.size; the study's is 64.",
            )
        from toolbox_alzheimer.heavy.cnn import build

        return build(self, request)
