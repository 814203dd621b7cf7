"""The practice exchange: one engine with a simulated clock, behind two doors.

In process for the backtest, and over HTTP and WebSocket in the vendors' wire formats for the real
client libraries.
"""
