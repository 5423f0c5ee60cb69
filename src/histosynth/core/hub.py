"""The Hugging Face hub: the name of a repository becomes a folder, or an error with a remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .errors import BadWeights, first_line

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def hub_folder(
    source: str,
    files: Sequence[str],
    *,
    local_hint: str,
) -> Path:
    """The folder that `source` names, with some of its files.

    Args:
        source: a folder, or a repository of the hub, `owner/name` or `owner/name@revision`. Files
            of a repository are downloaded once; without a network the earlier download is used.
        files: names or patterns of the files wanted.
        local_hint: the sentence that explains how to name a local copy.

    Raises:
        BadWeights: there is no such folder, or the hub does not provide it.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if not _ID.fullmatch(source):
        raise BadWeights(
            folder,
            "there is no such folder, and the hub has no such names",
            local_hint,
        )
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    name, _, revision = source.partition("@")
    try:
        found = huggingface_hub.snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=[*files],
        )
    except GatedRepoError as error:
        page = f"https://huggingface.co/{name}"
        raise BadWeights(
            folder,
            "its owners give it to those only who agreed to their terms",
            f"Request it at {page} and run `hf auth login`. {local_hint}",
        ) from error
    except LocalEntryNotFoundError as error:
        raise BadWeights(
            folder, "it is not here, and the hub cannot be reached", local_hint
        ) from error
    except RepositoryNotFoundError as error:
        gone = "the hub has no such repository, or no longer"
        raise BadWeights(folder, gone, local_hint) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise BadWeights(folder, first_line(error), local_hint) from error
    return Path(found)
