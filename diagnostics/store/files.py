"""Model files, named by the hash of what is in them and checked against it at every reading; sealed where there is a
key, and checked after they were opened.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from diagnostics.sealing import Sealer, SealError
from diagnostics.store.errors import ChangedFileError


class ModelFiles:
    """A folder of model files. A file is there in full or not at all, and is never written twice."""

    def __init__(self, folder: Path, sealer: Sealer | None = None) -> None:
        """The folder is made at the first writing. `nearer` are folders with copies that are read before it, in their
        order; `read_from` is where the last file came from.
        """
        self.folder, self._sealer = folder, sealer or Sealer()
        self.nearer: tuple[Path, ...] = ()
        self.read_from = folder

    def path(self, sha256: str) -> Path:
        """Where the file with that content is."""
        return self.folder / f"{sha256}.skops"

    def put(self, content: bytes) -> str:
        """Keep a file and give its hash. Raises OSError when it cannot be written; a broken one is written anew."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if self._is_whole(path, sha256):
            return sha256
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".model-", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._sealer.seal(content))
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o444)
            Path(name).replace(path)
            self._keep_name()
        finally:
            with suppress(OSError):
                Path(name).unlink()
        return sha256

    def get(self, version: str, sha256: str) -> bytes:
        """The file of a version, if it is still what was registered: from the nearest folder that has it, which is
        copied to the nearest one.

        Raises:
            ChangedFileError: it is not there or was changed; the message names version and file.

        """
        for at, folder in enumerate(self.nearer):
            copies = ModelFiles(folder, self._sealer)
            if self._is_whole(copies.path(sha256), sha256):
                content = self._sealer.unseal(copies.path(sha256).read_bytes())
                self.read_from = folder
                self._bring(content, at)
                return content
        content = self._own(version, sha256)
        self.read_from = self.folder
        self._bring(content, len(self.nearer))
        return content

    def _bring(self, content: bytes, before: int) -> None:
        """Copy to the nearest folder, where what was read is behind it; nobody waits for one that is away."""
        if self.nearer and before:
            with suppress(OSError):
                ModelFiles(self.nearer[0], self._sealer).put(content)

    def _own(self, version: str, sha256: str) -> bytes:
        path = self.path(sha256)
        try:
            content = self._sealer.unseal(path.read_bytes())
        except OSError as error:
            raise ChangedFileError(f"version {version}: {path}: {error.strerror}: bring the file back from a copy, or "
                                   f"train anew") from error
        except SealError as error:
            raise ChangedFileError(f"version {version}: {path}: {error}: add the key, bring the file back from a copy, "
                                   f"or train anew") from error
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ChangedFileError(f"version {version}: {path}: was changed on disk (sha256 {found[:12]}, registered "
                                   f"as {sha256[:12]}): bring the file back from a copy, or train anew")
        return content

    def _is_whole(self, path: Path, sha256: str) -> bool:
        try:
            return hashlib.sha256(self._sealer.unseal(path.read_bytes())).hexdigest() == sha256
        except (OSError, SealError):
            return False

    def _keep_name(self) -> None:
        """Make the file's name outlast a loss of power."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
