"""Child processes that compute for the data plane."""
