"""One queue in front of several LLM servers: grouped by model, fair between owners, and safe from servers that go away.

`Queue` is all that others use.
"""

from llm_bridge.queue.asked import QueuedStream
from llm_bridge.queue.queue import Queue
from llm_bridge.queue.snapshot import ServerView, Snapshot

__all__ = ["Queue", "QueuedStream", "ServerView", "Snapshot"]
