"""What went over the wire: a bounded log of SIP messages, its drawing, and its export to Homer (HEP3)."""
