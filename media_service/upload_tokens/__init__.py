"""Tokens that a browser may hold: made and revoked here; `uploads/grants.py` holds uploads to them."""
