"""The registration office: who may get which certificate, when, and on whose word."""
