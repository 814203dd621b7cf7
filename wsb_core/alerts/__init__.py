"""Slack first; every channel behind one port, every message through the outbox."""
