"""Cache of predictions for identical requests; disabled by default."""

from __future__ import annotations

import hashlib
import pickle

from cachetools import LRUCache

from snellen.serve.inference.messages import InferenceReply, InferenceRequest

_KEY_BYTES = hashlib.sha256().digest_size


class ReplyCache:
    """Least recently used cache of replies, bounded in bytes. Belongs to one event loop.

    Replies are stored pickled: their size is known, and callers cannot change a shared one.
    """

    def __init__(self, max_bytes: int) -> None:
        """Create the cache; 0 disables it."""
        self._replies: LRUCache[bytes, bytes] = LRUCache(
            max_bytes, getsizeof=lambda packed: len(packed) + _KEY_BYTES
        )

    @property
    def enabled(self) -> bool:
        """True if anything can be stored."""
        return self._replies.maxsize > 0

    @property
    def size(self) -> int:
        """Bytes in use."""
        return int(self._replies.currsize)

    @staticmethod
    def key(request: InferenceRequest) -> bytes:
        """Return the sha256 of everything that a reply depends on.

        That is the bytes and name of the image, the model and the options. The model's key changes
        with the checkpoint file.
        """
        flags = f"{request.visualize}|{request.explain}"
        options = f"{request.model.key}|{request.confidence}|{flags}|{request.name}"
        digest = hashlib.sha256(hashlib.sha256(request.data).digest())
        digest.update(options.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def get(self, key: bytes) -> InferenceReply | None:
        """Return a copy of the stored reply, or None."""
        packed = self._replies.get(key)
        if packed is None:
            return None
        reply: InferenceReply = pickle.loads(packed)
        return reply

    def put(self, key: bytes, reply: InferenceReply) -> None:
        """Store a reply, unless it is larger than the whole cache."""
        packed = pickle.dumps(reply)
        if key not in self._replies and len(packed) + _KEY_BYTES <= self._replies.maxsize:
            self._replies[key] = packed
