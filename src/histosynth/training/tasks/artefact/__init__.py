"""The artefact classifier: tiles sorted by a person into good ones and artefacts."""

from .task import ARTEFACT as ARTEFACT
