"""Where work runs: in this process's threads, or in several processes."""

from collections.abc import Iterator

from toolbox.api.components import EngineComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_engines() -> Iterator[EngineComponent]:
    """``inline`` and ``processes``."""
    yield EngineComponent(
        name="inline",
        summary="threads of this process",
        factory="toolbox_engines.inline:Inline",
        api_version=1,
        example="toolbox augment --set augment.engine=inline",
    )
    yield EngineComponent(
        name="processes",
        summary="several processes on this machine",
        factory="toolbox_engines.processes:Processes",
        api_version=1,
        example="toolbox augment --set augment.engine=processes:workers=4",
    )
