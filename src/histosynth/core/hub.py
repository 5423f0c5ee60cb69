"""The Hugging Face hub: a name of a repository becomes a folder, or a sentence with the next
step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .errors import BadWeights, first_line

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def hub_folder(source: str, files: Sequence[str], *, local_hint: str) -> Path:
    """The folder that `source` names, with some of its files.

    Args:
        source: a folder, or a repository of the hub, `owner/name` or `owner/name@revision`. Of the
            latter, what is not here yet is fetched; without a network, what was fetched before is
            taken.
        files: names or patterns of what is wanted.
        local_hint: the sentence that says how to point at a copy that lies here.

    Raises:
        BadWeights: there is no such folder, or the hub does not give it.
    """
    if (folder := Path(source).expanduser()).is_dir():
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
        agree = f"Ask for it at https://huggingface.co/{name} and run `hf auth login`. {local_hint}"
        raise BadWeights(
            folder,
            "its owners give it to those only who agreed to their terms",
            agree,
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
