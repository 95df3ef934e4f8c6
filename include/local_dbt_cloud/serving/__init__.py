"""Certificates, data folder and addresses: what other local servers and the launcher share."""
