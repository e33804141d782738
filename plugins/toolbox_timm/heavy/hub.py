"""Where timm's pretrained weights lie, and how they get here: out of the hub's cache, or off the network.

An attempt without network fails within seconds. Left to itself the hub's client retries for half a minute (each
retry with a line on the console), and asks the network even for a file that it has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import urlparse

import huggingface_hub
import timm
import torch
from huggingface_hub import constants
from timm.models import PretrainedCfg, get_arch_name

from toolbox.api.errors import UsageError, WeightsUnavailable, closest
from toolbox.api.quiet import quiet

PATIENCE = 5.0
"""Seconds that connecting to a server, or its first answer, may take; half as much again for both together."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from: a repository of the hub (with the files that may hold them), or an address."""

    repository: str = ""
    revision: str | None = None
    files: tuple[str, ...] = ()
    url: str = ""

    def __str__(self) -> str:
        if self.url:
            return f"{_file_name(self.url)} of {self.url}"
        return f"{self.files[0]} of https://huggingface.co/{self.repository}"


def configuration(architecture: str) -> PretrainedCfg:
    """timm's configuration of ``architecture``, whose tag may be left out.

    Raises
    ------
    UsageError: timm has no such architecture, or no such tag of it; the closest one is named.
    """
    bare = get_arch_name(architecture)
    if not timm.is_model(bare):
        known = timm.list_models()
        raise UsageError(f"timm has no architecture {bare!r}", closest(bare, known) or "See timm.list_models().")
    try:
        return timm.get_pretrained_cfg(architecture) or PretrainedCfg(architecture=bare)
    except RuntimeError as error:
        tagged = timm.list_pretrained(f"{bare}.*")
        raise UsageError(f"timm has no weights {architecture!r}", closest(architecture, tagged)) from error


def origin(of: PretrainedCfg) -> Origin | None:
    """Where the weights of a configuration lie; ``None`` where there are none."""
    if of.hf_hub_id:
        repository, _, revision = of.hf_hub_id.partition("@")
        return Origin(repository, revision or None, _candidates(of.hf_hub_filename))
    url = of.url[0] if isinstance(of.url, tuple) else of.url
    return Origin(url=url) if url else None


def fetch_weights(architecture: str, name: str) -> Path:
    """The file of the pretrained weights of ``architecture`` on this disk; downloaded if it isn't there yet.

    ``name``: what the file would have to be called in the user's own folder of weights, without ending.

    Raises
    ------
    WeightsUnavailable: the download failed; the message names the file, its address and the alternatives.
    """
    source = origin(configuration(architecture))
    if source is None:
        raise WeightsUnavailable(f"timm has no pretrained weights for {architecture}", _ways_around(name))
    try:
        with quiet("timm", "huggingface_hub"):
            return _from_address(source.url) if source.url else _from_hub(source)
    except Exception as error:  # the network, the hub, its HTTP library and the disk each have their own
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise WeightsUnavailable(f"{source} is not available: {reason}", _ways_around(name)) from error


def _ways_around(name: str) -> str:
    return (
        "Download the file elsewhere and pass --weights FILE, or put it as "
        f"{name}.safetensors (or .pth) into a folder that TOOLBOX_WEIGHTS or the setting training.weights_dir names; "
        "or start from random weights with --no-pretrained."
    )


def _candidates(stated: str | None) -> tuple[str, ...]:
    """The file names to try in a repository, safetensors first."""
    pickled = stated or "pytorch_model.bin"
    if not pickled.endswith(".bin"):
        return (pickled,)
    safe = "model.safetensors" if pickled == "pytorch_model.bin" else f"{pickled.removesuffix('.bin')}.safetensors"
    return (safe, pickled)


def _from_hub(source: Origin) -> Path:
    repository, revision = source.repository, source.revision
    for file in source.files:
        cached = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set, and the hub's cache does not hold it")
    for file in source.files:
        if _status(huggingface_hub.hf_hub_url(repository, file, revision=revision)) != 404:
            return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    raise FileNotFoundError(f"the repository has none of {', '.join(source.files)}")


def _from_address(url: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(url)
    if not path.is_file():
        _status(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
        torch.hub.download_url_to_file(url, str(path), digest[1] if digest else None, progress=False)
    return path


def _file_name(url: str) -> str:
    return Path(urlparse(url).path).name


def _status(url: str) -> int:
    """The HTTP status that a HEAD request for ``url`` gets, through the hub's own session (proxies, certificates).

    Raises
    ------
    ConnectionError: no answer in time, or a server in trouble. Or whatever the session raises.
    """
    answers: list[int | Exception] = []

    def ask() -> None:
        try:
            answers.append(huggingface_hub.get_session().head(url, timeout=PATIENCE).status_code)
        except Exception as error:
            answers.append(error)

    # In a thread, because a name lookup ignores timeouts; a daemon, so that nothing waits for it.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(1.5 * PATIENCE)
    answer = (
        answers[0] if answers else ConnectionError(f"no answer from {urlparse(url).netloc} in {1.5 * PATIENCE:g} s")
    )
    if isinstance(answer, Exception):
        raise answer
    if answer >= 500:
        raise ConnectionError(f"{urlparse(url).netloc} answers with status {answer}")
    return answer
