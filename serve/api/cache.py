"""Answers to identical requests, kept in bounded memory; off unless it is given some."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict

from snellen.serve.inference.messages import Answer, Query


class AnswerCache:
    """The least recently used answers go first. Belongs to one event loop.

    Answers are kept pickled: their size is known, and nobody can change one that is shared.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self.bytes = 0

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self._max_bytes > 0

    @staticmethod
    def key(query: Query) -> bytes:
        """Equal for equal image bytes, name, model and options.

        The model's key changes with the checkpoint's file.
        """
        options = f"{query.model.key}|{query.confidence}|{query.visualize}|{query.name}"
        digest = hashlib.sha256(hashlib.sha256(query.data).digest())
        digest.update(options.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def get(self, key: bytes) -> Answer | None:
        """A copy of the answer that was kept, or None."""
        found = self._answers.get(key)
        if found is None:
            return None
        self._answers.move_to_end(key)
        answer: Answer = pickle.loads(found)
        return answer

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer, unless it is larger than all that may be kept."""
        packed = pickle.dumps(answer)
        size = len(packed) + len(key)
        if size > self._max_bytes or key in self._answers:
            return
        self._answers[key] = packed
        self.bytes += size
        while self.bytes > self._max_bytes:
            old, gone = self._answers.popitem(last=False)
            self.bytes -= len(gone) + len(old)
