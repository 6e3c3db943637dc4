"""A caller who rings Tandem from outside: SIP, RTP, an ear and a script, in a process of its own.

It shares no code with the gateway on purpose: a mistake in the one must not hide the same mistake in the other.
"""
